"""The conformance suite on models of transformers, and what the bridge makes of the library's settings."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import pytest
import torch
from torch import Tensor

from archbench.api import Attention, CommonSettings, LadderConfig, ModelDims
from archbench.spec.versions import installed_libraries
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.probes import random_tokens, seeded_model
from archbench_bert.config import BertConfig
from archbench_gated_deltanet.config import GatedDeltaNetConfig
from archbench_gpt2.config import Gpt2Config
from archbench_llama.config import LlamaConfig
from archbench_mamba2.config import Mamba2Config
from archbench_transformers.config import TransformersConfig
from archbench_transformers.trial import facts, trial

DIMS = ModelDims(vocab_size=48, seq_len=32, d_model=32, n_layers=2, n_heads=4, d_ff=128)


class OfTransformers(ArchitectureConformance):
    """Of counted costs, at one shape and few sizes."""

    plugin = "archbench_transformers.plugin"
    dims = DIMS
    flops_tolerance = 0.01
    ladder_vocab_sizes = (264,)
    ladder_targets = (1e4, 4e4, 1.6e5)


class TestQwen3(OfTransformers):
    config = TransformersConfig(model_type="qwen3")

    @pytest.mark.thorough
    def test_importing_and_planning_load_no_torch(self) -> None:
        super().test_importing_and_planning_load_no_torch()

    @pytest.mark.thorough
    def test_common_settings_are_kept_or_named(self, attention: Attention) -> None:
        super().test_common_settings_are_kept_or_named(attention)


@pytest.mark.thorough
class TestMixtureOfExperts(OfTransformers):
    config = TransformersConfig(model_type="olmoe", config={"num_experts": 4, "num_experts_per_tok": 2})

    @pytest.mark.skip(reason="an expert of a small model may be sent no token")
    def test_every_parameter_gets_a_finite_gradient(self) -> None: ...


@pytest.mark.thorough
class TestHybridOfSlidingAndFullAttention(OfTransformers):
    config = TransformersConfig(model_type="gemma3_text")
    # Its embeddings start with 1 and its logits are of the order of the width.
    initial_loss_tolerance_nats = 2.0


@pytest.mark.thorough
class TestModernBert(OfTransformers):
    config = TransformersConfig(model_type="modernbert")


SAME = [
    ("gpt2", Gpt2Config(), {}, Attention.CAUSAL),
    ("llama", LlamaConfig(n_kv_heads=2, norm_eps=1e-6), {"num_key_value_heads": 2}, Attention.CAUSAL),
    ("bert", BertConfig(), {}, Attention.BIDIRECTIONAL),
]


@pytest.mark.parametrize(("model_type", "native", "settings", "attention"), SAME, ids=[case[0] for case in SAME])
def test_archbenchs_own_implementation_is_the_librarys(
    model_type: str, native: LadderConfig, settings: dict[str, Any], attention: Attention
) -> None:
    """The same parameters, the same FLOPs, and with the same weights the same logits."""
    bridge = TransformersConfig(model_type=model_type, config=settings)
    dims = DIMS.model_copy(update={"d_ff": 88 if model_type == "llama" else 128})
    assert bridge.num_params(dims) == native.num_params(dims)
    stated, counted = (one.forward_flops_per_token(dims, attention) for one in (native, bridge))
    assert counted.forward() == pytest.approx(stated.forward(), rel=1e-9)
    assert counted.train(0.5) == pytest.approx(stated.train(0.5), rel=1e-9)
    ours, theirs = (seeded_model(one, dims, attention).eval() for one in (native, bridge))
    weights = {name.removeprefix("model."): tensor for name, tensor in ours.state_dict().items()}
    missing, unknown = theirs.inner.load_state_dict(weights, strict=False)
    assert (missing, unknown) == ([], [])
    tokens = random_tokens(2, dims)
    # Another order of summing, of fp32.
    torch.testing.assert_close(theirs(tokens), ours(tokens), atol=1e-5, rtol=1e-4)


def mamba2_weights(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under the library's names."""
    parts = {
        "0.weight": "norm.weight", "1.to_parts.weight": "mixer.in_proj.weight", "1.skip": "mixer.D",
        "1.convolution.weight": "mixer.conv1d.weight", "1.convolution.bias": "mixer.conv1d.bias",
        "1.decay.log_rate": "mixer.A_log", "1.decay.step_bias": "mixer.dt_bias", "1.norm.weight": "mixer.norm.weight",
        "1.to_out.weight": "mixer.out_proj.weight",
    }  # fmt: skip
    whole = {
        "token_embedding.weight": "backbone.embeddings.weight", "norm.weight": "backbone.norm_f.weight",
        "output.weight": "lm_head.weight",
    }  # fmt: skip
    named = {}
    for name, weight in ours.items():
        _, _, inside = name.partition(".")
        number, _, part = inside.partition(".")
        named[f"backbone.layers.{number}.{parts[part]}" if name not in whole else whole[name]] = weight
    return named


def gated_deltanet_weights(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under the library's names: a block of its is two of our layers, and its norms of the stream are 1 + weight."""
    mixer = {
        "1.convolution.weight": "conv1d.weight", "1.decay.log_rate": "A_log", "1.decay.step_bias": "dt_bias",
        "1.norm.weight": "norm.weight", "1.to_out.weight": "out_proj.weight",
    }  # fmt: skip
    named = {
        "model.embed_tokens.weight": ours["token_embedding.weight"],
        "model.norm.weight": ours["norm.weight"] - 1.0,
        "lm_head.weight": ours["output.weight"],
    }
    for number in range(sum(name.endswith("to_parts.weight") for name in ours)):
        block, mixing, feeding = f"model.layers.{number}", f"layers.{2 * number}", f"layers.{2 * number + 1}"
        values = ours[f"{mixing}.1.to_out.weight"].shape[1]
        heads = ours[f"{mixing}.1.decay.log_rate"].shape[0]
        projections = ours[f"{mixing}.1.to_parts.weight"]
        sizes = [projections.shape[0] - values - 2 * heads, values, heads, heads]
        for name, weight in zip(("qkv", "z", "a", "b"), projections.split(sizes), strict=True):
            named[f"{block}.linear_attn.in_proj_{name}.weight"] = weight
        named |= {f"{block}.linear_attn.{theirs}": ours[f"{mixing}.{name}"] for name, theirs in mixer.items()}
        for name, weight in zip(("gate", "up"), ours[f"{feeding}.1.inner.weight"].chunk(2), strict=True):
            named[f"{block}.mlp.{name}_proj.weight"] = weight
        named[f"{block}.mlp.down_proj.weight"] = ours[f"{feeding}.1.output.weight"]
        named[f"{block}.input_layernorm.weight"] = ours[f"{mixing}.0.weight"] - 1.0
        named[f"{block}.post_attention_layernorm.weight"] = ours[f"{feeding}.0.weight"] - 1.0
    return named


GDN = GatedDeltaNetConfig(chunk_size=16).widths(DIMS)
LINEAR_TIME = [
    (
        "mamba2", {"state_size": 16, "chunk_size": 16, "head_dim": 16, "n_groups": 1},
        Mamba2Config(d_state=16, chunk_size=16, tie_output=False), {"d_ff": 64}, mamba2_weights,
        # Products of reads and writes, which all heads share, are made for each of the four.
        (1.1, 1.4),
    ),
    (
        "qwen3_5_text",
        {
            "layer_types": ["linear_attention"] * 2, "num_hidden_layers": 2, "linear_num_key_heads": 4,
            "linear_num_value_heads": 4, "linear_key_head_dim": GDN.key, "linear_value_head_dim": GDN.value,
            "rms_norm_eps": 1e-5,
        },
        GatedDeltaNetConfig(), {"d_ff": 88}, gated_deltanet_weights,
        # A triangular system is solved row by row, in elementwise products that nobody counts, and not inverted.
        (0.9, 1.2),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("model_type", "settings", "native", "changes", "renamed", "flops"),
    [LINEAR_TIME[0], pytest.param(*LINEAR_TIME[1], marks=pytest.mark.thorough)],
    ids=[case[0] for case in LINEAR_TIME],
)
def test_archbenchs_own_linear_time_model_is_the_librarys_and_its_work_is_not(
    model_type: str,
    settings: dict[str, Any],
    native: LadderConfig,
    changes: dict[str, int],
    renamed: Callable[[Mapping[str, Tensor]], dict[str, Tensor]],
    flops: tuple[float, float],
) -> None:
    """The same parameters, and with the same weights the same logits; each form of the recurrence has its own FLOPs."""
    bridge = TransformersConfig(model_type=model_type, config=settings, tie_output=False)
    dims = DIMS.model_copy(update=changes)
    assert bridge.num_params(dims) == native.num_params(dims)
    stated, counted = (one.forward_flops_per_token(dims, Attention.CAUSAL).forward() for one in (native, bridge))
    assert flops[0] < counted / stated < flops[1]
    ours, theirs = (seeded_model(one, dims, Attention.CAUSAL).eval() for one in (native, bridge))
    theirs.inner.load_state_dict(renamed(ours.state_dict()), strict=True)
    tokens = random_tokens(2, dims)
    torch.testing.assert_close(theirs(tokens), ours(tokens), atol=1e-5, rtol=1e-4)


def test_experts_that_lie_idle_and_their_balance_are_told_apart() -> None:
    config = TransformersConfig(model_type="olmoe", config={"num_experts": 8, "num_experts_per_tok": 2})
    params = config.num_params(DIMS)
    inner = config.build(DIMS, Attention.CAUSAL).inner.config.intermediate_size
    expert = 3 * DIMS.d_model * inner
    assert params.non_embedding - params.active == DIMS.n_layers * 6 * expert
    model, tokens = seeded_model(config, DIMS, Attention.CAUSAL), random_tokens(4, DIMS)
    balance = model.encode(tokens).auxiliary
    assert balance is not None
    library = model.inner(tokens, output_router_logits=True)
    torch.testing.assert_close(balance, model.inner.config.router_aux_loss_coef * library.aux_loss)
    assert balance.requires_grad
    assert model.eval().encode(tokens).auxiliary is None
    assert TransformersConfig(**{**config.model_dump(), "sized_by": "active"}).size_of(DIMS) == params.active


def test_a_family_keeps_the_proportions_of_its_default_at_every_size() -> None:
    shape = TransformersConfig(model_type="qwen3").shape
    rung = shape.adapted(ModelDims(vocab_size=264, seq_len=128, d_model=512, n_layers=9, n_heads=8, d_ff=2048))
    scaled = shape.scaled(rung)
    assert scaled["intermediate_size"] / 512 == pytest.approx(22016 / 4096, rel=0.01)
    assert scaled["num_key_value_heads"] == rung.n_heads  # as many as of queries, by default
    assert scaled["head_dim"] == 64
    pinned = TransformersConfig(
        model_type="qwen3", config={"num_key_value_heads": 2, "head_dim": 16, "num_hidden_layers": 3}
    ).shape
    rung = pinned.adapted(rung)
    assert rung.n_layers == 3
    assert not pinned.scaled(rung).keys() & {"num_key_value_heads", "head_dim", "num_hidden_layers"}


def test_a_hybrid_keeps_a_layer_of_each_sort() -> None:
    shape = TransformersConfig(model_type="gemma3_text").shape
    kinds = [shape.scaled(DIMS.model_copy(update={"n_layers": n}))["layer_types"] for n in (2, 6, 8)]
    assert [types.count("full_attention") for types in kinds] == [1, 1, 2]
    assert [len(types) for types in kinds] == [2, 6, 8]


def test_common_settings_that_a_family_has_no_setting_for_are_named() -> None:
    common = CommonSettings(tie_output=True, output_bias=True, initialisation="by_width")
    config, others = TransformersConfig(model_type="gpt2").with_common(common)
    assert (config.tie_output, config.initialisation, others) == (True, "by_width", ("output_bias",))


IMPOSSIBLE = [
    ({"model_type": "quen3"}, "causal", r"no family 'quen3'; did you mean 'qwen3'"),
    ({"model_type": "qwen3", "config": {"hiden_act": "relu"}}, "causal", r"config.hiden_act: Qwen3Config has no such"),
    ({"model_type": "qwen3", "config": {"hidden_size": 64}}, "causal", r"config.hidden_size: is not set here: scan"),
    ({"model_type": "gpt2", "config": {"n_positions": 64}}, "causal", r"n_positions: is not set here: training.seq_"),
    ({"model_type": "qwen3", "config": {"vocab_size": 64}}, "causal", r"config.vocab_size: is not set here"),
    ({"model_type": "qwen3", "config": {"trust_remote_code": True}}, "causal", r"code of the hub is never run"),
    ({"model_type": "qwen3", "config": {"attention_dropout": "much"}}, "causal", r"Qwen3Config refuses its settings"),
    ({"model_type": "qwen3", "config": {"hidden_act": "no_such"}}, "causal", r"cannot be built"),
    ({"model_type": "bert"}, "causal", None),
    ({"model_type": "deberta-v2"}, "causal", r"no causal language model.*it has one for bidirectional attention"),
    ({"model_type": "qwen3"}, "bidirectional", r"no masked language model.*it has one for causal attention"),
    ({"model_type": "t5"}, "causal", r"is an encoder with a decoder"),
    ({"model_type": "gemma3"}, "causal", r"its text alone is 'gemma3_text'"),
    ({"model_type": "vit"}, "causal", r"no causal language model of model_type 'vit'"),
    ({"model_type": "qwen3", "package": "no_such_package"}, "causal", r"package: 'no_such_package' cannot be imported"),
    ({"model_type": "gla", "package": "yaml"}, "causal", r"no family 'gla', nor has it one since 'yaml' was imported"),
    ({"model_type": "xmod"}, "causal", r"cannot be run: .*language"),
    ({"model_type": "gpt2", "output_bias": True}, "causal", r"output_bias: model_type 'gpt2' has no bias"),
]


@pytest.mark.parametrize(("settings", "attention", "told"), IMPOSSIBLE)
def test_what_cannot_be_is_refused_in_one_line(settings: dict[str, Any], attention: str, told: str | None) -> None:
    config = TransformersConfig(**settings)
    if told is None:
        assert trial(config, attention)
        return
    with pytest.raises(ValueError, match=told) as refused:
        trial(config, attention)
    assert "\n" not in str(refused.value)


def test_a_mixture_that_is_too_large_for_a_size_says_what_makes_it_so() -> None:
    with pytest.raises(ValueError, match=r"it has 256 experts a layer: config: \{n_routed_experts: 8\} has fewer$"):
        TransformersConfig(model_type="deepseek_v3").sized_for(2e3, vocab_size=48, seq_len=32)


def test_facts_say_which_settings_the_user_has_made() -> None:
    told = facts(TransformersConfig(model_type="gpt2", config={"num_attention_heads": 2}))
    assert told["pinned"] == ["n_head"]
    assert told["settings"]["n_head"] == 2


def test_heads_of_a_state_space_may_be_set_where_they_suit_other_widths_than_the_librarys_default() -> None:
    shape = TransformersConfig(model_type="mamba2", config={"head_dim": 16}).shape
    for d_model in (32, 64):
        dims = shape.adapted(DIMS.model_copy(update={"d_model": d_model}))
        assert shape.scaled(dims)["num_heads"] == 2 * d_model // 16
    with pytest.raises(ValueError, match="cannot be built"):
        trial(TransformersConfig(model_type="mamba2", config={"num_heads": 7}), "causal")


def test_a_head_of_a_linear_model_has_whole_parts() -> None:
    shape = TransformersConfig(model_type="xlstm").shape
    dims = shape.adapted(ModelDims(vocab_size=48, seq_len=32, d_model=26, n_layers=2, n_heads=2, d_ff=104))
    assert (dims.d_model // 2) % dims.n_heads == 0


def test_runs_are_of_the_versions_of_the_library_and_of_the_package_that_registers_models() -> None:
    named = TransformersConfig(model_type="qwen3", package="yaml")
    assert named.needed_libraries() == ("transformers", "PyYAML")
    assert installed_libraries([named]) == {"PyYAML": version("PyYAML"), "transformers": version("transformers")}


def test_the_plan_is_told_of_the_quicker_implementation_where_there_is_one() -> None:
    assert TransformersConfig(model_type="qwen3").planning_remark() is None
    assert "{kind: mamba2}" in str(TransformersConfig(model_type="mamba2").planning_remark())
