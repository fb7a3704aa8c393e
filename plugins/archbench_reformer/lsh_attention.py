"""LSH attention (Kitaev et al. 2020, section 2): the computation of reformer-pytorch in fewer passes over memory.

On a CPU, reformer-pytorch's `LSHAttention.forward` spends most of its time in element-wise passes over the scores. Here
the scores of a chunk are masked, normalised and differentiated in one autograd node; everything else is as there.

Letters in shapes: B rows × heads, T positions, R hash rounds, C chunks = R·T / bucket_size, c positions of a chunk,
E features of a head.
"""

from typing import Any, cast

import torch
from reformer_pytorch.reformer_pytorch import LSHAttention
from torch import Tensor
from torch.nn import functional

_SELF_SCORE = -5e4
"""Score of a position with itself: it attends to itself only where it has nothing else (reformer-pytorch's value)."""


class Buckets:
    """The hash buckets of one attention layer in one forward pass; empty before it."""

    def __init__(self) -> None:
        self.ids: Tensor | None = None


class RepeatableLSHAttention(LSHAttention):  # type: ignore[misc]
    """LSH attention that sorts by given buckets when a reversible layer repeats it, and draws no rotation then."""

    def hash_vectors(
        self,
        n_buckets: int,
        vecs: Tensor,
        key_namespace: Buckets | None = None,
        fetch: bool = False,
        set_cache: bool = False,
    ) -> Tensor:
        """Bucket of each position in each hash round, [B, R·T].

        Rotations come from torch's global generator. `key_namespace` receives the buckets, or with `fetch` gives them;
        the names of the arguments are reformer-pytorch's.
        """
        if fetch and key_namespace is not None and key_namespace.ids is not None:
            return key_namespace.ids
        with torch.no_grad():  # an argmax has no gradient
            buckets = cast(Tensor, super().hash_vectors(n_buckets, vecs, set_cache=False))
        if key_namespace is not None:
            key_namespace.ids = buckets
        return buckets

    def forward(
        self, qk: Tensor, v: Tensor, *, _depth: Buckets | None = None, _reverse: bool = False, **_unused: object
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Output [B, T, E] of shared queries and keys `qk` and values `v`, both [B, T, E]; an empty map; buckets.

        `_unused` takes masks and rotary positions, none of which is set by this plug-in.
        """
        batch, seq_len, d_head = qk.shape
        buckets = self.hash_vectors(seq_len // self.bucket_size, qk, key_namespace=_depth, fetch=_reverse)
        # Rounds are sorted one by one; stable, so that equal buckets keep the order of the text.
        order = buckets.view(batch, self.n_hashes, seq_len).argsort(dim=-1, stable=True)
        chunked = (batch, -1, self.bucket_size)
        positions = order.view(chunked).int()

        keys = functional.normalize(qk, dim=-1).type_as(qk)
        together = torch.cat([qk * d_head**-0.5, keys, v], dim=-1)
        sorted_together = _select(together, order.view(batch, -1)).view(*chunked, 3 * d_head)
        chunk_queries, keys_values = sorted_together[..., :d_head], sorted_together[..., d_head:]
        chunk_keys, chunk_values = _with_one_back(keys_values).chunk(2, dim=-1)
        output, log_norm = _ChunkAttention.apply(  # type: ignore[no-untyped-call]
            chunk_queries, chunk_keys, chunk_values, positions, _with_one_back(positions), self.causal
        )

        place = torch.empty_like(order).scatter_(-1, order, torch.arange(seq_len, device=qk.device).expand_as(order))
        place = place + torch.arange(self.n_hashes, device=qk.device)[:, None] * seq_len
        rounds = (batch, self.n_hashes, seq_len)
        output = _select(output.reshape(batch, -1, d_head), place.view(batch, -1)).view(*rounds, d_head)
        log_norm = log_norm.reshape(batch, -1).gather(1, place.view(batch, -1)).view(rounds)
        mixed = (output * log_norm.softmax(dim=1)[..., None]).sum(dim=1)
        return mixed.type_as(v), qk.new_empty(0), buckets


def _select(vectors: Tensor, index: Tensor) -> Tensor:
    """`vectors` [B, n, E] at `index` [B, m]: [B, m, E]."""
    batch, length, width = vectors.shape
    rows = index + torch.arange(batch, device=index.device)[:, None] * length
    return vectors.reshape(-1, width).index_select(0, rows.view(-1)).view(batch, -1, width)


def _with_one_back(chunks: Tensor) -> Tensor:
    """Each chunk [B, C, c, ...] followed by the one before it, round in a circle: [B, C, 2c, ...]."""
    return torch.cat([chunks, chunks.roll(1, dims=1)], dim=2)


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
            scores = torch.bmm(queries, keys.transpose(1, 2))
            if causal:
                scores.masked_fill_(own < others, torch.finfo(scores.dtype).min)
            scores.masked_fill_(own == others, _SELF_SCORE)
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
