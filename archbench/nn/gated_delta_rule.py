"""The gated delta rule (Yang et al. 2024, Gated Delta Networks, arXiv 2412.06464), in chunks.

    S_t = a_t (I - b_t k_t k_tᵀ) S_{t-1} + b_t k_t v_tᵀ,    y_t = S_tᵀ q_t,    0 < a_t <= 1, 0 < b_t < 1

The state fades by a_t; then what it recalls for the key k_t is moved towards v_t by the share b_t, in place of v_t
being added to it. With u_t for what is really written at t, S_t is a fading sum of k_s u_sᵀ, and inside of a chunk the
u_t solve a triangular system (their section 3.3, the form of Yang et al. 2024 for the rule without a decay, arXiv
2406.06484): products of matrices and one triangular solve in place of a step for each token.

Letters in shapes: B rows, H heads, T positions, K features of queries and keys, V of values, C chunks, c positions of a
chunk.
"""

import torch
from torch import Tensor

from archbench.nn.chunks import decays_between, in_chunks


def gated_delta_rule(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, write: Tensor, *, chunk_size: int
) -> Tensor:
    """y [B, H, T, V] of `queries` and `keys` [B, H, T, K], `values` [B, H, T, V], ln a and b [B, H, T]; S is 0 before.

    Keys should have unit length. T need not be a multiple of `chunk_size`. All is computed in fp32 or wider, as a
    triangular solve needs; the result has the type of `values`, and is that of the recurrence up to rounding.
    """
    length, given = queries.shape[2], values.dtype
    exact = torch.promote_types(given, torch.float32)
    asked, keys, values, log_decay, write = (
        in_chunks(tensor.to(exact), chunk_size, axis=2)
        for tensor in (queries, keys, values, log_decay[..., None], write[..., None])
    )
    passed = log_decay[..., 0].cumsum(dim=-1)
    fading, written = decays_between(passed), keys * write
    # What each position recalls of those before it in its chunk: the strict lower triangle, the rest is not looked at.
    recalled = (written @ keys.transpose(-1, -2)) * fading
    known = torch.cat([values * write, written * passed.exp()[..., None]], dim=-1)
    solved = torch.linalg.solve_triangular(recalled, known, upper=False, unitriangular=True)
    fresh, recalling = solved.split([values.shape[-1], keys.shape[-1]], dim=-1)
    fresh, before = _across_chunks(fresh, recalling, keys, passed)
    mixed = ((asked @ keys.transpose(-1, -2)) * fading) @ fresh
    if before is not None:
        faded = asked[:, :, 1:] * passed[:, :, 1:].exp()[..., None]
        mixed = torch.cat([mixed[:, :, :1], mixed[:, :, 1:] + faded @ before], dim=2)
    return mixed.flatten(2, 3)[:, :, :length].to(given)


def _across_chunks(fresh: Tensor, recalling: Tensor, keys: Tensor, passed: Tensor) -> tuple[Tensor, Tensor | None]:
    """What is written, [B, H, C, c, V], and the state before each chunk but the first, [B, H, C - 1, K, V] or None.

    `fresh` is what a chunk would write into an empty state; `recalling` times the state before it is known already.
    """
    to_end = (keys * (passed[..., -1:] - passed).exp()[..., None]).transpose(-1, -2)
    over_chunk = passed[..., -1].exp()[..., None, None]
    # Taken apart at once: the gradient of each slice would be as large as the whole.
    new, recall = fresh.unbind(2), recalling.unbind(2)
    keep, over = to_end.unbind(2), over_chunk.unbind(2)
    written: list[Tensor] = [new[0]]
    states: list[Tensor] = []
    for chunk in range(1, len(new)):
        added = keep[chunk - 1] @ written[-1]
        states.append(states[-1] * over[chunk - 1] + added if states else added)
        written.append(new[chunk] - recall[chunk] @ states[-1])
    if not states:
        return fresh, None
    return torch.stack(written, dim=2), torch.stack(states, dim=2)
