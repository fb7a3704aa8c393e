"""GELU by its tanh approximation (Hendrycks and Gimpel 2016): torch's own, or on a CPU a kernel twice as fast.

The exact GELU is left to torch, whose kernel for it is as fast as can be.
"""

from ctypes import c_long
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu

from archbench.nn.native.switch import native_kernels_for, pointer

_VECTOR = 8
"""Floats that the kernel takes at once."""


class GeluTanh(nn.Module):
    """`torch.nn.GELU("tanh")` up to rounding."""

    def forward(self, x: Tensor) -> Tensor:
        """x · (1 + tanh(√(2/π)·(x + 0.044715·x³))) / 2, of the shape of `x`. Gradients of gradients are refused."""
        if x.numel() % _VECTOR == 0 and native_kernels_for(x):
            activated: Tensor = _NativeGelu.apply(x)  # type: ignore[no-untyped-call]
            return activated
        return gelu(x, approximate="tanh")


class _NativeGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        native = native_kernels_for(x)
        assert native is not None, "native GELU was chosen without its kernels"
        x = x.contiguous()
        out = torch.empty_like(x)
        ctx.save_for_backward(x)
        ctx.shared_object, ctx.sizes = native.shared_object, (c_long(x.numel()), c_long(torch.get_num_threads()))
        ctx.shared_object.archbench_gelu(*ctx.sizes, pointer(x), pointer(out))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        above, back = grads[0].contiguous(), torch.empty_like(x)
        ctx.shared_object.archbench_gelu_backward(*ctx.sizes, pointer(x), pointer(above), pointer(back))
        return back
