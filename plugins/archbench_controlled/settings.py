"""What can be changed in the backbone, one thing at a time. Importing this loads no torch."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from archbench.api import KeepsCommonSettings, LadderConfig, ModelDims

_USED_BY: Mapping[str, frozenset[str]] = {
    "window": frozenset({"local_window"}),
    "bucket_size": frozenset({"lsh"}),
    "n_hashes": frozenset({"lsh"}),
    "mem_len": frozenset({"recurrence_memory"}),
    "chunk_size": frozenset({"linear", "gated_linear"}),
    "qkv_bias": frozenset({"softmax", "local_window", "shared_qk", "lsh", "linear", "gated_linear"}),
}
"""Settings that some mixers alone have -> these mixers."""


class ControlledSettings(KeepsCommonSettings, LadderConfig):
    """GPT-2's network by default; every setting changes one thing, and leaves the rest of the backbone as it is."""

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

    @property
    def carries_state(self) -> bool:  # type: ignore[override]  # it hangs on the mixer
        """Whether the mixer has a memory."""
        return self.mixer == "recurrence_memory"

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
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

    def memory_length(self, dims: ModelDims) -> int:
        """Positions of the memory, where the mixer has one."""
        return self.mem_len or dims.seq_len
