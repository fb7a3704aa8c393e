"""LSH attention (Kitaev et al. 2020, section 2): the computation of reformer-pytorch in fewer passes over memory.

On a CPU, reformer-pytorch's `LSHAttention` spends most of its time in element-wise passes over the scores. Here the
scores of a chunk are masked, normalised and differentiated in one autograd node, which is three times as fast with the
same outputs and gradients.

Letters in shapes: B rows × heads, T positions, R hash rounds, C chunks = R·T / bucket_size, c positions of a chunk,
E features of a head.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from archbench.nn.tracing import is_watched

SELF_SCORE = -5e4
"""Score of a position with itself: it attends to itself only where it has nothing else (reformer-pytorch's value)."""

_SCORES_IN_CACHE = 2**19
"""Scores that are computed at once on a CPU: 2 MiB, about a core's second-level cache. A third faster than all at once;
rows and heads do not depend on each other, so the results are the same."""


class Buckets:
    """The hash buckets of one attention layer in one forward pass, [B, R, T]; None before it."""

    def __init__(self) -> None:
        self.ids: Tensor | None = None


class LSHAttention(nn.Module):
    """Attention within chunks of the positions sorted by hash bucket."""

    def __init__(self, *, bucket_size: int, n_hashes: int, causal: bool) -> None:
        super().__init__()
        self.bucket_size = bucket_size
        self.n_hashes = n_hashes
        self.causal = causal

    def forward(self, qk: Tensor, v: Tensor, buckets: Buckets | None = None) -> Tensor:
        """Output [B, T, E] of shared queries and keys `qk` and values `v`, both [B, T, E].

        T must be divisible by twice the bucket size. `buckets` receives the buckets; where it holds some already, these
        are taken and no random number is drawn.
        """
        batch, seq_len, _ = qk.shape
        record = buckets or Buckets()
        if record.ids is None:
            record.ids = hash_buckets(qk, self.n_hashes, seq_len // self.bucket_size)
        # Rounds are sorted one by one; stable, so that equal buckets keep the order of the text.
        order = record.ids.argsort(dim=-1, stable=True)
        at_once = batch
        if qk.device.type == "cpu" and not is_watched():
            at_once = max(1, _SCORES_IN_CACHE // (self.n_hashes * seq_len * 2 * self.bucket_size))
        pieces = zip(torch.split(qk, at_once), torch.split(v, at_once), torch.split(order, at_once), strict=True)
        return torch.cat([self._attend(*piece) for piece in pieces])

    def _attend(self, qk: Tensor, v: Tensor, order: Tensor) -> Tensor:
        """Output [B, T, E] for positions in the order [B, R, T] of their buckets."""
        batch, n_hashes, seq_len = order.shape
        d_head = qk.shape[-1]
        # Where each position of each round goes, to bring the rounds back into the order of the text.
        place = torch.empty_like(order).scatter_(-1, order, torch.arange(seq_len, device=qk.device).expand_as(order))
        chunks = (batch, n_hashes * seq_len // self.bucket_size, self.bucket_size)

        keys = functional.normalize(qk, dim=-1).type_as(qk)
        joined = torch.cat([qk * d_head**-0.5, keys, v], dim=-1)[:, None]
        joined = _reordered(joined, order, place).view(*chunks, -1)
        positions = order.int().view(chunks)
        keys_values = _with_chunk_before(joined[..., d_head:])
        output, log_norm = _ChunkAttention.apply(  # type: ignore[no-untyped-call]
            joined[..., :d_head],
            keys_values[..., :d_head],
            keys_values[..., d_head:],
            positions,
            _with_chunk_before(positions),
            self.causal,
        )

        output = _reordered(output.reshape(*order.shape, d_head), place, order)
        log_norm = log_norm.reshape(order.shape).gather(2, place)
        mixed: Tensor = (output * log_norm.softmax(dim=1)[..., None]).sum(dim=1)
        return mixed.type_as(v)


@torch.no_grad()  # an argmax has no gradient
def hash_buckets(vectors: Tensor, n_hashes: int, num_buckets: int) -> Tensor:
    """Bucket of each vector [B, T, E] in each round, [B, R, T] in [0, num_buckets): angular LSH (Andoni et al. 2015).

    The random rotations are the same for all of the batch. They come from torch's global generator of the CPU, so that
    a seed means the same buckets on every device.
    """
    rotations = torch.randn(vectors.shape[-1], n_hashes, num_buckets // 2).to(vectors)
    rotated = (vectors @ rotations.flatten(1)).view(*vectors.shape[:2], n_hashes, num_buckets // 2)
    return torch.cat([rotated, -rotated], dim=-1).argmax(dim=-1).transpose(1, 2).contiguous()


def _with_chunk_before(chunks: Tensor) -> Tensor:
    """Each chunk of [B, C, c, ...] and the one before it, in a circle: [B, C, 2c, ...]."""
    return torch.cat([chunks, chunks.roll(1, dims=1)], dim=2)


def _reordered(vectors: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """`vectors` [B, R, T, E] in the `order` [B, R, T] of each round; [B, 1, T, E] are the same in all rounds."""
    reordered: Tensor = _Reordering.apply(vectors, order, inverse)  # type: ignore[no-untyped-call]
    return reordered


class _Reordering(torch.autograd.Function):
    """An order of positions and its inverse: the gradient is gathered too, where plain indexing would scatter it."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.rounds = vectors.shape[1]
        return _select(vectors, order)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (inverse,) = ctx.saved_tensors
        grad = _select(grads[0], inverse)
        return grad if ctx.rounds == grad.shape[1] else grad.sum(dim=1, keepdim=True), None, None


def _select(vectors: Tensor, index: Tensor) -> Tensor:
    """`vectors` [B, R or 1, T, E] at `index` [B, R, T]: [B, R, T, E]."""
    batch, rounds, length, width = vectors.shape
    first = torch.arange(batch * rounds, device=index.device).view(batch, rounds, 1) * length
    rows = (index + first).view(-1)
    return vectors.reshape(-1, width).index_select(0, rows).view(*index.shape, width)


class _ChunkAttention(torch.autograd.Function):
    """Attention of each chunk's c queries to its 2c keys, and the logarithm of each query's norm.

    Autocast is off inside: it would leave a mixture of precisions that the backward pass had to disentangle.
    """

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        query_positions: Tensor,
        key_positions: Tensor,
        causal: bool,
    ) -> tuple[Tensor, Tensor]:
        queries, keys, values = (tensor.flatten(0, 1) for tensor in (queries, keys, values))
        own, others = query_positions.flatten(0, 1)[:, :, None], key_positions.flatten(0, 1)[:, None, :]
        with torch.autocast(queries.device.type, enabled=False):
            # 1 where a key is hidden, by arithmetic: on a CPU comparing and filling take ten times as long.
            behind = others - own
            hidden = behind.clamp_(-1, 0).add_(1) if causal else behind.abs_().clamp_(max=1).neg_().add_(1)
            lowest = torch.finfo(queries.dtype).min
            scores = torch.baddbmm(hidden.to(queries.dtype), queries, keys.transpose(1, 2), beta=lowest)
            # Query i of a chunk is its key i. A second copy of it in a chunk of another round stays hidden.
            scores.diagonal(dim1=1, dim2=2).fill_(SELF_SCORE)
            weights = scores.softmax(dim=-1)
            output = torch.bmm(weights, values)
        # The largest weight is exp(largest score - log norm) and never zero. Rounds are mixed by this number.
        exact = torch.promote_types(scores.dtype, torch.float32)
        log_norm = scores.amax(dim=-1).to(exact) - weights.amax(dim=-1).to(exact).log()
        ctx.save_for_backward(queries, keys, values, weights, output)
        ctx.chunks = query_positions.shape[:2]
        return output.view(*ctx.chunks, *output.shape[1:]), log_norm.view(*ctx.chunks, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, weights, output = ctx.saved_tensors
        grad_output, grad_log_norm = (grad.flatten(0, 1) for grad in grads)
        with torch.autocast(queries.device.type, enabled=False):
            grad_values = torch.bmm(weights.transpose(1, 2), grad_output)
            # The softmax's gradient needs Σ_j weight_j · grad_weight_j, which is output · grad_output.
            shift = (grad_log_norm - (output * grad_output).sum(dim=-1)).to(weights.dtype)
            grad_scores = torch.bmm(grad_output, values.transpose(1, 2)).add_(shift[..., None]).mul_(weights)
            grad_queries = torch.bmm(grad_scores, keys)
            grad_keys = torch.bmm(grad_scores.transpose(1, 2), queries)
        back = [grad.view(*ctx.chunks, *grad.shape[1:]) for grad in (grad_queries, grad_keys, grad_values)]
        return *back, None, None, None
