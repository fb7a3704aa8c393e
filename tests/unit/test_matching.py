"""Shapes of equal cost."""

import pytest

from archbench.api import ArchitectureConfig, ForwardFlops, ModelDims
from archbench.contracts.matching import matched_dims, train_flops_per_token
from archbench.contracts.objective import ObjectiveConfig
from archbench.host import default_host

REGISTRY = default_host().registry
CAUSAL: ObjectiveConfig = REGISTRY.objectives["causal_lm"].config()
SHAPE = {"vocab_size": 264, "seq_len": 128}


def architecture(kind: str, **settings: object) -> ArchitectureConfig:
    return REGISTRY.architectures[kind].config.model_validate({"kind": kind, **settings})


GPT2 = architecture("gpt2")


def cost(config: ArchitectureConfig, dims: ModelDims) -> float:
    return train_flops_per_token(config, CAUSAL, dims)


@pytest.mark.parametrize(
    "config",
    [
        architecture("reformer", bucket_size=16, n_hashes=2),
        architecture("transformer_xl"),
        architecture("controlled", mixer="linear"),
        architecture("controlled", mixer="lsh", residual="reversible"),
        architecture("controlled", mixer="recurrence_memory", positions="none"),
        architecture("controlled", activation="swiglu"),
    ],
    ids=lambda config: "-".join(map(str, config.model_dump(exclude_defaults=True).values())) or config.kind,
)
@pytest.mark.parametrize("size", [1e4, 4e4, 1.6e5, 3e7])
def test_every_architecture_finds_the_baselines_cost_within_two_per_cent(
    config: ArchitectureConfig, size: float
) -> None:
    wanted = cost(GPT2, GPT2.sized_for(size, **SHAPE))
    dims = matched_dims(config, CAUSAL, wanted, **SHAPE)
    assert cost(config, dims) == pytest.approx(wanted, rel=0.02)
    assert config.problems(dims) == []
    assert (dims.vocab_size, dims.seq_len) == (264, 128)


def test_the_same_architecture_matches_itself_with_the_shape_of_its_own_ladder() -> None:
    for size in (1e4, 1.6e5, 3e7):
        dims = GPT2.sized_for(size, **SHAPE)
        assert matched_dims(GPT2, CAUSAL, cost(GPT2, dims), **SHAPE) == dims


def test_a_free_inner_layer_makes_the_match_tighter_than_the_ladders_steps() -> None:
    config = architecture("controlled", mixer="gated_linear")
    wanted = cost(GPT2, GPT2.sized_for(1.6e5, **SHAPE))
    dims = matched_dims(config, CAUSAL, wanted, **SHAPE, tolerance=0.005)
    assert cost(config, dims) == pytest.approx(wanted, rel=0.005)


def test_wide_inner_layers_stay_multiples_of_8() -> None:
    config = architecture("controlled", mixer="recurrence_memory", positions="none")
    wanted = cost(GPT2, GPT2.sized_for(3e7, **SHAPE))
    assert matched_dims(config, CAUSAL, wanted, **SHAPE).d_ff % 8 == 0


def test_a_cost_that_no_shape_comes_near_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no shape costs 1,000 FLOPs a token within 2 %; the nearest costs [\d,]+"):
        matched_dims(GPT2, CAUSAL, 1000.0, **SHAPE)


def test_an_architecture_without_a_feed_forward_layer_is_matched_by_its_ladder_alone() -> None:
    class Narrow(type(GPT2)):  # type: ignore[misc]
        def forward_flops_per_token(self, dims: ModelDims, attention: object) -> ForwardFlops:
            return ForwardFlops({"attention": 30.0 * dims.n_layers * dims.d_model**2, "logits": 2.0 * dims.d_model})

    narrow = Narrow()
    dims = narrow.sized_for(1.6e5, **SHAPE)
    assert matched_dims(narrow, CAUSAL, cost(narrow, dims), **SHAPE).d_model == dims.d_model
