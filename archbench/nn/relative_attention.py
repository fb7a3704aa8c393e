"""The attention of Dai et al. 2019 (arXiv 1901.02860), section 3.3: relative positions, exact over a memory.

The score of query i and key j at distance i - j is, for each head (their equation for A^rel),

    (q_i + u) · k_j  +  (q_i + v) · W_R r_{i-j}

with a content bias u and a position bias v learned for each head, and r_{i-j} a fixed sinusoid of the distance.

Letters in shapes: B rows, T positions of the segment, M positions of the memory, K = M + T keys, H heads, E features of
a head, D = H·E.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from archbench.nn.tracing import is_watched

_SCORES_IN_CACHE = 2**19
"""Scores that are computed at once on a CPU: 2 MiB, about a core's second-level cache. Faster than all at once; rows do
not depend on each other, so the results are the same."""


class RelativeSinusoids(nn.Module):
    """Sinusoids of the distances between a query and the keys before it; the same for all layers, not learned."""

    table: Tensor

    def __init__(self, d_model: int, max_keys: int) -> None:
        super().__init__()
        distances = torch.arange(max_keys, -1, -1, dtype=torch.float32)
        frequencies = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float32) / d_model)
        angles = distances[:, None] * frequencies
        self.register_buffer("table", torch.cat([angles.sin(), angles.cos()], dim=-1), persistent=False)

    def forward(self, num_keys: int) -> Tensor:
        """Sinusoids of the distances `num_keys`, ..., 1, 0: [num_keys + 1, d_model].

        Raises ValueError where there are more keys than segment and memory may hold together.
        """
        if num_keys >= len(self.table):
            raise ValueError(f"{num_keys} keys, but segment and memory hold at most {len(self.table) - 1} positions")
        return self.table[-(num_keys + 1) :]


def relative_shift(by_distance: Tensor) -> Tensor:
    """Scores [..., T, K + 1] by distance K, ..., 0 as a view by key, [..., T, K].

    Query i (at position M + i of the K keys) has key j at distance M + i - j, in column j + T - i. Walking the memory
    row by row from element T on, in rows of K instead of K + 1, moves one column further left with every row: that is
    the shift. What it puts at keys after the query belongs to other rows, and is masked.
    """
    *leading, num_queries, num_distances = by_distance.shape
    return by_distance.flatten(-2)[..., num_queries:].view(*leading, num_queries, num_distances - 1)


class RelativeAttention(nn.Module):
    """Causal attention over the memory and the segment; its parameters are left to the caller to initialise."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.d_head = d_model // n_heads
        self.to_queries = nn.Linear(d_model, d_model, bias=False)
        self.to_keys_values = nn.Linear(d_model, 2 * d_model, bias=False)
        self.to_positions = nn.Linear(d_model, d_model, bias=False)
        self.to_out = nn.Linear(d_model, d_model, bias=False)
        self.content_bias = nn.Parameter(torch.empty(n_heads, self.d_head))
        """u of the paper."""
        self.position_bias = nn.Parameter(torch.empty(n_heads, self.d_head))
        """v of the paper."""

    def forward(self, x: Tensor, sinusoids: RelativeSinusoids, memory: Tensor | None = None) -> Tensor:
        """Attention output [B, T, D] of the segment `x` [B, T, D] with the `memory` [B, M, D] before it."""
        rows, num_queries, _ = x.shape
        context = x if memory is None else torch.cat([memory, x], dim=1)
        num_keys = context.shape[1]

        queries = self.to_queries(x).view(rows, num_queries, self.n_heads, self.d_head)
        keys, values = self.to_keys_values(context).view(rows, num_keys, 2, self.n_heads, self.d_head).unbind(2)
        distances = sinusoids(num_keys).type_as(x)  # DeepSpeed casts parameters to bfloat16, but no buffers
        positions = self.to_positions(distances).view(num_keys + 1, self.n_heads, self.d_head)

        at_once = rows
        if x.device.type == "cpu" and not is_watched():
            at_once = max(1, _SCORES_IN_CACHE // (self.n_heads * num_queries * num_keys))
        pieces = zip(
            torch.split(queries, at_once), torch.split(keys, at_once), torch.split(values, at_once), strict=True
        )
        mixed = torch.cat([self._attend(*piece, positions) for piece in pieces])
        output: Tensor = self.to_out(mixed.flatten(2))
        return output

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, positions: Tensor) -> Tensor:
        """Mixed values [B, T, H, E]; `queries` as they, `keys` and `values` [B, K, H, E], `positions` [K + 1, H, E].

        Heads come first in all products, [H, B, ...], so that the rows share one product with the positions.
        """
        rows, num_queries = queries.shape[:2]
        mixed: Tensor = _AttentionByDistance.apply(  # type: ignore[no-untyped-call]
            (queries.permute(2, 0, 3, 1).contiguous() + self.content_bias[:, None, :, None]).flatten(0, 1),
            keys.permute(2, 0, 3, 1).flatten(0, 1),
            values.permute(2, 0, 3, 1).flatten(0, 1),
            queries.permute(2, 3, 0, 1).flatten(2) + self.position_bias[..., None],
            positions.permute(1, 2, 0),
            self.d_head**-0.5,
        )
        return mixed.view(self.n_heads, rows, self.d_head, num_queries).permute(1, 3, 0, 2)


class _AttentionByDistance(torch.autograd.Function):
    """Mixed values [H·B, E, T] of `content_queries` q + u [H·B, E, T], `keys` and `values` [H·B, E, K],
    `position_queries` q + v [H, E, B·T] and `positions` [H, E, K + 1].

    Features come before positions: on a CPU products with few columns take several times as long as those with few
    rows. One autograd node takes fewer passes over the scores than one for each operation. Autocast is off inside: it
    would leave a mixture of precisions that the backward pass had to disentangle.
    """

    @staticmethod
    def forward(
        ctx: Any,
        content_queries: Tensor,
        keys: Tensor,
        values: Tensor,
        position_queries: Tensor,
        positions: Tensor,
        scale: float,
    ) -> Tensor:
        content_queries, values, position_queries, positions = (
            tensor.to(keys.dtype) for tensor in (content_queries, values, position_queries, positions)
        )
        (_, _, num_queries), num_keys = content_queries.shape, keys.shape[2]
        with torch.autocast(keys.device.type, enabled=False):
            by_distance = torch.bmm(position_queries.transpose(1, 2), positions)
            scores = relative_shift(by_distance.view(-1, num_queries, num_keys + 1))
            # Not `baddbmm_`, which torch's counter of FLOPs does not know.
            torch.baddbmm(scores, content_queries.transpose(1, 2), keys, beta=scale, alpha=scale, out=scores)
            future = scores.new_full((num_queries, num_queries), float("-inf")).triu_(1)
            scores[..., num_keys - num_queries :].add_(future)
            weights = scores.softmax(dim=-1)
            mixed = torch.bmm(values, weights.transpose(1, 2))
        ctx.save_for_backward(content_queries, keys, values, position_queries, positions, weights, mixed)
        ctx.scale = scale
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        content_queries, keys, values, position_queries, positions, weights, mixed = ctx.saved_tensors
        above, (_, num_queries, num_keys) = grads[0], weights.shape
        scaled = above * ctx.scale
        by_distance = weights.new_empty(len(weights), num_queries, num_keys + 1)
        by_distance.flatten(1)[:, :num_queries] = 0.0  # what the shift leaves out
        with torch.autocast(keys.device.type, enabled=False):
            grad_values = torch.bmm(above, weights)
            # The softmax's gradient needs Σ_j weight_j · grad_weight_j, which is mixed · above.
            shift = (mixed * scaled).sum(dim=1)[..., None]
            grad_weights = torch.baddbmm(shift, scaled.transpose(1, 2), values, beta=-1.0)
            grad_scores = torch.mul(grad_weights, weights, out=relative_shift(by_distance))
            grad_content_queries = torch.bmm(keys, grad_scores.transpose(1, 2))
            grad_keys = torch.bmm(content_queries, grad_scores)
            by_distance = by_distance.view(len(positions), -1, num_keys + 1)
            grad_position_queries = torch.bmm(positions, by_distance.transpose(1, 2))
            grad_positions = torch.bmm(position_queries, by_distance)
        return grad_content_queries, grad_keys, grad_values, grad_position_queries, grad_positions, None
