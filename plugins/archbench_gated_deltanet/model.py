"""Gated DeltaNet as a language model (Yang et al. 2024). Imports torch.

Letters in shapes: B rows, T positions, D the width, H heads, K features of a key, V of a value.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from archbench.api import BuiltWith, ModelDims
from archbench.nn.causal_convolution import CausalDepthwiseConv
from archbench.nn.feed_forward import SwiGLU
from archbench.nn.gated_delta_rule import gated_delta_rule
from archbench.nn.initial_weights import draw_normal
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.output import Output
from archbench.nn.selective_decay import SelectiveDecay
from archbench_gated_deltanet.widths import Widths

NORM_EPS = 1e-5
UNIT_EPS = 1e-6
"""Added to squared lengths before queries and keys are divided by them."""


class GatedDeltaNet(LanguageModel):
    """Token embeddings, layers of a delta rule and SwiGLU, a final norm and an output matrix.

    All matrices and embeddings start from one normal distribution.
    """

    def __init__(self, dims: ModelDims, built: BuiltWith, widths: Widths, *, conv_size: int, chunk_size: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(dims.vocab_size, dims.d_model)
        self.layers = nn.ModuleList()
        for _ in range(dims.n_layers):
            mixer = DeltaRuleMixer(dims, widths, conv_size=conv_size, chunk_size=chunk_size)
            for block in (mixer, SwiGLU(dims.d_model, dims.d_ff, bias=False)):
                self.layers.append(nn.Sequential(nn.RMSNorm(dims.d_model, NORM_EPS), block))
        self.norm = nn.RMSNorm(dims.d_model, NORM_EPS)
        self.output = Output(dims.d_model, dims.vocab_size, tied=built.tie_output, bias=built.output_bias)
        draw_normal(self, built.initial_std)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried from segment to segment."""
        hidden = self.token_embedding(tokens)
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return Encoded(self.norm(hidden), None)

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return self.output.weights(self.token_embedding)


class DeltaRuleMixer(nn.Module):
    """Mixes positions through a state in which each token corrects what its key recalls (their figure 1, right)."""

    def __init__(self, dims: ModelDims, widths: Widths, *, conv_size: int, chunk_size: int) -> None:
        super().__init__()
        self.n_heads, self.widths, self.chunk_size = dims.n_heads, widths, chunk_size
        mixed = 2 * widths.keys + widths.values
        self.parts = [mixed, widths.values, dims.n_heads, dims.n_heads]
        self.to_parts = nn.Linear(dims.d_model, sum(self.parts), bias=False)
        self.convolution = CausalDepthwiseConv(mixed, conv_size, bias=False)
        self.decay = SelectiveDecay(dims.n_heads)
        self.norm = nn.RMSNorm(widths.value, NORM_EPS)
        self.to_out = nn.Linear(widths.values, dims.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`, [B, T, D]."""
        mixed, gate, steps, write = self.to_parts(x).split(self.parts, dim=-1)
        widths = self.widths
        split = torch.split(silu(self.convolution(mixed)), [widths.keys, widths.keys, widths.values], dim=-1)
        queries, keys, values = (torch.unflatten(part, -1, (self.n_heads, -1)).transpose(1, 2) for part in split)
        log_decay, _ = self.decay(steps)
        recalled = gated_delta_rule(
            unit_length(queries) * widths.key**-0.5,
            unit_length(keys),
            values,
            log_decay.transpose(1, 2),
            write.sigmoid().transpose(1, 2),
            chunk_size=self.chunk_size,
        )
        gated = self.norm(recalled.transpose(1, 2)) * silu(gate.unflatten(-1, (self.n_heads, -1)))
        out: Tensor = self.to_out(gated.flatten(2))
        return out


def unit_length(vectors: Tensor) -> Tensor:
    """`vectors` over their lengths, along the last axis."""
    return vectors * torch.rsqrt(vectors.square().sum(-1, keepdim=True) + UNIT_EPS)
