"""Attention on a CPU: torch's own numbers, for heads that are filled up and for those that are not."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from archbench.flops.counter import measured_flops
from archbench.nn.attention import attend


def heads(*sizes: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Queries, keys and values [B, H, T, E] as models make them: views of [B, T, H, E]."""
    rows, num_heads, num_queries, num_keys, width = sizes
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(rows, length, num_heads, width, generator=generator).transpose(1, 2).requires_grad_()
        for length in (num_queries, num_keys, num_keys)
    )


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("width", [1, 7, 11, 12, 16, 33])
def test_attention_and_its_gradients_are_torchs(width: int, causal: bool) -> None:
    inputs = heads(2, 3, 37, 37, width)
    scale = width**-0.5
    mixed = attend(*inputs, causal=causal, scale=scale)
    exact = scaled_dot_product_attention(*(tensor.double() for tensor in inputs), is_causal=causal, scale=scale)
    above = torch.randn(mixed.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(mixed, inputs, above)
    expected = torch.autograd.grad(exact.transpose(1, 2), inputs, above.double())
    # fp32 against fp64: rounding of sums of up to 37 terms near one.
    torch.testing.assert_close(mixed, exact.transpose(1, 2).float(), rtol=1e-5, atol=2e-6)
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [9, 20])
def test_hidden_keys_have_no_influence_at_all(width: int) -> None:
    queries, keys, values = heads(1, 2, 40, 40, width)
    mixed = attend(queries, keys, values, causal=True, scale=1.0)
    gradients = torch.autograd.grad(mixed[:, :20].sum(), (keys, values))
    assert all(not gradient[:, :, 20:].any() for gradient in gradients)
    assert all(gradient[:, :, :20].any() for gradient in gradients)


def test_filling_up_is_no_work_of_the_model() -> None:
    """Who counts FLOPs sees heads of their own width."""
    queries, keys, values = (tensor.detach() for tensor in heads(2, 3, 16, 16, 5))
    counted = measured_flops(lambda: attend(queries, keys, values, causal=True, scale=1.0))
    assert counted == 2 * 2 * (2 * 3 * 16 * 16 * 5)
