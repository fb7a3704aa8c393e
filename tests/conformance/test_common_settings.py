"""What a protocol asks of all architectures alike, on every bundled one."""

from typing import Any, ClassVar, Literal

import pytest
import torch
from pydantic import PositiveInt, ValidationError

from archbench.api import (
    ArchitectureConfig,
    Attention,
    CommonSettings,
    ForwardFlops,
    KeepsCommonSettings,
    LadderConfig,
    ModelDims,
    ParamCount,
)
from archbench.host import default_host
from archbench.nn.language_model import LanguageModel
from archbench.testing.architecture import COMMON_SETTINGS, ArchitectureConformance
from archbench.testing.probes import random_tokens, seeded_model
from archbench_albert.config import AlbertConfig
from archbench_controlled.config import ControlledConfig
from archbench_gpt2.config import Gpt2Config
from archbench_llama.config import LlamaConfig

pytestmark = pytest.mark.thorough

DIMS = ModelDims(vocab_size=48, seq_len=32, d_model=24, n_layers=2, n_heads=4, d_ff=64)

SMALL: dict[str, dict[str, Any]] = {"reformer": {"bucket_size": 8}}
"""Settings that a context of 32 asks for."""

BRIDGES = {"transformers", "x_transformers"}
"""They have no network without settings; tests/conformance has files of their own for them."""

BUNDLED = sorted(default_host().registry.architectures.entries.keys() - BRIDGES)

NARROWER = {"albert": ("tie_output",)}
"""Who cannot keep which setting as the others keep it."""

COMMON = CommonSettings(tie_output=True, output_bias=False, initialisation="by_width")


def published(kind: str) -> ArchitectureConfig:
    return default_host().registry.architectures[kind].config(**SMALL.get(kind, {}))


def attention_of(config: ArchitectureConfig) -> Attention:
    return min(config.attention_modes)


def said(common: CommonSettings) -> str:
    return "-".join(f"{name}_{value}" for name, value in common.model_dump(exclude_none=True).items())


@pytest.mark.parametrize("kind", BUNDLED)
def test_every_bundled_architecture_keeps_all_settings_or_names_them(kind: str) -> None:
    config, others = published(kind).with_common(COMMON)
    assert others == NARROWER.get(kind, ())
    assert isinstance(config, KeepsCommonSettings)
    assert (config.ties_output, config.has_output_bias) == (True, False)


@pytest.mark.parametrize("kind", BUNDLED)
def test_a_published_config_is_dumped_without_common_settings(kind: str) -> None:
    config = published(kind)
    assert not set(CommonSettings.model_fields) & config.model_dump().keys()
    assert not set(CommonSettings.model_fields) & config.model_dump(mode="json").keys()
    assert config.with_common(CommonSettings()) == (config, ())
    dumped = config.with_common(COMMON)[0].model_dump(mode="json")
    assert {name: dumped[name] for name in CommonSettings.model_fields} == COMMON.model_dump()


@pytest.mark.parametrize("kind", BUNDLED)
def test_an_id_has_the_same_parameters_everywhere(kind: str) -> None:
    """Of embeddings and output together: what is not under test is no difference between contenders."""
    config, others = published(kind).with_common(COMMON)
    shapes = [config.adapted(DIMS.model_copy(update={"vocab_size": size})) for size in (48, 49)]  # type: ignore[attr-defined]
    per_id = config.num_params(shapes[1]).total - config.num_params(shapes[0]).total
    assert (per_id == DIMS.d_model) == (not others)


@pytest.mark.parametrize("kind", BUNDLED)
def test_hidden_states_come_out_of_a_norm(kind: str) -> None:
    """A norm stands before every output, so that one spread of the output matrix means the same to all."""
    config = published(kind)
    for attention in config.attention_modes:
        dims = config.adapted(DIMS)  # type: ignore[attr-defined]
        model = seeded_model(config, dims, attention)
        with torch.no_grad():
            for parameter in model.parameters():
                # Streams far from unit size, were it not for a norm behind them.
                parameter.mul_(20.0 if parameter.ndim >= 2 else 1.0)
        mean_squares = model.encode(random_tokens(2, dims)).hidden.square().mean(-1)
        # Of a variance of 1 norms leave out 1e-5 or less; streams are large here.
        torch.testing.assert_close(mean_squares, torch.ones_like(mean_squares), atol=1e-3, rtol=0.0)


@pytest.mark.parametrize("common", [*COMMON_SETTINGS, COMMON], ids=said)
@pytest.mark.parametrize("kind", BUNDLED)
def test_conformance_holds_with_each_setting(kind: str, common: CommonSettings) -> None:
    class Suite(ArchitectureConformance):
        config = published(kind).with_common(common)[0]
        # Transformer-XL projects its distances once a step, whatever the rows.
        flops_tolerance = 0.06 if kind == "transformer_xl" else 0.01

    suite, attention = Suite(), attention_of(Suite.config)
    suite.test_config_survives_a_round_trip()
    suite.test_analytic_parameters_equal_the_built_modules(attention)
    suite.test_analytic_flops_equal_the_counted_ones(attention)
    suite.test_output_has_the_promised_shape(attention)
    suite.test_untrained_loss_is_near_ln_v(attention)
    suite.test_same_seed_gives_the_same_bits(attention)
    suite.test_every_parameter_gets_a_finite_gradient(attention)


@pytest.mark.thorough
@pytest.mark.parametrize("common", [*COMMON_SETTINGS, COMMON], ids=said)
@pytest.mark.parametrize("kind", BUNDLED)
def test_causality_and_memory_hold_with_each_setting(kind: str, common: CommonSettings) -> None:
    class Suite(ArchitectureConformance):
        config = published(kind).with_common(common)[0]

    suite, attention = Suite(), attention_of(Suite.config)
    suite.test_causality_by_gradient(attention)
    suite.test_no_token_id_is_special(attention)
    suite.test_a_batch_can_be_memorised(attention)
    suite.test_memory_is_carried_exactly_where_promised(attention)


@pytest.mark.parametrize(("d_model", "std"), [(768, 0.02), (48, 0.08), (3072, 0.01)])
def test_the_spread_goes_with_the_root_of_the_width(d_model: int, std: float) -> None:
    dims = DIMS.model_copy(update={"d_model": d_model})
    assert Gpt2Config(initialisation="by_width").built_with(dims).initial_std == pytest.approx(std)
    assert Gpt2Config().built_with(dims).initial_std == 0.02


def test_gpt2s_projections_into_the_stream_scale_alike() -> None:
    dims = Gpt2Config().sized_for(3e5, vocab_size=264, seq_len=64)
    as_published, by_width = (
        dict(seeded_model(config, dims, Attention.CAUSAL).named_parameters())
        for config in (Gpt2Config(), Gpt2Config(initialisation="by_width"))
    )
    for name, parameter in by_width.items():
        scale = (768 / dims.d_model) ** 0.5 if parameter.ndim >= 2 else 1.0
        # The same draws, scaled: rounding of fp32.
        torch.testing.assert_close(parameter, scale * as_published[name], rtol=1e-5, atol=1e-8, msg=name)


def test_what_a_spec_says_of_one_contender_stays_and_is_named() -> None:
    config, others = ControlledConfig(tie_output=False, output_bias=True).with_common(
        CommonSettings(tie_output=True, output_bias=True)
    )
    assert others == ("tie_output",)
    assert (config.ties_output, config.has_output_bias) == (False, True)


class Stranger(LadderConfig):
    """Has one of the fields, and another idea of a second."""

    kind: Literal["stranger"] = "stranger"
    output_bias: bool = False
    initialisation: Literal["as_ever"] = "as_ever"
    width: PositiveInt = 3
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})

    @property
    def inner(self) -> ControlledConfig:
        return ControlledConfig(mixer="local_window", window=self.width, output_bias=self.output_bias)

    def build(self, dims: ModelDims, attention: Attention) -> LanguageModel:
        return self.inner.build(dims, attention)

    def num_params(self, dims: ModelDims) -> ParamCount:
        return self.inner.num_params(dims)

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        return self.inner.forward_flops_per_token(dims, attention)


def test_a_stranger_keeps_what_it_has_a_field_for() -> None:
    config, others = Stranger(width=5).with_common(
        CommonSettings(tie_output=True, output_bias=True, initialisation="by_width")
    )
    assert config == Stranger(width=5, output_bias=True)

    class Suite(ArchitectureConformance):
        config = Stranger()

    Suite().test_common_settings_are_kept_or_named(Attention.CAUSAL)
    assert others == ("tie_output", "initialisation")


def test_a_saved_model_with_another_output_is_refused() -> None:
    with pytest.raises(ValueError, match="tie_word_embeddings True, this architecture computes False"):
        Gpt2Config(tie_output=False).saved_model({})
    with pytest.raises(ValueError, match="output_bias False, this architecture computes True"):
        Gpt2Config(output_bias=True).saved_model({})
    saved = LlamaConfig(n_kv_heads=32, norm_eps=1e-6, tie_output=True).saved_model({"tie_word_embeddings": True})
    assert saved.dims.d_model == 4096


def test_no_other_value_is_taken() -> None:
    with pytest.raises(ValidationError):
        Gpt2Config.model_validate({"initialisation": "by_depth"})


def test_albert_ties_a_narrower_matrix() -> None:
    config, others = AlbertConfig().with_common(CommonSettings(tie_output=False))
    assert others == ("tie_output",)
    dims = AlbertConfig().sized_for(2e4, vocab_size=48, seq_len=32)
    own = config.num_params(dims).embedding - AlbertConfig().num_params(dims).embedding
    assert own == dims.vocab_size * AlbertConfig().embedding_width(dims)
