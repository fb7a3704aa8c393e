"""The causal depthwise convolution, tap by tap, is the sum over positions."""

import pytest
import torch
from torch.nn.functional import conv1d, pad

from archbench.flops.counter import measured_flops
from archbench.nn.causal_convolution import CausalDepthwiseConv, causal_depthwise_convolution


def inputs(rows: int, length: int, channels: int, width: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((rows, length, channels), (channels, width), (channels,))
    return tuple(torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)


def plain(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The sum over positions, written out."""
    width = weight.shape[1]
    padded = pad(x, (0, 0, width - 1, 0))
    return sum((padded[:, j : j + x.shape[1]] * weight[:, j] for j in range(width)), bias.expand_as(x))


@pytest.mark.parametrize("sizes", [(2, 20, 12, 4), (1, 5, 7, 11), (3, 33, 40, 7), (1, 1, 1, 1)])
def test_convolution_and_its_gradients_are_the_written_out_sum(sizes: tuple[int, int, int, int]) -> None:
    tensors = inputs(*sizes)
    exact = tuple(tensor.detach().double().requires_grad_() for tensor in tensors)
    got, expected = causal_depthwise_convolution(*tensors), plain(*exact)
    above = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    # fp32 against fp64: rounding of sums of up to a hundred terms near one.
    torch.testing.assert_close(got, expected.float(), rtol=1e-5, atol=1e-5)
    for mine, theirs in zip(
        torch.autograd.grad(got, tensors, above), torch.autograd.grad(expected, exact, above.double()), strict=True
    ):
        torch.testing.assert_close(mine, theirs.float(), rtol=1e-5, atol=3e-5)


def test_views_and_a_missing_bias_are_taken() -> None:
    x, weight, _ = inputs(2, 9, 6, 3)
    strided = torch.randn(9, 2, 12).transpose(0, 1)[..., ::2].requires_grad_()
    for given in (x, strided):
        mixed = causal_depthwise_convolution(given, weight, None)
        expected = plain(given, weight, torch.zeros(6))
        torch.testing.assert_close(mixed, expected)
        torch.testing.assert_close(
            torch.autograd.grad(mixed.square().sum(), given)[0], torch.autograd.grad(expected.square().sum(), given)[0]
        )


def test_in_bfloat16_torchs_convolution_does_the_same() -> None:
    tensors = tuple(tensor.detach().bfloat16() for tensor in inputs(2, 15, 10, 4))
    # Eight bits of sums of up to five terms near one.
    torch.testing.assert_close(causal_depthwise_convolution(*tensors), plain(*tensors), rtol=0.02, atol=0.05)


def test_module_has_the_shapes_and_the_function_of_torchs() -> None:
    torch.manual_seed(0)
    module = CausalDepthwiseConv(6, 4, bias=True)
    torchs = torch.nn.Conv1d(6, 6, 4, groups=6, padding=3)
    torchs.load_state_dict(module.state_dict())
    x = torch.randn(2, 10, 6)
    torch.testing.assert_close(module(x), torchs(x.transpose(1, 2))[..., :10].transpose(1, 2))


def test_it_costs_two_flops_per_tap_and_twice_that_backward() -> None:
    x, weight, _ = inputs(2, 16, 12, 4)
    forward = 2 * 2 * 16 * 12 * 4
    assert measured_flops(lambda: causal_depthwise_convolution(x, weight, None)) == forward
    assert measured_flops(lambda: causal_depthwise_convolution(x, weight, None).sum().backward()) == 3 * forward


def test_a_plain_convolution_counts_as_by_torchs_own_formula() -> None:
    x, weight = torch.randn(2, 6, 20, requires_grad=True), torch.randn(8, 6, 5, requires_grad=True)
    forward = 2 * 2 * 16 * 8 * 6 * 5
    assert measured_flops(lambda: conv1d(x, weight)) == forward
    assert measured_flops(lambda: conv1d(x, weight).sum().backward()) == 3 * forward
