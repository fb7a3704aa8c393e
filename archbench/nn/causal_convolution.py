"""Causal depthwise convolution: each channel is mixed over its own last positions.

On a CPU torch's depthwise convolution wants channels before positions, and takes several times as long for the layouts
that language models have as one product for each tap of the filter.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv1d, pad

from archbench.nn.tracing import is_plain_cpu_work


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

    Positions before the first count as zero. Gradients of gradients are refused.
    """
    if is_plain_cpu_work(x, weight):
        mixed: Tensor = _TapByTap.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return mixed
    channels, width = weight.shape
    padded = pad(x.transpose(1, 2), (width - 1, 0))
    return conv1d(padded, weight[:, None], bias, groups=channels).transpose(1, 2)


class _TapByTap(torch.autograd.Function):
    """Taps are [W, C] by distance: the first is that of the position itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        taps = weight.flip(1).t().contiguous()
        mixed = x * taps[0] if bias is None else torch.addcmul(bias, x, taps[0])
        for distance, tap in enumerate(taps[1 : x.shape[1]], 1):
            mixed[:, distance:].addcmul_(x[:, :-distance], tap)
        ctx.save_for_backward(x, taps)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, taps = ctx.saved_tensors
        above = grads[0]
        grad_x, grad_taps = above * taps[0], torch.zeros_like(taps)
        grad_taps[0] = (above * x).sum((0, 1))
        for distance, tap in enumerate(taps[1 : x.shape[1]], 1):
            later, earlier = above[:, distance:], x[:, :-distance]
            grad_x[:, :-distance].addcmul_(later, tap)
            grad_taps[distance] = (later * earlier).sum((0, 1))
        return grad_x, grad_taps.t().flip(1), above.sum((0, 1)) if ctx.needs_input_grad[2] else None
