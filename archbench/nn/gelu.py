"""The GELU of Hendrycks and Gimpel 2016: torch's own, or on a CPU the native kernel, which is three times as fast."""

from ctypes import c_long
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from archbench.nn.native.build import kernels
from archbench.nn.native.switch import native_kernels_for, pointer


class Gelu(nn.Module):
    """torch's `GELU` up to rounding: exact by default, or its approximation by a hyperbolic tangent."""

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """x times the normal distribution function at x, of the shape of `x`. Gradients of gradients are refused."""
        if native_kernels_for(x):
            activated: Tensor = _NativeGelu.apply(x, self.approximate == "tanh")  # type: ignore[no-untyped-call]
            return activated
        return functional.gelu(x, approximate=self.approximate)


class _NativeGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tanh: bool) -> Tensor:
        x = x.contiguous()
        out = torch.empty_like(x)
        built = kernels()
        assert built is not None, "native GELU was chosen without its kernels"
        built.library.archbench_gelu(*_sizes(x), int(tanh), pointer(x), pointer(out))
        ctx.save_for_backward(x)
        ctx.tanh, ctx.library = tanh, built.library
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        above = grads[0].contiguous()
        back = torch.empty_like(x)
        ctx.library.archbench_gelu_backward(*_sizes(x), int(ctx.tanh), pointer(x), pointer(above), pointer(back))
        return back, None


def _sizes(x: Tensor) -> tuple[Any, Any]:
    return c_long(x.numel()), c_long(torch.get_num_threads())
