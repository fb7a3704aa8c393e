"""Reformer as a language model: reformer-pytorch's LSH attention and feed-forward in reversible layers."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from reformer_pytorch.reformer_pytorch import Chunk, FeedForward, LSHSelfAttention, PreNorm
from torch import Tensor, nn

from archbench.api import BuiltWith, ModelDims
from archbench.nn.initial_weights import draw_normal
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.lsh_attention import Buckets, LSHAttention
from archbench.nn.output import Output
from archbench.nn.reversible import ReversibleLayer, ReversibleStack


class _LibraryLSHAttention(LSHAttention):
    """LSH attention, called as reformer-pytorch calls its own."""

    def forward(  # type: ignore[override]  # called by reformer-pytorch alone
        self, qk: Tensor, v: Tensor, *, _depth: Buckets | None = None, **_unused: object
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Output [B, T, E], an empty map, buckets [B, R, T]; `_unused` takes masks and positions, of which none is set.

        `_depth` is what the branch was called with: reformer-pytorch hands it through as the key of its own cache.
        """
        buckets = _depth or Buckets()
        output = super().forward(qk, v, buckets)
        return output, qk.new_empty(0), cast(Tensor, buckets.ids)


class _LibraryLayer(ReversibleLayer):
    """A reversible layer around reformer-pytorch's branches."""

    def attend(self, x: Tensor, buckets: Buckets) -> Tensor:
        """The attention branch at `x`, [rows, seq_len, d_model]."""
        return cast(Tensor, self.attention(x, _depth=buckets))


class Reformer(LanguageModel):
    """Token and learned position embeddings, reversible layers, a final norm and an output matrix.

    All matrices and embeddings start from one normal distribution.
    """

    def __init__(
        self, dims: ModelDims, built: BuiltWith, *, causal: bool, bucket_size: int, n_hashes: int, ff_chunks: int
    ) -> None:
        super().__init__()
        self.block_len = 2 * bucket_size
        self.token_embedding = nn.Embedding(dims.vocab_size, dims.d_model)
        self.position_embedding = nn.Embedding(dims.seq_len, dims.d_model)
        attention = partial(_attention, dims, causal=causal, bucket_size=bucket_size, n_hashes=n_hashes)
        self.layers = ReversibleStack(
            [
                _LibraryLayer(
                    attention=PreNorm(nn.LayerNorm, dims.d_model, attention()),
                    feed_forward=PreNorm(nn.LayerNorm, dims.d_model, _feed_forward(dims, ff_chunks)),
                )
                for _ in range(dims.n_layers)
            ]
        )
        self.norm = nn.LayerNorm(dims.d_model)
        self.output = Output(dims.d_model, dims.vocab_size, tied=built.tie_output, bias=built.output_bias)
        draw_normal(self, built.initial_std)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """Hidden states; hash rotations are drawn from torch's global generator.

        Raises ValueError where the length of `tokens` is not divisible by twice the bucket size.
        """
        seq_len = tokens.shape[1]
        if seq_len % self.block_len:
            raise ValueError(f"{seq_len} tokens are not divisible by twice the bucket size, {self.block_len}")
        positions = torch.arange(seq_len, device=tokens.device)
        embedded = self.token_embedding(tokens) + self.position_embedding(positions)
        return Encoded(hidden=self.norm(self.layers(embedded)), state=None)

    def recomputing(self) -> Sequence[nn.Module]:
        """The reversible stack."""
        return (self.layers,)

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return self.output.weights(self.token_embedding)


def _attention(dims: ModelDims, *, causal: bool, bucket_size: int, n_hashes: int) -> LSHSelfAttention:
    attention = LSHSelfAttention(
        dims.d_model, heads=dims.n_heads, bucket_size=bucket_size, n_hashes=n_hashes, causal=causal
    )
    attention.lsh_attn = _LibraryLSHAttention(bucket_size=bucket_size, n_hashes=n_hashes, causal=causal)
    attention.local_attn = None  # for local heads, of which there are none
    return attention


def _feed_forward(dims: ModelDims, ff_chunks: int) -> nn.Module:
    layer = FeedForward(dims.d_model, mult=1)
    # reformer-pytorch knows whole multiples of the width only.
    layer.w1 = nn.Linear(dims.d_model, dims.d_ff)
    layer.w2 = nn.Linear(dims.d_ff, dims.d_model)
    return cast(nn.Module, Chunk(ff_chunks, layer, along_dim=-2))
