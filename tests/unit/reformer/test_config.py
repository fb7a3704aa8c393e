"""Reformer's size, cost and constraints."""

import pytest

from archbench.api import Attention, ModelDims
from archbench.flops.counter import measured_flops
from archbench_reformer.config import ReformerConfig

torch = pytest.importorskip("torch")

DIMS = ModelDims(vocab_size=40, seq_len=32, d_model=12, n_layers=3, n_heads=2, d_ff=42)


@pytest.mark.parametrize("attention", sorted(ReformerConfig.attention_modes))
@pytest.mark.parametrize(("bucket_size", "n_hashes"), [(4, 1), (8, 3), (16, 2)])
def test_measured_flops_are_the_analytic_ones_forward_and_in_a_step(
    bucket_size: int, n_hashes: int, attention: Attention
) -> None:
    """Exactly: the backward pass runs each branch once more, but keeps the buckets and draws no rotations."""
    config = ReformerConfig(bucket_size=bucket_size, n_hashes=n_hashes)
    model = config.build(DIMS, attention)
    tokens = torch.randint(DIMS.vocab_size, (2, DIMS.seq_len))
    analytic = config.forward_flops_per_token(DIMS, attention)
    assert measured_flops(lambda: model(tokens)) == analytic.forward() * tokens.numel()
    assert measured_flops(lambda: model(tokens).sum().backward()) == analytic.train() * tokens.numel()


@pytest.mark.parametrize("target_params", [1e4, 1e5, 1e6, 1e7])
def test_costs_are_exact_along_the_ladder(target_params: float) -> None:
    config = ReformerConfig()
    dims = config.sized_for(target_params, vocab_size=264, seq_len=128)
    model = config.build(dims, Attention.CAUSAL)
    tokens = torch.randint(dims.vocab_size, (1, dims.seq_len))
    train = config.forward_flops_per_token(dims, Attention.CAUSAL).train()
    assert measured_flops(lambda: model(tokens).sum().backward()) == train * tokens.numel()
    assert sum(parameter.numel() for parameter in model.parameters()) == config.num_params(dims).total


def test_chunked_feed_forward_changes_no_result() -> None:
    tokens = torch.randint(DIMS.vocab_size, (2, DIMS.seq_len))
    outputs = []
    for ff_chunks in (1, 4):
        torch.manual_seed(0)
        model = ReformerConfig(bucket_size=4, ff_chunks=ff_chunks).build(DIMS, Attention.CAUSAL).double()
        outputs.append(model(tokens))
    torch.testing.assert_close(outputs[0], outputs[1])


def test_context_that_buckets_do_not_divide_is_a_problem_with_remedy() -> None:
    config = ReformerConfig(bucket_size=12)
    problem = "seq_len 32 is not divisible by twice bucket_size 12 (24); use seq_len 24 or 48, or another bucket_size"
    assert config.problems(DIMS) == [problem]
    with pytest.raises(ValueError, match="use seq_len 24 or 48"):
        config.build(DIMS, Attention.CAUSAL)


def test_a_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="has bidirectional or causal attention, got prefix"):
        ReformerConfig(bucket_size=4).build(DIMS, Attention.PREFIX)


def test_context_shorter_than_two_buckets_can_only_grow() -> None:
    assert "use seq_len 128, or" in ReformerConfig(bucket_size=64).problems(DIMS)[0]


def test_tokens_of_a_wrong_length_are_refused() -> None:
    model = ReformerConfig(bucket_size=8).build(DIMS, Attention.CAUSAL)
    with pytest.raises(ValueError, match="24 tokens are not divisible by twice the bucket size, 16"):
        model(torch.zeros(1, 24, dtype=torch.int64))
