"""Mamba-2's state space (Dao and Gu 2024, arXiv 2405.21060) in chunks: products of matrices in place of steps.

    h_t = a_t h_{t-1} + B_t x_tᵀ,    y_t = h_tᵀ C_t,    0 < a_t <= 1

has one B_t and one C_t for all heads, whose values x_t and decays a_t are their own. Products with B and C are
therefore taken once for all heads side by side, and what is made to fade is x and y, which are narrower than B and C
for every head would be.

Letters in shapes: R rows, T positions, H heads, P features of a head, N of the state, K chunks, c positions of a chunk.
"""

import torch
from torch import Tensor

from archbench.nn.chunks import decays_between, in_chunks


def state_space(reads: Tensor, writes: Tensor, values: Tensor, log_decay: Tensor, *, chunk_size: int) -> Tensor:
    """y [R, T, H, P] of C and B [R, T, N], x [R, T, H, P] and ln a [R, T, H], in fp32 or wider; h is 0 before.

    T need not be a multiple of `chunk_size`.
    """
    length = values.shape[1]
    reads, writes, values, log_decay = (
        in_chunks(tensor, chunk_size, axis=1) for tensor in (reads, writes, values, log_decay)
    )
    passed = log_decay.cumsum(dim=2)  # ln of what is left at each position of what was there before the chunk
    scores = (reads @ writes.transpose(-1, -2))[:, :, None]  # [R, K, 1, c, c]
    weights = (scores * decays_between(passed.transpose(2, 3))).type_as(values)
    mixed = (weights @ values.transpose(2, 3)).transpose(2, 3)  # [R, K, c, H, P]
    if mixed.shape[1] > 1:
        carried = reads[:, 1:] @ _states_before(writes, values, passed)
        faded = torch.unflatten(carried, -1, values.shape[-2:]) * passed[:, 1:].exp().type_as(values)[..., None]
        mixed = torch.cat([mixed[:, :1], mixed[:, 1:] + faded], dim=1)
    return mixed.flatten(1, 2)[:, :length]


def _states_before(writes: Tensor, values: Tensor, passed: Tensor) -> Tensor:
    """The state before each chunk but the first, all heads side by side: [R, K - 1, N, H·P]."""
    to_end = (passed[:, :-1, -1:] - passed[:, :-1]).exp().type_as(values)[..., None]
    added = writes[:, :-1].transpose(-1, -2) @ (values[:, :-1] * to_end).flatten(3)
    over_chunk = passed[:, :, -1].exp().type_as(values).repeat_interleave(values.shape[-1], dim=-1)
    first, *others = added.unbind(1)
    states = [first]
    for more, over in zip(others, over_chunk[:, 1:-1, None].unbind(1), strict=True):
        states.append(states[-1] * over + more)
    return torch.stack(states, dim=1)
