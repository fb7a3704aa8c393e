"""The Evolved Transformer's decoder as a language model (So et al. 2019). Imports torch.

Letters in shapes: B rows, T positions, D the width.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu, silu

from archbench.api import BuiltWith, ModelDims
from archbench.nn.attention import attend
from archbench.nn.causal_convolution import CausalDepthwiseConv
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.output import Output
from archbench.nn.positions import Sinusoids


class EvolvedTransformer(LanguageModel):
    """Token embeddings and sinusoids, decoder cells, a final norm, an output matrix.

    Embeddings, and an output matrix that is not theirs, start from a normal distribution; the other matrices by
    Glorot's rule, as in the authors' code.
    """

    def __init__(
        self, dims: ModelDims, built: BuiltWith, *, many_heads: int, wide_kernel: int, narrow_kernel: int
    ) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(dims.vocab_size, dims.d_model)
        # A sine has a root mean square of √½.
        self.positions = Sinusoids(dims.d_model, dims.seq_len, scale=math.sqrt(0.5))
        self.cells = nn.ModuleList(
            Cell(dims, many_heads, wide_kernel=wide_kernel, narrow_kernel=narrow_kernel) for _ in range(dims.n_layers)
        )
        self.norm = nn.LayerNorm(dims.d_model)
        self.output = Output(dims.d_model, dims.vocab_size, tied=built.tie_output, bias=built.output_bias)
        self.output.initialise(built.initial_std)
        nn.init.normal_(self.token_embedding.weight, std=built.initial_std)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried."""
        embedded = self.token_embedding(tokens)
        positions = self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        hidden = embedded * math.sqrt(embedded.shape[-1]) + positions.type_as(embedded)
        for cell in self.cells:
            hidden = cell(hidden)
        return Encoded(self.norm(hidden), None)

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return self.output.weights(self.token_embedding)


class Cell(nn.Module):
    """One decoder cell: four blocks, each behind a norm and added to what it was given."""

    def __init__(self, dims: ModelDims, many_heads: int, *, wide_kernel: int, narrow_kernel: int) -> None:
        super().__init__()
        blocks = (
            CausalAttention(dims.d_model, many_heads),
            ConvolutionBranches(dims.d_model, wide_kernel=wide_kernel, narrow_kernel=narrow_kernel),
            CausalAttention(dims.d_model, dims.n_heads),
            SwishLayer(dims.d_model, dims.d_ff),
        )
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(dims.d_model), block) for block in blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`, [B, T, D]."""
        for block in self.blocks:
            x = x + block(x)
        return x


class CausalAttention(nn.Module):
    """Attention to all positions up to the own, without biases."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.to_heads = nn.ModuleList(nn.Linear(d_model, d_model, bias=False) for _ in range(3))
        self.output = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`, [B, T, D]."""
        split = (-1, (self.n_heads, x.shape[-1] // self.n_heads))
        queries, keys, values = (project(x).unflatten(*split).transpose(1, 2) for project in self.to_heads)
        mixed = attend(queries, keys, values, causal=True, scale=queries.shape[-1] ** -0.5)
        attended: Tensor = self.output(mixed.flatten(2))
        return attended


class ConvolutionBranches(nn.Module):
    """A wide convolution to 2·D and a narrower one to D/2, added, normed, and brought back to D by a third.

    Kernels are as long as the positions that a convolution sees.
    """

    def __init__(self, d_model: int, *, wide_kernel: int, narrow_kernel: int) -> None:
        super().__init__()
        self.left = SeparableConvolution(d_model, 2 * d_model, wide_kernel)
        self.right = SeparableConvolution(d_model, d_model // 2, narrow_kernel)
        self.norm = nn.LayerNorm(2 * d_model)
        self.behind = SeparableConvolution(2 * d_model, d_model, narrow_kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`, [B, T, D]."""
        left, right = relu(self.left(x)), self.right(x)
        # The narrow branch is filled up with zeros to the width of the other.
        joined = left + pad(right, (0, left.shape[-1] - right.shape[-1]))
        mixed: Tensor = self.behind(self.norm(joined))
        return mixed


class SeparableConvolution(nn.Module):
    """Each channel over its last positions, then all channels of a position together. Causal."""

    def __init__(self, channels: int, out_channels: int, width: int) -> None:
        super().__init__()
        self.depthwise = CausalDepthwiseConv(channels, width, bias=False)
        self.pointwise = nn.Linear(channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, out_channels] of `x` [B, T, channels]."""
        mixed: Tensor = self.pointwise(self.depthwise(x))
        return mixed


class SwishLayer(nn.Module):
    """Two matrices with swish and a norm between them."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.norm = nn.LayerNorm(d_ff)
        self.output = nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`, [B, T, D]."""
        activated: Tensor = self.output(self.norm(silu(self.inner(x))))
        return activated
