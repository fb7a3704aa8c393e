"""Attention with one vector as query and key (Kitaev et al. 2020, section 2): exact, and by hashing."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from archbench.nn.lsh_attention import SELF_SCORE, Buckets, LSHAttention
from archbench.nn.mixers.base import Mixer


class SharedQueryKeyAttention(Mixer):
    """Each position attends to all before it, by keys of unit length; to itself only where it has nothing else.

    It is what LSH attention approximates.
    """

    def __init__(self, d_model: int, n_heads: int, *, bias: bool = True) -> None:
        """`bias` is that of the vectors and the values; the output always has one."""
        super().__init__()
        self.n_heads = n_heads
        self.d_head = d_model // n_heads
        self.to_heads = nn.Linear(d_model, 2 * d_model, bias=bias)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, *, memory: Tensor | None = None, buckets: Buckets | None = None) -> Tensor:
        """See `Mixer.forward`."""
        rows, length, _ = x.shape
        shared, values = self.to_heads(x).unflatten(-1, (2, self.n_heads, self.d_head)).unbind(2)
        shared, values = (heads.transpose(1, 2).reshape(-1, length, self.d_head) for heads in (shared, values))
        mixed = self.attend(shared, values, buckets).view(rows, self.n_heads, length, self.d_head)
        projected: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return projected

    def attend(self, shared: Tensor, values: Tensor, buckets: Buckets | None) -> Tensor:
        """Mixed values [B·H, T, E] of the vectors that are queries and keys, and the values, both [B·H, T, E]."""
        length = shared.shape[1]
        score = torch.zeros(length, length, dtype=shared.dtype, device=shared.device)
        score += torch.full_like(score, float("-inf")).triu_(1)
        score.fill_diagonal_(SELF_SCORE)
        keys = normalize(shared, dim=-1).type_as(shared)
        return scaled_dot_product_attention(shared, keys, values, attn_mask=score, scale=self.d_head**-0.5)


class HashedAttention(SharedQueryKeyAttention):
    """LSH attention: the same among the positions whose vectors fall into one bucket of a hash."""

    def __init__(self, d_model: int, n_heads: int, *, bucket_size: int, n_hashes: int, bias: bool = True) -> None:
        super().__init__(d_model, n_heads, bias=bias)
        self.hashed = LSHAttention(bucket_size=bucket_size, n_hashes=n_hashes, causal=True)

    def attend(self, shared: Tensor, values: Tensor, buckets: Buckets | None) -> Tensor:
        """See `SharedQueryKeyAttention.attend`; hash rotations come from torch's global generator."""
        mixed: Tensor = self.hashed(shared, values, buckets)
        return mixed
