"""What each mixer costs in one layer, and which shapes it takes. Importing this loads no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from archbench.api import ModelDims
from archbench.nn.costs import (
    lsh_flops,
    lsh_problems,
    position_projection,
    recurrence_flops,
    relative_attention_flops,
    sorting_and_gathering,
    window_flops,
)
from archbench_controlled.settings import ControlledSettings


@dataclass(frozen=True, slots=True)
class Mixing:
    """The mixer's share of a layer."""

    num_params: int
    flops: Mapping[str, float]
    """Forward FLOPs per token by component."""
    uncounted: Mapping[str, str] = field(default_factory=dict)
    """Work of the whole model that torch's counter cannot see, or that does not grow with the rows."""
    problems: tuple[str, ...] = ()
    """Why it cannot be built, each with the remedy."""


def mixing(config: ControlledSettings, dims: ModelDims) -> Mixing:
    """Parameters, FLOPs and problems of `config`'s mixer at `dims`."""
    match config.mixer:
        case "softmax":
            return _heads(config, dims, {"attention_scores": 4.0 * dims.d_model * dims.seq_len})
        case "local_window":
            scores = window_flops(d_model=dims.d_model, seq_len=dims.seq_len, window=config.window)
            return _heads(config, dims, {"attention_scores": scores})
        case "linear":
            return _heads(config, dims, {"recurrence": _recurrence(config, dims, sums=1)})
        case "gated_linear":
            flops = {"gates": 2.0 * dims.d_model * dims.n_heads, "recurrence": _recurrence(config, dims, sums=0)}
            return _heads(config, dims, flops, extra_params=(dims.d_model + 1) * dims.n_heads)
        case "shared_qk":
            return _shared(config, dims, {"attention_scores": 4.0 * dims.d_model * dims.seq_len})
        case "lsh":
            return _hashed(config, dims)
        case "recurrence_memory":
            return _memory(config, dims)


def _heads(config: ControlledSettings, dims: ModelDims, flops: Mapping[str, float], extra_params: int = 0) -> Mixing:
    """A mixer with projections of queries, keys, values and output."""
    width = dims.d_model
    biases = (3 * width if config.qkv_bias else 0) + width
    return Mixing(4 * width**2 + biases + extra_params, {"attention_projections": 8.0 * width**2, **flops})


def _shared(config: ControlledSettings, dims: ModelDims, flops: Mapping[str, float]) -> Mixing:
    """A mixer whose queries are its keys."""
    width = dims.d_model
    biases = (2 * width if config.qkv_bias else 0) + width
    return Mixing(3 * width**2 + biases, {"attention_projections": 6.0 * width**2, **flops})


def _hashed(config: ControlledSettings, dims: ModelDims) -> Mixing:
    hashing, attention = lsh_flops(
        d_model=dims.d_model, seq_len=dims.seq_len, bucket_size=config.bucket_size, n_hashes=config.n_hashes
    )
    shared = _shared(config, dims, {"hashing": hashing, "lsh_attention": attention})
    problems = tuple(lsh_problems(dims.seq_len, config.bucket_size))
    return Mixing(shared.num_params, shared.flops, sorting_and_gathering(config.n_hashes), problems)


def _memory(config: ControlledSettings, dims: ModelDims) -> Mixing:
    width, memory = dims.d_model, config.memory_length(dims)
    odd = (f"d_model {width} is odd; the relative sinusoids need an even width",) if width % 2 else ()
    return Mixing(
        5 * width**2 + 2 * width,
        relative_attention_flops(d_model=width, seq_len=dims.seq_len, mem_len=memory),
        {
            "position_projection": position_projection(
                d_model=width, n_layers=dims.n_layers, seq_len=dims.seq_len, mem_len=memory
            )
        },
        odd,
    )


def _recurrence(config: ControlledSettings, dims: ModelDims, *, sums: int) -> float:
    """FLOPs of a chunked recurrence whose values have `sums` features more than a head."""
    d_head = dims.d_model // dims.n_heads
    return recurrence_flops(
        seq_len=dims.seq_len,
        chunk_size=config.chunk_size,
        num_heads=dims.n_heads,
        key_width=d_head,
        value_width=d_head + sums,
    )
