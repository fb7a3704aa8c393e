"""Attention with relative positions by the native kernels: the numbers of the explicit products."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from archbench.nn.native.build import find_compiler
from archbench.nn.native.switch import allow_native_kernels
from archbench.nn.relative_attention import RelativeAttention, RelativeSinusoids

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler here")


@pytest.fixture(autouse=True)
def allowed_afterwards() -> Iterator[None]:
    yield
    allow_native_kernels(True)


@pytest.mark.parametrize(
    ("rows", "length", "memory", "n_heads", "d_head"),
    [(3, 37, 0, 2, 6), (3, 37, 37, 2, 6), (2, 64, 64, 4, 11), (1, 5, 3, 1, 2), (2, 16, 40, 1, 40)],
)
def test_output_and_gradients_are_those_of_explicit_products(
    rows: int, length: int, memory: int, n_heads: int, d_head: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    d_model = n_heads * d_head
    attention = RelativeAttention(d_model, n_heads)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    sinusoids = RelativeSinusoids(d_model, length + memory)
    x = torch.randn(rows, length, d_model, generator=generator, requires_grad=True)
    before = torch.randn(rows, memory, d_model, generator=generator, requires_grad=True) if memory else None
    above = torch.randn(rows, length, d_model, generator=generator)
    inputs = [x, *([] if before is None else [before]), *attention.parameters()]

    def outcome(native: bool) -> list[Tensor]:
        allow_native_kernels(native)
        mixed = attention(x, sinusoids, before)
        return [mixed, *torch.autograd.grad(mixed, inputs, above)]

    for got, expected in zip(outcome(True), outcome(False), strict=True):
        # Both in fp32, with sums in another order.
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
