"""The conformance suite on every mixer of the controlled family, and on what else can be changed in its backbone."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from archbench.api import ArchitectureConfig, Attention, ModelDims
from archbench.flops.dry_run import counted_step
from archbench.host import default_host
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench.testing.probes import random_tokens, seeded_model
from archbench_controlled.config import ControlledConfig
from archbench_gpt2.config import Gpt2Config
from archbench_reformer.config import ReformerConfig

pytestmark = pytest.mark.thorough

MIXERS: dict[str, dict[str, Any]] = {
    "softmax": {},
    "local_window": {"window": 8},
    "shared_qk": {},
    "lsh": {"bucket_size": 8},
    "recurrence_memory": {"positions": "none"},
    "linear": {"chunk_size": 8},
    "gated_linear": {"chunk_size": 8},
}
FACTORS: tuple[dict[str, Any], ...] = (
    {"norm": "post"},
    {"activation": "gelu"},
    {"activation": "relu"},
    {"activation": "squared_relu"},
    {"activation": "swiglu"},
    {"positions": "rotary"},
    {"positions": "sinusoidal"},
    {"positions": "none"},
    {"norm_kind": "rms"},
    {"tie_output": False, "output_bias": True},
    {"output_bias": True},
    {"residual": "reversible"},
    {"initial_scale": "same"},
    {"qkv_bias": False},
)
"""One at a time, beside softmax attention."""

PAIRED: tuple[dict[str, Any], ...] = (
    {"mixer": "lsh", "bucket_size": 8, "residual": "reversible", "qkv_bias": False},
    {"mixer": "shared_qk", "residual": "reversible"},
    {"mixer": "gated_linear", "residual": "reversible", "activation": "swiglu"},
    {"mixer": "linear", "norm": "post", "chunk_size": 12},
    {"norm": "post", "norm_kind": "rms"},
    {"mixer": "lsh", "bucket_size": 8, "residual": "reversible", "norm_kind": "rms"},
    {"mixer": "local_window", "window": 12, "positions": "rotary"},
    {"mixer": "recurrence_memory", "norm": "post", "mem_len": 20, "tie_output": False},
)
"""Settings that meet in one computation: repeated branches, padded chunks, memories shorter than a segment."""


class TestSoftmax(ArchitectureConformance):
    config = ControlledConfig()
    plugin = "archbench_controlled.plugin"
    flops_tolerance = 0.0


class TestLocalWindow(ArchitectureConformance):
    config = ControlledConfig(mixer="local_window", **MIXERS["local_window"])
    flops_tolerance = 0.0


class TestSharedQk(ArchitectureConformance):
    config = ControlledConfig(mixer="shared_qk")
    flops_tolerance = 0.0


class TestLsh(ArchitectureConformance):
    config = ControlledConfig(mixer="lsh", **MIXERS["lsh"])
    flops_tolerance = 0.0


class TestRecurrenceMemory(ArchitectureConformance):
    config = ControlledConfig(mixer="recurrence_memory", **MIXERS["recurrence_memory"])
    # The distances are projected once per step, whatever the rows, as in Transformer-XL; the ladder's test is exact.
    flops_tolerance = 0.06


class TestLinear(ArchitectureConformance):
    config = ControlledConfig(mixer="linear", **MIXERS["linear"])
    flops_tolerance = 1e-9


class TestGatedLinear(ArchitectureConformance):
    config = ControlledConfig(mixer="gated_linear", **MIXERS["gated_linear"])
    flops_tolerance = 1e-9


class TestReversibleHashed(ArchitectureConformance):
    config = ControlledConfig(
        mixer="lsh", **MIXERS["lsh"], residual="reversible", tie_output=False, output_bias=True, qkv_bias=False
    )
    flops_tolerance = 0.0


class TestPostNormSwiglu(ArchitectureConformance):
    config = ControlledConfig(norm="post", activation="swiglu", positions="rotary", tie_output=False)
    flops_tolerance = 0.0


class TestLlamasParts(ArchitectureConformance):
    """Rotary positions, SwiGLU and RMSNorm, each of which is one setting."""

    config = ControlledConfig(norm_kind="rms", activation="swiglu", positions="rotary", qkv_bias=False)
    flops_tolerance = 0.0


@pytest.mark.gpu
class TestSoftmaxOnCuda(ArchitectureOnCuda):
    config = ControlledConfig()


@pytest.mark.gpu
class TestLocalWindowOnCuda(ArchitectureOnCuda):
    config = ControlledConfig(mixer="local_window")


@pytest.mark.gpu
class TestSharedQkOnCuda(ArchitectureOnCuda):
    config = ControlledConfig(mixer="shared_qk")


@pytest.mark.gpu
class TestLshOnCuda(ArchitectureOnCuda):
    config = ControlledConfig(mixer="lsh")


@pytest.mark.gpu
class TestRecurrenceMemoryOnCuda(ArchitectureOnCuda):
    config = ControlledConfig(mixer="recurrence_memory")


@pytest.mark.gpu
class TestLinearOnCuda(ArchitectureOnCuda):
    config = ControlledConfig(mixer="linear")


@pytest.mark.gpu
class TestGatedLinearOnCuda(ArchitectureOnCuda):
    config = ControlledConfig(mixer="gated_linear")


def name(settings: dict[str, Any]) -> str:
    return "-".join(f"{key}_{value}" for key, value in settings.items()) or "default"


EVERY = [{"mixer": mixer, **settings} for mixer, settings in MIXERS.items()]


@pytest.mark.parametrize("settings", [*EVERY, *FACTORS, *PAIRED], ids=name)
@pytest.mark.parametrize("target_params", [1e4, pytest.param(1.6e5, marks=pytest.mark.thorough)])
def test_parameters_and_flops_by_formula_equal_the_built_modules_and_the_counters(
    settings: dict[str, Any], target_params: float
) -> None:
    config = ControlledConfig.model_validate(settings)
    objective = default_host().registry.objectives["causal_lm"].config()
    dims = config.sized_for(target_params, vocab_size=264, seq_len=96)
    counted = counted_step(config, dims, objective)
    flops = config.forward_flops_per_token(dims, Attention.CAUSAL)
    assert counted.num_params == config.num_params(dims).total
    # Whole products on both sides: all that differs is the rounding of sums.
    assert flops.forward() == pytest.approx(counted.forward.per_token, rel=1e-9)
    assert flops.train() == pytest.approx(counted.train.per_token, rel=1e-9)


@pytest.mark.parametrize("settings", [*EVERY, *FACTORS, *PAIRED], ids=name)
def test_no_position_sees_a_later_one(settings: dict[str, Any]) -> None:
    class Suite(ArchitectureConformance):
        config = ControlledConfig.model_validate(settings)

    Suite().test_causality_by_gradient(Attention.CAUSAL)


def test_the_default_is_gpt2s_network_weight_for_weight() -> None:
    dims = Gpt2Config().sized_for(2e4, vocab_size=56, seq_len=32)
    assert ControlledConfig().sized_for(2e4, vocab_size=56, seq_len=32) == dims
    assert ControlledConfig().num_params(dims) == Gpt2Config().num_params(dims)
    theirs = seeded_model(Gpt2Config(), dims, Attention.CAUSAL)
    with torch.no_grad():  # no bias at zero and no norm at one, so that a forgotten one shows
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours = seeded_model(ControlledConfig(), dims, Attention.CAUSAL, seed=5)
    weights = theirs.state_dict()
    copied = {
        "token_embedding.weight": weights["model.transformer.wte.weight"],
        "position_embedding.weight": weights["model.transformer.wpe.weight"],
        "norm.weight": weights["model.transformer.ln_f.weight"],
        "norm.bias": weights["model.transformer.ln_f.bias"],
    }
    names = {
        "attention.norm": "ln_1",
        "attention.mixer.to_heads": "attn.c_attn",
        "attention.mixer.output": "attn.c_proj",
        "feed_forward.0": "ln_2",
        "feed_forward.1.inner": "mlp.c_fc",
        "feed_forward.1.output": "mlp.c_proj",
    }
    for layer in range(dims.n_layers):
        for mine, their in names.items():
            for part in ("weight", "bias"):
                tensor = weights[f"model.transformer.h.{layer}.{their}.{part}"]
                # The library's matrices map rows, torch's columns.
                copied[f"layers.{layer}.{mine}.{part}"] = tensor.T if tensor.ndim == 2 else tensor
    ours.load_state_dict(copied)
    tokens = random_tokens(3, dims)
    # The same products, in torch's linear and in the library's addmm: rounding of fp32.
    torch.testing.assert_close(ours(tokens), theirs(tokens), atol=1e-5, rtol=1e-4)


def test_initial_weights_are_drawn_as_gpt2s() -> None:
    dims = Gpt2Config().sized_for(1e6, vocab_size=264, seq_len=64)
    spread = {
        "layers.0.attention.mixer.to_heads.weight": 0.02,
        "layers.0.attention.mixer.output.weight": 0.02 / (2 * dims.n_layers) ** 0.5,
        "layers.1.feed_forward.1.output.weight": 0.02 / (2 * dims.n_layers) ** 0.5,
        "token_embedding.weight": 0.02,
    }
    parameters = dict(seeded_model(ControlledConfig(), dims, Attention.CAUSAL).named_parameters())
    for key, std in spread.items():
        # Tens of thousands of draws: their standard deviation is within 2 % of the true one.
        assert parameters[key].std().item() == pytest.approx(std, rel=0.02)


REFORMER = {
    "mixer": "lsh",
    "bucket_size": 8,
    "n_hashes": 2,
    "activation": "gelu",
    "tie_output": False,
    "output_bias": True,
    "qkv_bias": False,
    "initial_scale": "same",
    "residual": "reversible",
}
"""The settings that lead from GPT-2 to the bundled Reformer."""


def test_reformers_settings_give_reformers_network_weight_for_weight() -> None:
    theirs_config, ours_config = ReformerConfig(bucket_size=8, n_hashes=2), ControlledConfig.model_validate(REFORMER)
    dims = theirs_config.sized_for(2e4, vocab_size=56, seq_len=32)
    assert ours_config.sized_for(2e4, vocab_size=56, seq_len=32) == dims
    assert ours_config.num_params(dims) == theirs_config.num_params(dims)
    flops = [one.forward_flops_per_token(dims, Attention.CAUSAL) for one in (ours_config, theirs_config)]
    assert flops[0] == flops[1]
    theirs = seeded_model(theirs_config, dims, Attention.CAUSAL)
    with torch.no_grad():  # branches as strong as in a trained model, and no bias at zero
        for parameter in theirs.parameters():
            parameter.mul_(5.0 if parameter.ndim == 2 else 1.0).add_(0.1 * torch.randn_like(parameter))
    weights = theirs.state_dict()
    copied = {
        key: weights[their]
        for key, their in {
            "token_embedding.weight": "token_embedding.weight",
            "position_embedding.weight": "position_embedding.weight",
            "norm.weight": "norm.weight",
            "norm.bias": "norm.bias",
            "output.weight": "output.weight",
            "output.bias": "output.bias",
        }.items()
    }
    for layer in range(dims.n_layers):
        mine, their = f"layers.layers.{layer}", f"layers.layers.{layer}"
        for part in ("weight", "bias"):
            copied |= {
                f"{mine}.attention.norm.{part}": weights[f"{their}.attention.norm.{part}"],
                f"{mine}.attention.mixer.output.{part}": weights[f"{their}.attention.fn.to_out.{part}"],
                f"{mine}.feed_forward.0.{part}": weights[f"{their}.feed_forward.norm.{part}"],
                f"{mine}.feed_forward.1.inner.{part}": weights[f"{their}.feed_forward.fn.fn.w1.{part}"],
                f"{mine}.feed_forward.1.output.{part}": weights[f"{their}.feed_forward.fn.fn.w2.{part}"],
            }
        copied[f"{mine}.attention.mixer.to_heads.weight"] = torch.cat(
            [weights[f"{their}.attention.fn.toqk.weight"], weights[f"{their}.attention.fn.tov.weight"]]
        )
    ours = seeded_model(ours_config, dims, Attention.CAUSAL)
    ours.load_state_dict(copied)
    tokens = random_tokens(3, dims)
    outputs = []
    for model in (ours, theirs):
        torch.manual_seed(2)  # the hash rotations, which both draw layer by layer
        outputs.append(model.double()(tokens))
    torch.testing.assert_close(*outputs, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"window": 8}, "window is a setting of mixer local_window, not of softmax"),
        ({"mixer": "linear", "n_hashes": 4}, "n_hashes is a setting of mixer lsh, not of linear"),
        ({"mixer": "recurrence_memory", "qkv_bias": False}, "qkv_bias is a setting of mixer"),
        ({"mixer": "lsh", "positions": "rotary"}, "rotary positions turn queries and keys of softmax or local_window"),
        ({"residual": "reversible", "norm": "post"}, "choose norm pre"),
        ({"mixer": "recurrence_memory", "residual": "reversible"}, "carry no memory"),
    ],
    ids=lambda value: name(value) if isinstance(value, dict) else "",
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ControlledConfig.model_validate(settings)


def test_what_a_mixer_asks_of_the_shape_is_a_problem() -> None:
    dims = ModelDims(vocab_size=40, seq_len=40, d_model=15, n_layers=2, n_heads=3, d_ff=20)
    hashed = ControlledConfig(mixer="lsh", bucket_size=16)
    assert "use seq_len 32 or 64, or another bucket_size" in hashed.problems(dims)[0]
    assert "d_model 15 is odd" in ControlledConfig(mixer="recurrence_memory").problems(dims)[0]
    with pytest.raises(ValueError, match="use seq_len 32 or 64"):
        hashed.build(dims, Attention.CAUSAL)
    with pytest.raises(ValueError, match="has causal attention"):
        ControlledConfig().build(dims, Attention.BIDIRECTIONAL)


@pytest.mark.parametrize("config", [ControlledConfig(mixer="recurrence_memory"), ControlledConfig()])
def test_state_is_promised_by_the_mixer_with_a_memory_alone(config: ArchitectureConfig) -> None:
    dims = config.sized_for(1e4, vocab_size=40, seq_len=32)
    state = seeded_model(config, dims, Attention.CAUSAL).encode(random_tokens(2, dims)).state
    assert (state is not None) == config.carries_state
