"""What linear recurrences in chunks have in common: cutting positions into chunks, and decays inside of one."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad


def in_chunks(tensor: Tensor, chunk_size: int, *, axis: int) -> Tensor:
    """`tensor` with its positions, along the `axis`, as two axes: chunks, and `chunk_size` positions of each.

    It is filled up with zeros behind, which no earlier position sees. `axis` counts from the front.
    """
    length = tensor.shape[axis]
    num_chunks = -(-length // chunk_size)
    behind = (0, 0) * (tensor.ndim - axis - 1) + (0, num_chunks * chunk_size - length)
    return torch.unflatten(pad(tensor, behind), axis, (num_chunks, chunk_size))


def decays_between(passed: Tensor) -> Tensor:
    """What is left of position s at position t of a chunk, [..., c, c]; 0 where s comes after t.

    `passed` [..., c] is ln of what is left at each position of what was there before the chunk.
    """
    decays: Tensor = _DecaysBetween.apply(passed)  # type: ignore[no-untyped-call]
    return decays


class _DecaysBetween(torch.autograd.Function):
    """In one autograd node, which takes half as many passes over [..., c, c] as one for each operation."""

    @staticmethod
    def forward(ctx: Any, passed: Tensor) -> Tensor:
        between = passed[..., :, None] - passed[..., None, :]
        # Added, not filled in, which takes ten times as long on a CPU.
        between.add_(passed.new_full(between.shape[-2:], float("-inf")).triu_(1))
        decays = between.exp_()
        ctx.save_for_backward(decays)
        return decays

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (decays,) = ctx.saved_tensors
        flows = grads[0] * decays
        gradient: Tensor = flows.sum(dim=-1) - flows.sum(dim=-2)
        return gradient
