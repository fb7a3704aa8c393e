"""Mamba-2 as a language model (Dao and Gu 2024). Imports torch.

Letters in shapes: B rows, T positions, D the width, I the inner width, H heads, P = I/H, N features of the state.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from archbench.api import BuiltWith, ModelDims
from archbench.nn.causal_convolution import CausalDepthwiseConv
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.output import Output
from archbench.nn.selective_decay import SelectiveDecay
from archbench.nn.state_space import state_space

NORM_EPS = 1e-5


class Mamba2(LanguageModel):
    """Token embeddings, state-space layers, a final norm, an output matrix.

    Embeddings, and an output matrix that is not theirs, start from a normal distribution; the other matrices as torch's
    linear layers, as in the authors' code.
    """

    def __init__(self, dims: ModelDims, built: BuiltWith, *, d_state: int, d_conv: int, chunk_size: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(dims.vocab_size, dims.d_model)
        nn.init.normal_(self.token_embedding.weight, std=built.initial_std)
        self.layers = nn.ModuleList()
        for _ in range(dims.n_layers):
            mixer = StateSpaceMixer(dims, d_state=d_state, d_conv=d_conv, chunk_size=chunk_size)
            with torch.no_grad():
                # The residual stream is a sum over the layers.
                mixer.to_out.weight.div_(math.sqrt(dims.n_layers))
            self.layers.append(nn.Sequential(nn.RMSNorm(dims.d_model, NORM_EPS), mixer))
        self.norm = nn.RMSNorm(dims.d_model, NORM_EPS)
        self.output = Output(dims.d_model, dims.vocab_size, tied=built.tie_output, bias=built.output_bias)
        self.output.initialise(built.initial_std)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried from segment to segment."""
        hidden = self.token_embedding(tokens)
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return Encoded(self.norm(hidden), None)

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return self.output.weights(self.token_embedding)


class StateSpaceMixer(nn.Module):
    """Mixes positions through a state that fades by the input (their section 7): h = a h + Δ B x, y = C h + D x."""

    def __init__(self, dims: ModelDims, *, d_state: int, d_conv: int, chunk_size: int) -> None:
        super().__init__()
        self.n_heads, self.chunk_size = dims.n_heads, chunk_size
        self.parts = [dims.d_ff, dims.d_ff + 2 * d_state, dims.n_heads]
        self.convolved = [dims.d_ff, d_state, d_state]
        self.to_parts = nn.Linear(dims.d_model, sum(self.parts), bias=False)
        self.convolution = CausalDepthwiseConv(sum(self.convolved), d_conv, bias=True)
        self.decay = SelectiveDecay(dims.n_heads)
        self.skip = nn.Parameter(torch.ones(dims.n_heads))
        """D of the paper."""
        self.norm = nn.RMSNorm(dims.d_ff, NORM_EPS)
        self.to_out = nn.Linear(dims.d_ff, dims.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`, [B, T, D]."""
        gate, mixed, steps = self.to_parts(x).split(self.parts, dim=-1)
        inputs, writes, reads = torch.split(silu(self.convolution(mixed)), self.convolved, dim=-1)
        heads = torch.unflatten(inputs, -1, (self.n_heads, -1))
        log_decay, size = self.decay(steps)
        stepped = (heads * size[..., None]).type_as(heads)
        state = state_space(reads, writes, stepped, log_decay, chunk_size=self.chunk_size)
        skipping = state + heads * self.skip[:, None]
        out: Tensor = self.to_out(self.norm(skipping.flatten(2) * silu(gate)))
        return out
