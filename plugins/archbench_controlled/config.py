"""One backbone, and what can be changed in it one thing at a time. Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt, model_validator

from archbench.api import (
    Attention,
    ForwardFlops,
    KeepsCommonSettings,
    LadderConfig,
    ModelDims,
    ParamCount,
    Source,
    layer_norm_params,
)
from archbench_controlled.costs import Mixing, mixing

if TYPE_CHECKING:
    from archbench.nn.language_model import LanguageModel

_USED_BY: Mapping[str, frozenset[str]] = {
    "window": frozenset({"local_window"}),
    "bucket_size": frozenset({"lsh"}),
    "n_hashes": frozenset({"lsh"}),
    "mem_len": frozenset({"recurrence_memory"}),
    "chunk_size": frozenset({"linear", "gated_linear"}),
    "qkv_bias": frozenset({"softmax", "local_window", "shared_qk", "lsh", "linear", "gated_linear"}),
}
"""Settings that some mixers alone have -> these mixers."""


class ControlledConfig(KeepsCommonSettings, LadderConfig):
    """GPT-2's network by default; every setting changes one thing, and leaves the rest of the backbone as it is."""

    kind: Literal["controlled"] = "controlled"

    mixer: Literal["softmax", "local_window", "shared_qk", "lsh", "recurrence_memory", "linear", "gated_linear"] = (
        "softmax"
    )
    """How a position uses others."""
    window: PositiveInt = 32
    """Positions that one sees, itself included; `local_window`."""
    bucket_size: PositiveInt = 16
    """Positions of a chunk, and mean size of a bucket; `lsh`."""
    n_hashes: PositiveInt = 2
    """Rounds of hashing; `lsh`."""
    mem_len: PositiveInt | None = None
    """Positions of the memory in each layer, None: as many as a segment has; `recurrence_memory`."""
    chunk_size: PositiveInt = 32
    """Positions mixed by one matrix product: changes cost, and results by rounding; `linear`, `gated_linear`."""

    norm: Literal["pre", "post"] = "pre"
    """Whether layers normalise what goes into a branch, or the sum that comes out."""
    norm_kind: Literal["layer", "rms"] = "layer"
    """All norms of the backbone: layer norm, with a bias, or RMSNorm (Zhang and Sennrich 2019), without."""
    activation: Literal["gelu_tanh", "gelu", "relu", "squared_relu", "swiglu"] = "gelu_tanh"
    """Of the feed-forward layer; `swiglu` has three matrices, each two thirds as wide."""
    positions: Literal["learned", "rotary", "sinusoidal", "none"] = "learned"
    """How the model knows where a token stands; `recurrence_memory` has relative positions beside it."""
    residual: Literal["plain", "reversible"] = "plain"
    """`reversible`: two streams, whose activations are recomputed; their mean is the output."""
    initial_scale: Literal["by_depth", "same"] = "by_depth"
    """Of projections into the residual stream: over sqrt(2·n_layers) as in GPT-2, or the same as of all matrices."""
    qkv_bias: bool = True
    """Of queries, keys and values."""

    summary: ClassVar[str] = "one backbone (GPT-2's) in which the mixing mechanism or one other thing is changed"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = False
    family: ClassVar[str | None] = "controlled"
    source: ClassVar[Source] = Source(
        paper="Radford et al. 2019 (backbone); Vaswani et al. 2017 (softmax), Beltagy et al. 2020 (local_window),"
        " Kitaev et al. 2020 (shared_qk, lsh, reversible), Dai et al. 2019 (recurrence_memory), Katharopoulos et al."
        " 2020 (linear), Yang et al. 2024 and Dao and Gu 2024 (gated_linear), Su et al. 2021"
        " (rotary), Shazeer 2020 (swiglu), Zhang and Sennrich 2019 (rms)",
        implementation="archbench's own torch code: archbench.nn.mixers and the blocks beside it",
        faithful="by default GPT-2's network, weight for weight; each mixer by the equations of its paper",
        differs="mixers stand in GPT-2's backbone and not in that of their papers: no short convolutions, output gates,"
        " axial positions or adaptive softmax. gated_linear has one decay a head and a norm without scale;"
        " recurrence_memory has no biases in its projections. No dropout",
    )

    @property
    def carries_state(self) -> bool:  # type: ignore[override]  # it hangs on the mixer
        """Whether the mixer has a memory."""
        return self.mixer == "recurrence_memory"

    @model_validator(mode="after")
    def _settings_fit(self) -> "ControlledConfig":
        for name, mixers in _USED_BY.items():
            if self.mixer not in mixers and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is a setting of mixer {' and '.join(sorted(mixers))}, not of {self.mixer}")
        if self.positions == "rotary" and self.mixer not in ("softmax", "local_window"):
            raise ValueError(f"rotary positions turn queries and keys of softmax or local_window, not of {self.mixer}")
        if self.residual == "reversible" and self.norm == "post":
            raise ValueError("reversible layers normalise what goes into a branch; choose norm pre")
        if self.residual == "reversible" and self.carries_state:
            raise ValueError(f"reversible layers carry no memory; choose another mixer than {self.mixer}")
        return self

    def build(self, dims: ModelDims, attention: Attention) -> "LanguageModel":
        """See `ArchitectureConfig.build`."""
        from archbench_controlled.model import Controlled

        self.require_buildable(dims, attention)
        return Controlled(self, dims)

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`."""
        width, inner = dims.d_model, dims.d_ff
        if self.activation == "swiglu":
            feed_forward = 3 * width * inner + 2 * inner + width
        else:
            feed_forward = 2 * width * inner + inner + width
        norm = width if self.norm_kind == "rms" else layer_norm_params(width)
        layer = self._mixing(dims).num_params + feed_forward + 2 * norm
        tables = dims.vocab_size + (dims.seq_len if self.positions == "learned" else 0)
        return ParamCount(
            embedding=tables * width + self.output_params(dims),
            non_embedding=dims.n_layers * layer + (norm if self.norm == "pre" else 0),
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`; reversible layers repeat all but the hashing."""
        mixing_flops = self._mixing(dims).flops
        matrices = 3 if self.activation == "swiglu" else 2
        layer = {**mixing_flops, "feed_forward": 2.0 * matrices * dims.d_model * dims.d_ff}
        hashing = frozenset({"hashing"} & layer.keys())
        return ForwardFlops(
            components={
                **{name: dims.n_layers * flops for name, flops in layer.items()},
                "logits": 2.0 * dims.d_model * dims.vocab_size,
            },
            recomputed=frozenset(layer) - hashing if self.residual == "reversible" else frozenset(),
            forward_only=hashing,
            uncounted=self._mixing(dims).uncounted,
        )

    def adapted(self, dims: ModelDims) -> ModelDims:
        """The rung with the width of the inner layer that this activation has there."""
        if self.activation != "swiglu":
            return dims
        return dims.model_copy(update={"d_ff": max(1, round(dims.d_ff * 2 / 3))})

    def on_ladder(self, dims: ModelDims) -> bool:
        """Any rung; what a context must be divisible by is `problems`' to tell."""
        return True

    def problems(self, dims: ModelDims) -> list[str]:
        """Also what the mixer asks of the shape."""
        return super().problems(dims) + list(self._mixing(dims).problems)

    def memory_length(self, dims: ModelDims) -> int:
        """Positions of the memory, where the mixer has one."""
        return self.mem_len or dims.seq_len

    def _mixing(self, dims: ModelDims) -> Mixing:
        return mixing(self, dims)
