"""What linear recurrences in chunks have in common: cutting positions into chunks, and decays inside of one."""

import torch
from torch import Tensor
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
    between = passed[..., :, None] - passed[..., None, :]
    future = torch.ones(between.shape[-2:], dtype=torch.bool, device=passed.device).triu_(1)
    return between.masked_fill(future, float("-inf")).exp()
