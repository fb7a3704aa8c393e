"""The gated delta rule in chunks against its recurrence, step by step."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

from archbench.flops.counter import measured_flops
from archbench.nn.gated_delta_rule import gated_delta_rule


def inputs(length: int, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, ...]:
    """Queries, keys [2, 3, T, 5], values [2, 3, T, 7], ln a and b [2, 3, T]."""
    generator = torch.Generator().manual_seed(seed)
    queries, keys, values, decay, write = (
        torch.randn(2, 3, length, *shape, generator=generator, dtype=torch.float64)
        for shape in ((5,), (5,), (7,), (), ())
    )
    tensors = (queries, normalize(keys, dim=-1), values, logsigmoid(decay + 2.0), write.sigmoid())
    return tuple(tensor.to(dtype).requires_grad_() for tensor in tensors)


def step_by_step(queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, write: Tensor) -> Tensor:
    """The equation of the paper, one token after another."""
    rows, heads, length, width = keys.shape
    state = values.new_zeros(rows, heads, width, values.shape[-1])
    eye = torch.eye(width, dtype=values.dtype)
    out = []
    for t in range(length):
        key, share = keys[:, :, t, :, None], write[:, :, t, None, None]
        forgetting = eye - share * key @ key.transpose(-1, -2)
        state = log_decay[:, :, t, None, None].exp() * (forgetting @ state) + share * key @ values[:, :, t, None, :]
        out.append((queries[:, :, t, None, :] @ state)[:, :, 0])
    return torch.stack(out, dim=2)


@pytest.mark.parametrize(("length", "chunk_size"), [(32, 8), (32, 32), (20, 64), (37, 8), (9, 1), (64, 16)])
def test_chunks_and_their_gradients_are_the_recurrence(length: int, chunk_size: int) -> None:
    tensors = inputs(length)
    chunked = gated_delta_rule(*tensors, chunk_size=chunk_size)
    expected = step_by_step(*tensors)
    torch.testing.assert_close(chunked, expected, rtol=1e-10, atol=1e-10)
    above = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for got, wanted in zip(
        torch.autograd.grad(chunked, tensors, above), torch.autograd.grad(expected, tensors, above), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


def test_equal_keys_written_in_full_keep_single_precision() -> None:
    """The worst case of the triangular system: every token replaces what the one before it wrote."""
    queries, keys, values, log_decay, write = (tensor.detach() for tensor in inputs(64, dtype=torch.float32))
    keys = keys[:, :, :1].expand_as(keys).contiguous()
    log_decay, write = torch.zeros_like(log_decay), torch.ones_like(write)
    got = gated_delta_rule(queries, keys, values, log_decay, write, chunk_size=64)
    expected = (queries * keys).sum(-1, keepdim=True) * values
    # The state recalls the last value alone; rounding of fp32.
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_nothing_comes_from_later_tokens() -> None:
    tensors = inputs(24)
    out = gated_delta_rule(*tensors, chunk_size=8)
    for gradient in torch.autograd.grad(out[:, :, 13].square().sum(), tensors):
        assert gradient[:, :, 14:].abs().max() == 0.0
        assert gradient[:, :, :14].abs().max() > 0.0


def test_half_precision_comes_back_as_half_precision_and_near() -> None:
    exact = tuple(tensor.detach() for tensor in inputs(40, dtype=torch.float32))
    half = gated_delta_rule(*(tensor.bfloat16() for tensor in exact), chunk_size=16)
    assert half.dtype is torch.bfloat16
    # Inputs of eight bits of mantissa, in sums of tens of terms near one.
    torch.testing.assert_close(half.float(), gated_delta_rule(*exact, chunk_size=16), rtol=0.1, atol=0.1)


@pytest.mark.parametrize(("length", "chunk_size"), [(32, 8), (30, 16), (8, 16)])
def test_it_costs_what_the_formula_says(length: int, chunk_size: int) -> None:
    tensors = inputs(length)
    chunks = -(-length // chunk_size)
    inside = 2 * chunk_size**2 * (3 * 5 + 2 * 7) * chunks
    across = 6 * 5 * 7 * chunk_size * (chunks - 1)
    forward = 2 * 3 * (inside + across)
    assert measured_flops(lambda: gated_delta_rule(*tensors, chunk_size=chunk_size)) == forward
    assert measured_flops(lambda: gated_delta_rule(*tensors, chunk_size=chunk_size).sum().backward()) == 3 * forward
