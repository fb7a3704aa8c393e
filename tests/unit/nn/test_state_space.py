"""Mamba-2's state space in chunks against its recurrence, step by step."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from archbench.flops.counter import measured_flops
from archbench.nn.state_space import state_space


def inputs(length: int, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """C and B [2, T, 6], x [2, T, 3, 5], ln a [2, T, 3]."""
    generator = torch.Generator().manual_seed(0)
    reads, writes, values, decay = (
        torch.randn(2, length, *shape, generator=generator, dtype=torch.float64) for shape in ((6,), (6,), (3, 5), (3,))
    )
    return tuple(tensor.to(dtype).requires_grad_() for tensor in (reads, writes, values, logsigmoid(decay + 2.0)))


def step_by_step(reads: Tensor, writes: Tensor, values: Tensor, log_decay: Tensor) -> Tensor:
    """The equation of the paper, one token after another."""
    state = values.new_zeros(len(values), values.shape[2], writes.shape[-1], values.shape[-1])
    out = []
    for t in range(values.shape[1]):
        added = torch.einsum("rn,rhp->rhnp", writes[:, t], values[:, t])
        state = log_decay[:, t].exp()[..., None, None] * state + added
        out.append(torch.einsum("rn,rhnp->rhp", reads[:, t], state))
    return torch.stack(out, dim=1)


@pytest.mark.parametrize(("length", "chunk_size"), [(32, 8), (32, 32), (20, 64), (37, 8), (9, 1)])
def test_chunks_and_their_gradients_are_the_recurrence(length: int, chunk_size: int) -> None:
    tensors = inputs(length)
    chunked, expected = state_space(*tensors, chunk_size=chunk_size), step_by_step(*tensors)
    torch.testing.assert_close(chunked, expected, rtol=1e-10, atol=1e-10)
    above = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for got, wanted in zip(
        torch.autograd.grad(chunked, tensors, above), torch.autograd.grad(expected, tensors, above), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


def test_nothing_comes_from_later_tokens() -> None:
    tensors = inputs(24)
    out = state_space(*tensors, chunk_size=8)
    for gradient in torch.autograd.grad(out[:, 13].square().sum(), tensors):
        assert gradient[:, 14:].abs().max() == 0.0
        assert gradient[:, :14].abs().max() > 0.0


def test_long_decays_neither_overflow_nor_vanish_into_nothing() -> None:
    reads, writes, values, _ = (tensor.detach() for tensor in inputs(64, dtype=torch.float32))
    log_decay = torch.full((2, 64, 3), -40.0).requires_grad_()
    out = state_space(reads, writes, values, log_decay, chunk_size=32)
    # Nothing is left after one step: each position sees itself alone.
    torch.testing.assert_close(out, (reads * writes).sum(-1)[..., None, None] * values, rtol=1e-5, atol=1e-5)
    out.square().sum().backward()
    assert log_decay.grad is not None
    assert bool(log_decay.grad.isfinite().all())


@pytest.mark.parametrize(("length", "chunk_size"), [(32, 8), (30, 16), (8, 16)])
def test_it_costs_what_the_formula_says(length: int, chunk_size: int) -> None:
    tensors = inputs(length)
    chunks = -(-length // chunk_size)
    inside = 2 * chunk_size**2 * (6 + 3 * 5) * chunks
    across = 4 * 6 * 3 * 5 * chunk_size * (chunks - 1)
    assert measured_flops(lambda: state_space(*tensors, chunk_size=chunk_size)) == 2 * (inside + across)
    step = measured_flops(lambda: state_space(*tensors, chunk_size=chunk_size).sum().backward())
    assert step == 3 * 2 * (inside + across)
