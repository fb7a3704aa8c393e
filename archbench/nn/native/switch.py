"""Whether torch's work on a tensor may be done by the native kernels."""

import ctypes

import torch
from torch import Tensor

from archbench.nn.native.build import Kernels, kernels

_allowed = True


def allow_native_kernels(allowed: bool) -> str:
    """Lets this process use the native kernels, or keeps it from it; the name of the kernels in use."""
    global _allowed
    _allowed = allowed
    return kernels_in_use()


def kernels_in_use() -> str:
    """The name of the kernels that this process works with on a CPU; `torch` for torch's own."""
    built = kernels() if _allowed else None
    return built.name if built else "torch"


def native_kernels_for(*tensors: Tensor) -> Kernels | None:
    """The kernels if they can work on `tensors`: fp32 in the memory of a CPU, and nobody who traces or counts."""
    if not _allowed or is_watched():
        return None
    if torch.is_autocast_enabled("cpu"):
        return None
    if any(tensor.dtype is not torch.float32 or tensor.device.type != "cpu" for tensor in tensors):
        return None
    return kernels()


def is_watched() -> bool:
    """Whether somebody traces or counts torch's operations, who is to see them whole and as torch's own."""
    return torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0


def pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    """Where the data of `tensor` begin; a null pointer for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def longs(*values: int) -> "ctypes.Array[ctypes.c_long]":
    """An array of C's `long`."""
    return (ctypes.c_long * len(values))(*values)
