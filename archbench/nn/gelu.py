"""GELU by its tanh approximation (Hendrycks and Gimpel 2016): torch's own, or on a CPU the same by a sigmoid.

(1 + tanh(u/2)) / 2 is the sigmoid of u, which torch computes on a CPU in a third of the time of tanh. The exact GELU is
left to torch, whose kernel for it is as fast as can be.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu

from archbench.nn.tracing import is_plain_cpu_work

_SLOPE = 2.0 * math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715 * _SLOPE


class GeluTanh(nn.Module):
    """`torch.nn.GELU("tanh")` up to rounding."""

    def forward(self, x: Tensor) -> Tensor:
        """x · (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2, of the shape of `x`. Gradients of gradients are refused."""
        if is_plain_cpu_work(x):
            activated: Tensor = _GeluBySigmoid.apply(x)  # type: ignore[no-untyped-call]
            return activated
        return gelu(x, approximate="tanh")


class _GeluBySigmoid(torch.autograd.Function):
    """x · s with s = sigmoid(x · (a + b·x²)); its slope is s + s · (1 - s) · x · (a + 3·b·x²)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        share = torch.addcmul(x.new_tensor(_SLOPE), x, x, value=_CUBIC).mul_(x).sigmoid_()
        ctx.save_for_backward(x, share)
        return x * share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, share = ctx.saved_tensors
        steepness = torch.addcmul(x.new_tensor(_SLOPE), x, x, value=3.0 * _CUBIC).mul_(x)
        gradient: Tensor = torch.ops.aten.sigmoid_backward(steepness, share).add_(share).mul_(grads[0])
        return gradient
