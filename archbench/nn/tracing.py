"""Who looks on while torch computes: counters of FLOPs and tracers are to see its operations whole, as torch's own."""

import torch
from torch import Tensor


def is_watched() -> bool:
    """Whether somebody traces or counts torch's operations."""
    return torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0


def is_plain_cpu_work(*tensors: Tensor) -> bool:
    """Whether work on `tensors` is done by a CPU in fp32 or fp64, outside of autocast, and nobody watches.

    There the same numbers are had in fewer or cheaper passes than by torch's one operation.
    """
    if is_watched() or torch.is_autocast_enabled("cpu"):
        return False
    return all(tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64) for tensor in tensors)
