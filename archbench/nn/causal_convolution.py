"""Causal depthwise convolution: each channel is mixed over its own last positions. torch's own, or a native kernel.

On a CPU torch's depthwise convolution wants channels before positions, and takes several times as long for the layouts
that language models have.
"""

from ctypes import CDLL
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv1d, pad

from archbench.nn.native.build import kernels
from archbench.nn.native.switch import longs, native_kernels_for, pointer


class CausalDepthwiseConv(nn.Module):
    """A filter of `width` positions for each of `channels` channels, as `nn.Conv1d` with that many groups starts it."""

    def __init__(self, channels: int, width: int, *, bias: bool) -> None:
        super().__init__()
        bound = width**-0.5
        # The shape of nn.Conv1d, so that saved weights fit.
        self.weight = nn.Parameter(torch.empty(channels, 1, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """See `causal_depthwise_convolution`."""
        return causal_depthwise_convolution(x, self.weight[:, 0], self.bias)


def causal_depthwise_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Σ_j weight[c, W - 1 - j] · x[b, t - j, c] + bias[c]: [B, T, C] of `x` [B, T, C] and `weight` [C, W].

    Positions before the first count as zero. Gradients of gradients are refused by the native kernel.
    """
    if native_kernels_for(x, weight):
        mixed: Tensor = _NativeConvolution.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return mixed
    channels, width = weight.shape
    padded = pad(x.transpose(1, 2), (width - 1, 0))
    return conv1d(padded, weight[:, None], bias, groups=channels).transpose(1, 2)


class _NativeConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, by_distance = x.contiguous(), weight.flip(1).t().contiguous()
        out = torch.empty_like(x)
        ctx.sizes = (*x.shape, weight.shape[1], torch.get_num_threads())
        ctx.has_bias = bias is not None
        ctx.save_for_backward(x, by_distance)
        _library().archbench_convolution(
            longs(*ctx.sizes), pointer(x), pointer(by_distance), pointer(bias), pointer(out)
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, by_distance = ctx.saved_tensors
        above, grad_x = grads[0].contiguous(), torch.empty_like(x)
        by_row = x.new_empty(len(x), *by_distance.shape)
        _library().archbench_convolution_backward(
            longs(*ctx.sizes), *(pointer(tensor) for tensor in (x, by_distance, above, grad_x, by_row))
        )
        grad_bias = above.sum((0, 1)) if ctx.has_bias else None
        return grad_x, by_row.sum(0).t().flip(1), grad_bias


def _library() -> CDLL:
    """The kernels, which the caller knows to be there."""
    built = kernels()
    assert built is not None, "the native convolution was chosen without its kernels"
    return built.shared_object
