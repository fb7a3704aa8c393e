"""The backbone: embeddings, layers of a mixer and a feed-forward branch, a final norm, logits."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from archbench.api import ModelDims
from archbench.nn.feed_forward import FeedForward, SwiGLU
from archbench.nn.initial_weights import draw_normal
from archbench.nn.language_model import Encoded, LanguageModel, State
from archbench.nn.lsh_attention import Buckets
from archbench.nn.mixers.base import Mixer
from archbench.nn.mixers.linear import GatedLinearAttention, LinearAttention, initialise_gates
from archbench.nn.mixers.recurrence_memory import RecurrenceMemory
from archbench.nn.mixers.shared_qk import HashedAttention, SharedQueryKeyAttention
from archbench.nn.mixers.softmax import SoftmaxAttention, WindowAttention
from archbench.nn.positions import Rotation, Sinusoids
from archbench.nn.reversible import ReversibleLayer, ReversibleStack
from archbench_controlled.config import ControlledConfig

INIT_STD = 0.02
"""Standard deviation of all initial matrices and embeddings, as in GPT-2; biases start at 0."""


class Controlled(LanguageModel):
    """GPT-2's network where `config` has its default settings."""

    def __init__(self, config: ControlledConfig, dims: ModelDims) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(dims.vocab_size, dims.d_model)
        self.position_embedding = _position_embedding(config, dims)
        self.layers = _layers(config, dims)
        self.norm = nn.LayerNorm(dims.d_model) if config.norm == "pre" else nn.Identity()
        self.output = nn.Linear(dims.d_model, dims.vocab_size, bias=False) if config.embeddings == "untied" else None
        self.output_bias = nn.Parameter(torch.zeros(dims.vocab_size)) if config.output_bias else None
        # None: each layer's memory is of the layer inputs that came before, and there is none.
        self.mem_len = config.memory_length(dims) if config.carries_state else None
        self._initialise(INIT_STD / math.sqrt(2 * dims.n_layers) if config.initial_scale == "by_depth" else INIT_STD)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored.

        The state is the memory of each layer: the last `mem_len` of its inputs, [rows, mem_len, d_model]. It grows
        until it holds so many.
        """
        x = self.token_embedding(tokens)
        if self.position_embedding is not None:
            x = x + self.position_embedding(torch.arange(tokens.shape[1], device=tokens.device)).type_as(x)
        if isinstance(self.layers, ReversibleStack):
            return Encoded(self.norm(self.layers(x)), None)
        memories: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            memory = None if state is None else state[index]
            if self.mem_len is not None:
                seen = x if memory is None else torch.cat([memory, x], dim=1)
                memories.append(seen[:, -self.mem_len :].detach())
            x = layer(x, memory)
        return Encoded(self.norm(x), tuple(memories) or None)

    def logits(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.logits`."""
        table = self.token_embedding if self.output is None else self.output
        return functional.linear(hidden, table.weight, self.output_bias)

    def recomputing(self) -> Sequence[nn.Module]:
        """The reversible stack, if there is one."""
        return (self.layers,) if isinstance(self.layers, ReversibleStack) else ()

    def _initialise(self, into_residual_std: float) -> None:
        draw_normal(self, INIT_STD)
        for module in self.modules():
            if isinstance(module, Mixer | FeedForward | SwiGLU):
                nn.init.normal_(module.output.weight, std=into_residual_std)
            if isinstance(module, GatedLinearAttention):
                initialise_gates(module)


class _Attention(nn.Module):
    """A mixer behind the norm of its branch."""

    def __init__(self, norm: nn.Module, mixer: Mixer) -> None:
        super().__init__()
        self.norm = norm
        self.mixer = mixer

    def forward(self, x: Tensor, *, memory: Tensor | None = None, buckets: Buckets | None = None) -> Tensor:
        """What the branch adds to `x`; the memory is normalised as `x` is."""
        normed = None if memory is None else self.norm(memory)
        return cast(Tensor, self.mixer(self.norm(x), memory=normed, buckets=buckets))


class _PreNormLayer(nn.Module):
    """Branches see normalised inputs, and are added to what is not (GPT-2)."""

    def __init__(self, dims: ModelDims, mixer: Mixer, feed_forward: nn.Module) -> None:
        super().__init__()
        self.attention = _Attention(nn.LayerNorm(dims.d_model), mixer)
        self.feed_forward = nn.Sequential(nn.LayerNorm(dims.d_model), feed_forward)

    def forward(self, x: Tensor, memory: Tensor | None) -> Tensor:
        x = x + self.attention(x, memory=memory)
        return cast(Tensor, x + self.feed_forward(x))


class _PostNormLayer(nn.Module):
    """The sum of input and branch is normalised (Vaswani et al. 2017)."""

    def __init__(self, dims: ModelDims, mixer: Mixer, feed_forward: nn.Module) -> None:
        super().__init__()
        self.mixer = mixer
        self.mixer_norm = nn.LayerNorm(dims.d_model)
        self.feed_forward = feed_forward
        self.feed_forward_norm = nn.LayerNorm(dims.d_model)

    def forward(self, x: Tensor, memory: Tensor | None) -> Tensor:
        x = self.mixer_norm(x + self.mixer(x, memory=memory))
        return cast(Tensor, self.feed_forward_norm(x + self.feed_forward(x)))


def _layers(config: ControlledConfig, dims: ModelDims) -> nn.ModuleList | ReversibleStack:
    branches = [(_mixer(config, dims), _feed_forward(config, dims)) for _ in range(dims.n_layers)]
    if config.residual == "reversible":
        return ReversibleStack(
            [
                ReversibleLayer(
                    attention=_Attention(nn.LayerNorm(dims.d_model), mixer),
                    feed_forward=nn.Sequential(nn.LayerNorm(dims.d_model), feed_forward),
                )
                for mixer, feed_forward in branches
            ]
        )
    layer = _PreNormLayer if config.norm == "pre" else _PostNormLayer
    return nn.ModuleList([layer(dims, mixer, feed_forward) for mixer, feed_forward in branches])


def _mixer(config: ControlledConfig, dims: ModelDims) -> Mixer:
    width, heads, bias = dims.d_model, dims.n_heads, config.qkv_bias
    rotation = Rotation(width // heads, dims.seq_len) if config.positions == "rotary" else None
    match config.mixer:
        case "softmax":
            return SoftmaxAttention(width, heads, bias=bias, rotation=rotation)
        case "local_window":
            return WindowAttention(width, heads, window=config.window, bias=bias, rotation=rotation)
        case "shared_qk":
            return SharedQueryKeyAttention(width, heads, bias=bias)
        case "lsh":
            return HashedAttention(width, heads, bucket_size=config.bucket_size, n_hashes=config.n_hashes, bias=bias)
        case "recurrence_memory":
            return RecurrenceMemory(width, heads, max_keys=dims.seq_len + config.memory_length(dims))
        case "linear":
            return LinearAttention(width, heads, chunk_size=config.chunk_size, bias=bias)
        case "gated_linear":
            return GatedLinearAttention(width, heads, chunk_size=config.chunk_size, bias=bias)


def _feed_forward(config: ControlledConfig, dims: ModelDims) -> FeedForward | SwiGLU:
    if config.activation == "swiglu":
        return SwiGLU(dims.d_model, dims.d_ff)
    return FeedForward(dims.d_model, dims.d_ff, config.activation)


def _position_embedding(config: ControlledConfig, dims: ModelDims) -> nn.Embedding | Sinusoids | None:
    match config.positions:
        case "learned":
            return nn.Embedding(dims.seq_len, dims.d_model)
        case "sinusoidal":
            return Sinusoids(dims.d_model, dims.seq_len, scale=INIT_STD)
        case _:
            return None
