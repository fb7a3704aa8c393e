"""Linear recurrences with a decaying matrix as state, in chunks: matrix products in place of one step a token.

    S_t = a_t · S_{t-1} + k_t v_tᵀ,    y_t = S_tᵀ q_t,    0 < a_t <= 1

is causal attention without softmax whose weights fade: y_t = Σ_{s<=t} (a_{s+1} ... a_t) (q_t · k_s) v_s. With a_t = 1
it is the linear attention of Katharopoulos et al. 2020, with a fixed a RetNet (Sun et al. 2023), with an a_t that
depends on the input the recurrence of Mamba-2 (Dao and Gu 2024). The chunked form is that of the last two: inside of a
chunk the sum over s is a masked product, across chunks the state is carried.

Letters in shapes: B rows, H heads, T positions, K features of queries and keys, V of values, C chunks, c positions of a
chunk.
"""

import torch
from torch import Tensor

from archbench.nn.chunks import decays_between, in_chunks


def chunked_recurrence(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor | None = None, *, chunk_size: int
) -> Tensor:
    """y [B, H, T, V] of `queries` and `keys` [B, H, T, K], `values` [B, H, T, V] and ln a [B, H, T]; S is 0 before it.

    Without `log_decay` nothing fades. T need not be a multiple of `chunk_size`. Its matrix products are counted by
    `archbench.nn.costs.recurrence_flops`; the result is that of the recurrence, up to rounding.
    """
    length = queries.shape[2]
    queries, keys, values = (in_chunks(tensor, chunk_size, axis=2) for tensor in (queries, keys, values))
    weights = queries @ keys.transpose(-1, -2)  # [B, H, C, c, c]
    if log_decay is None:
        passed = None
        weights = weights.tril()
    else:
        # ln of the decay from the beginning of a chunk to each position, in fp32: sums of many small numbers.
        passed = in_chunks(log_decay.float(), chunk_size, axis=2).cumsum(dim=-1)
        weights = (weights * decays_between(passed)).type_as(values)
    mixed = weights @ values
    if mixed.shape[2] > 1:
        before = _states_before(keys, values, passed)
        asking = queries if passed is None else (queries * passed.exp()[..., None]).type_as(queries)
        mixed = torch.cat([mixed[:, :, :1], mixed[:, :, 1:] + asking[:, :, 1:] @ before], dim=2)
    return mixed.flatten(2, 3)[:, :, :length]


def _states_before(keys: Tensor, values: Tensor, passed: Tensor | None) -> Tensor:
    """The state before each chunk but the first, [B, H, C - 1, K, V]."""
    if passed is None:
        added = keys[:, :, :-1].transpose(-1, -2) @ values[:, :, :-1]
        return added.cumsum(dim=2)
    to_end = (passed[..., -1:] - passed).exp()[..., None]
    added = (keys * to_end).type_as(keys)[:, :, :-1].transpose(-1, -2) @ values[:, :, :-1]
    over_chunk = passed[..., -1].exp().type_as(added)[..., None, None]
    # Taken apart at once: the gradient of each slice would be as large as the whole.
    first, *others = added.unbind(2)
    states = [first]
    for more, over in zip(others, over_chunk[:, :, 1:-1].unbind(2), strict=True):
        states.append(states[-1] * over + more)
    return torch.stack(states, dim=2)
