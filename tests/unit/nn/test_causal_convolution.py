"""The causal depthwise convolution: the native kernel and torch's give the same numbers."""

from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import conv1d, pad

from archbench.flops.counter import measured_flops
from archbench.nn.causal_convolution import CausalDepthwiseConv, causal_depthwise_convolution
from archbench.nn.native import build as building
from archbench.nn.native.switch import allow_native_kernels, native_kernels_for

needs_compiler = pytest.mark.skipif(building.find_compiler() is None, reason="no C++ compiler here")


@pytest.fixture(autouse=True)
def allowed() -> Iterator[None]:
    allow_native_kernels(True)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    allow_native_kernels(True)


def inputs(rows: int, length: int, channels: int, width: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((rows, length, channels), (channels, width), (channels,))
    return tuple(torch.randn(shape, generator=generator).requires_grad_() for shape in shapes)


def plain(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The sum over positions, written out."""
    width = weight.shape[1]
    padded = pad(x, (0, 0, width - 1, 0))
    return sum((padded[:, j : j + x.shape[1]] * weight[:, j] for j in range(width)), bias.expand_as(x))


@needs_compiler
@pytest.mark.parametrize("sizes", [(2, 20, 12, 4), (1, 5, 7, 11), (3, 33, 40, 7), (1, 1, 1, 1)])
def test_native_kernel_and_its_gradients_are_the_written_out_sum(sizes: tuple[int, int, int, int]) -> None:
    tensors = inputs(*sizes)
    assert native_kernels_for(*tensors) is not None
    exact = tuple(tensor.detach().double().requires_grad_() for tensor in tensors)
    got, expected = causal_depthwise_convolution(*tensors), plain(*exact)
    above = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    # fp32 against fp64: rounding of sums of up to a hundred terms near one.
    torch.testing.assert_close(got, expected.float(), rtol=1e-5, atol=1e-5)
    for mine, theirs in zip(
        torch.autograd.grad(got, tensors, above), torch.autograd.grad(expected, exact, above.double()), strict=True
    ):
        torch.testing.assert_close(mine, theirs.float(), rtol=1e-5, atol=3e-5)


@needs_compiler
def test_views_and_a_missing_bias_are_taken() -> None:
    x, weight, _ = inputs(2, 9, 6, 3)
    strided = torch.randn(9, 2, 12).transpose(0, 1)[..., ::2].requires_grad_()
    for given in (x, strided):
        native = causal_depthwise_convolution(given, weight, None)
        expected = plain(given, weight, torch.zeros(6))
        torch.testing.assert_close(native, expected)
        torch.testing.assert_close(
            torch.autograd.grad(native.square().sum(), given)[0], torch.autograd.grad(expected.square().sum(), given)[0]
        )


@needs_compiler
def test_threads_change_no_bit() -> None:
    tensors, results = inputs(4, 30, 24, 5), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        mixed = causal_depthwise_convolution(*tensors)
        results.append((mixed, *torch.autograd.grad(mixed.square().sum(), tensors)))
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def test_torchs_convolution_does_the_same_where_kernels_are_not_allowed() -> None:
    allow_native_kernels(False)
    tensors = inputs(2, 15, 10, 4)
    torch.testing.assert_close(causal_depthwise_convolution(*tensors), plain(*tensors))


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
