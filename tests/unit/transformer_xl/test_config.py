"""Transformer-XL's size, cost and constraints."""

import pytest
from pydantic import ValidationError

from archbench.api import Attention, ModelDims
from archbench.flops.counter import measured_flops
from archbench_transformer_xl.config import TransformerXLConfig

torch = pytest.importorskip("torch")

DIMS = ModelDims(vocab_size=40, seq_len=16, d_model=12, n_layers=3, n_heads=2, d_ff=42)


def _check_costs(config: TransformerXLConfig, dims: ModelDims, rows: int) -> None:
    """Counted FLOPs are the analytic ones and, once for all rows, the projection of positions; to the last FLOP."""
    model = config.build(dims, Attention.CAUSAL)
    tokens = torch.randint(dims.vocab_size, (rows, dims.seq_len))
    memory = model.encode(tokens).state
    analytic = config.forward_flops_per_token(dims, Attention.CAUSAL)
    num_distances = dims.seq_len + memory[0].shape[1] + 1
    positions = 2 * dims.n_layers * dims.d_model**2 * num_distances
    assert measured_flops(lambda: model(tokens, state=memory)) == analytic.forward() * tokens.numel() + positions
    step = measured_flops(lambda: model(tokens, state=memory).sum().backward())
    assert step == analytic.train() * tokens.numel() + 2 * positions  # the sinusoids themselves take no gradient
    assert f"{positions:,} FLOPs" in analytic.uncounted["position_projection"]


@pytest.mark.parametrize("mem_len", [None, 5, 16])
def test_costs_are_exact_but_for_the_projection_of_positions(mem_len: int | None) -> None:
    _check_costs(TransformerXLConfig(mem_len=mem_len), DIMS, rows=2)


@pytest.mark.parametrize("target_params", [1e4, 1e5, 1e6, 1e7])
def test_costs_are_exact_along_the_ladder(target_params: float) -> None:
    config = TransformerXLConfig()
    dims = config.sized_for(target_params, vocab_size=264, seq_len=64)
    _check_costs(config, dims, rows=1)
    built = config.build(dims, Attention.CAUSAL)
    assert sum(parameter.numel() for parameter in built.parameters()) == config.num_params(dims).total


def test_projection_of_positions_is_below_half_a_per_cent_at_32_rows() -> None:
    config = TransformerXLConfig()
    for target in (1e4, 1e6, 3.5e8):
        dims = config.sized_for(target, vocab_size=264, seq_len=256)
        positions = 4 * dims.n_layers * dims.d_model**2 * (2 * dims.seq_len + 1)
        step = config.forward_flops_per_token(dims, Attention.CAUSAL).train() * dims.seq_len * 32
        assert positions / step < 0.005


def test_longer_memory_costs_more_attention_and_nothing_else() -> None:
    short = TransformerXLConfig(mem_len=16).forward_flops_per_token(DIMS, Attention.CAUSAL).components
    long = TransformerXLConfig(mem_len=48).forward_flops_per_token(DIMS, Attention.CAUSAL).components
    changed = {name for name in short if short[name] != long[name]}
    assert changed == {"keys_values", "content_attention", "position_attention"}
    assert long["content_attention"] == 2 * short["content_attention"]  # 64 keys against 32


def test_memory_is_as_long_as_the_segment_by_default() -> None:
    default, explicit = TransformerXLConfig(), TransformerXLConfig(mem_len=DIMS.seq_len)
    assert default.forward_flops_per_token(DIMS, Attention.CAUSAL) == explicit.forward_flops_per_token(
        DIMS, Attention.CAUSAL
    )


def test_odd_width_is_refused_with_the_reason() -> None:
    odd = DIMS.model_copy(update={"d_model": 15, "n_heads": 3})
    assert TransformerXLConfig().problems(odd) == ["d_model 15 is odd; the relative sinusoids need an even width"]


def test_bidirectional_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="transformer_xl has causal attention"):
        TransformerXLConfig().build(DIMS, Attention.BIDIRECTIONAL)


def test_empty_memory_is_refused() -> None:
    with pytest.raises(ValidationError):
        TransformerXLConfig(mem_len=0)
