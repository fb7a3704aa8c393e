"""The backbone: embeddings, layers of a mixer and a feed-forward branch, a final norm, logits."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from archbench.api import ModelDims
from archbench.nn.feed_forward import FeedForward, SwiGLU
from archbench.nn.initial_weights import draw_normal
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.lsh_attention import Buckets
from archbench.nn.mixers.base import Mixer
from archbench.nn.mixers.linear import GatedLinearAttention, LinearAttention, initialise_gates
from archbench.nn.mixers.recurrence_memory import RecurrenceMemory
from archbench.nn.mixers.shared_qk import HashedAttention, SharedQueryKeyAttention
from archbench.nn.mixers.softmax import SoftmaxAttention, WindowAttention
from archbench.nn.output import Output
from archbench.nn.positions import Rotation, Sinusoids
from archbench.nn.reversible import ReversibleLayer, ReversibleStack
from archbench_controlled.settings import ControlledSettings

NORM_EPS = 1e-5
"""As in GPT-2 and in Llama."""


class Controlled(LanguageModel):
    """GPT-2's network where `config` has its default settings."""

    def __init__(self, config: ControlledSettings, dims: ModelDims) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(dims.vocab_size, dims.d_model)
        built = config.built_with(dims)
        self.position_embedding = _position_embedding(config, dims, built.initial_std)
        self.layers = _layers(config, dims)
        self.norm = _norm(config, dims) if config.norm == "pre" else nn.Identity()
        self.output = Output(dims.d_model, dims.vocab_size, tied=built.tie_output, bias=built.output_bias)
        # None: each layer's memory is of the layer inputs that came before, and there is none.
        self.mem_len = config.memory_length(dims) if config.carries_state else None
        into_residual = 1.0 / math.sqrt(2 * dims.n_layers) if config.initial_scale == "by_depth" else 1.0
        self._initialise(built.initial_std, built.initial_std * into_residual)

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

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return self.output.weights(self.token_embedding)

    def recomputing(self) -> Sequence[nn.Module]:
        """The reversible stack, if there is one."""
        return (self.layers,) if isinstance(self.layers, ReversibleStack) else ()

    def _initialise(self, std: float, into_residual_std: float) -> None:
        draw_normal(self, std)
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

    def __init__(self, attention_norm: nn.Module, mixer: Mixer, norm: nn.Module, feed_forward: nn.Module) -> None:
        super().__init__()
        self.attention = _Attention(attention_norm, mixer)
        self.feed_forward = nn.Sequential(norm, feed_forward)

    def forward(self, x: Tensor, memory: Tensor | None) -> Tensor:
        x = x + self.attention(x, memory=memory)
        return cast(Tensor, x + self.feed_forward(x))


class _PostNormLayer(nn.Module):
    """The sum of input and branch is normalised (Vaswani et al. 2017)."""

    def __init__(self, mixer_norm: nn.Module, mixer: Mixer, norm: nn.Module, feed_forward: nn.Module) -> None:
        super().__init__()
        self.mixer = mixer
        self.mixer_norm = mixer_norm
        self.feed_forward = feed_forward
        self.feed_forward_norm = norm

    def forward(self, x: Tensor, memory: Tensor | None) -> Tensor:
        x = self.mixer_norm(x + self.mixer(x, memory=memory))
        return cast(Tensor, self.feed_forward_norm(x + self.feed_forward(x)))


def _layers(config: ControlledSettings, dims: ModelDims) -> nn.ModuleList | ReversibleStack:
    branches = [(_mixer(config, dims), _feed_forward(config, dims)) for _ in range(dims.n_layers)]
    if config.residual == "reversible":
        return ReversibleStack(
            [
                ReversibleLayer(
                    attention=_Attention(_norm(config, dims), mixer),
                    feed_forward=nn.Sequential(_norm(config, dims), feed_forward),
                )
                for mixer, feed_forward in branches
            ]
        )
    layer = _PreNormLayer if config.norm == "pre" else _PostNormLayer
    return nn.ModuleList(
        [layer(_norm(config, dims), mixer, _norm(config, dims), feed_forward) for mixer, feed_forward in branches]
    )


def _norm(config: ControlledSettings, dims: ModelDims) -> nn.Module:
    kind = nn.RMSNorm if config.norm_kind == "rms" else nn.LayerNorm
    return kind(dims.d_model, eps=NORM_EPS)


def _mixer(config: ControlledSettings, dims: ModelDims) -> Mixer:
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


def _feed_forward(config: ControlledSettings, dims: ModelDims) -> FeedForward | SwiGLU:
    if config.activation == "swiglu":
        return SwiGLU(dims.d_model, dims.d_ff)
    return FeedForward(dims.d_model, dims.d_ff, config.activation)


def _position_embedding(
    config: ControlledSettings, dims: ModelDims, initial_std: float
) -> nn.Embedding | Sinusoids | None:
    match config.positions:
        case "learned":
            return nn.Embedding(dims.seq_len, dims.d_model)
        case "sinusoidal":
            return Sinusoids(dims.d_model, dims.seq_len, scale=initial_std)
        case _:
            return None
