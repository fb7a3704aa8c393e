"""The shape of a model of a library, found and scaled by the library's own names for it. Importing this loads no torch.

A library's config says by dozens of numbers how wide, deep and divided a model is. A ladder needs all of them to move
with the size, in the proportions that the library's default has: half the width has half the feed-forward layer, half
as wide low-rank projections, and as many queries to a head of keys as before. Which number means what is known by its
name; a name that nothing is known of stays as it is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeGuard

from archbench.contracts.architecture import ModelDims

WIDTH = ("hidden_size", "d_model", "n_embd", "dim", "emb_dim")
DEPTH = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "num_blocks")
HEADS = ("num_attention_heads", "n_heads", "n_head", "num_heads", "encoder_attention_heads")
FEED_FORWARD = (
    "intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_inner", "dff", "dim_ff", "hidden_dim",
    "encoder_ffn_dim", "block_ff_dim",
)  # fmt: skip
POSITIONS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "context_length", "n_ctx",
    "model_max_length",
)  # fmt: skip

_KEY_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads", "swa_num_key_value_heads")
_HEAD_COUNTS = ("swa_num_attention_heads", "linear_num_heads", "alibi_num_heads")
_HEAD_WIDTHS = (
    "head_dim", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "kv_channels", "d_head", "dim_head", "d_kv",
    "attention_head_dim", "linear_key_head_dim", "linear_value_head_dim", "linear_head_dim", "index_head_dim",
    "swa_head_dim", "global_head_dim", "rotary_dim", "query_pre_attn_scalar", "attention_head_size",
)  # fmt: skip
_AS_WIDE = (
    "embedding_size", "embedding_dim", "word_embed_proj_dim", "attention_hidden_size", "lru_width",
    "pooler_hidden_size", "input_embedding_size", "output_embedding_size", "true_hidden_size", "entity_emb_size",
    "prediction_head_size",
)  # fmt: skip
"""The model's own width, or a share of it."""
_PROPORTIONAL = (
    "moe_intermediate_size", "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size",
    "shared_intermediate_size", "shared_experts_intermediate_size", "expert_ffn_hidden_size", "intermediate_size_mlp",
    "dense_intermediate_size", "mamba_d_ssm", "kv_lora_rank", "q_lora_rank", "o_lora_rank", "time_step_rank",
    "mamba_dt_rank", "hidden_size_per_layer_input", "laurel_rank", "adapter_rank", "intra_bottleneck_size",
    "router_hidden_size", "gated_norm_rank", "hc_lowrank", "ple_embed_dim",
)  # fmt: skip
_STATES = ("state_size", "mamba_d_state", "ssm_state_size")
_SPACE_HEADS = (
    ("num_heads", "head_dim", "expand"),
    ("mamba_n_heads", "mamba_d_head", "mamba_expand"),
    ("n_mamba_heads", "mamba_headdim", "mamba_expand"),
    ("mamba_num_heads", "mamba_head_dim", None),
)
"""Heads of a state space: their number, their width, and the inner width over that of the model."""
_GROUPS = ("n_groups", "mamba_n_groups", "mamba_ngroups")
_EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
_ACTIVE_EXPERTS = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "num_selected_experts")
_MULTIPLES = ("block_multiple_of", "ffn_round_up_to_multiple_of")
_PERIODS = (("attn_layer_period", "attn_layer_offset"), ("expert_layer_period", "expert_layer_offset"))
_DENSE_FIRST = ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index")
_LAYER_NUMBERS = ("attn_layer_indices", "full_attn_idxs", "hybrid_layer_ids", "full_attention_layers", "slstm_at")
"""Lists of the numbers of the layers that are of another sort."""
_ROTARY_SHARES = ("partial_rotary_factor", "rotary_pct", "rotary_emb_fraction")
_SHARES_OF_A_HEAD = ("qk_dim_factor", "v_dim_factor")
"""Of a head's width: that of its keys, or of its values."""
_TURNING = ("rope_parameters", "rope_theta", "rotary_emb_base", "rotary_dim", *_ROTARY_SHARES)
"""Names of which one has a model whose positions turn pairs of features."""


@dataclass(frozen=True)
class LibraryShape:
    """A library's default settings, and how they are scaled to a rung of the ladder."""

    settings: Mapping[str, Any]
    """The default by the library's names, with what the user has set in their place; JSON values."""
    pinned: frozenset[str] = frozenset()
    """Names that the user has set: they stay as they are at every size."""

    def adapted(self, dims: ModelDims) -> ModelDims:
        """What is built at a rung: the library's proportions, and what is pinned."""
        n_layers = self._pinned(DEPTH) or dims.n_layers
        n_heads = self._pinned(HEADS) or self._fitting_heads(dims)
        return dims.model_copy(
            update={"n_layers": n_layers, "n_heads": n_heads, "d_ff": self._pinned(FEED_FORWARD) or self._inner(dims)}
        )

    def problems(self, dims: ModelDims) -> list[str]:
        """Why `dims` are no shape of this library; empty if they are."""
        multiple = self._head_multiple
        if self._has(HEADS) and not self._own_head_width and dims.d_model % (dims.n_heads * multiple):
            of = f"heads of a multiple of {multiple}" if multiple > 1 else "a divisor"
            return [f"d_model {dims.d_model} is not divisible by n_heads {dims.n_heads}; choose {of}"]
        if dims.d_model % dims.n_heads:
            return [f"d_model {dims.d_model} is not divisible by n_heads {dims.n_heads}; choose a divisor"]
        return []

    def scaled(self, dims: ModelDims) -> dict[str, Any]:
        """The library's settings of a model of `dims`, but for those that are pinned, and those that stay."""
        given: dict[str, Any] = {}
        self._give(given, WIDTH, dims.d_model)
        self._give(given, DEPTH, dims.n_layers)
        self._give(given, HEADS, dims.n_heads)
        self._give(given, POSITIONS, dims.seq_len)
        given |= {name: dims.d_ff for name in FEED_FORWARD if name in self.settings}
        given |= self._heads(dims) | self._widths(dims) | self._state_space(dims)
        given |= self._experts() | self._layers(dims.n_layers)
        return {name: value for name, value in given.items() if name not in self.pinned}

    def dims_of(self, config: Mapping[str, Any]) -> ModelDims:
        """The shape that the library's `config` says. Raises ValueError for none, or for other proportions."""
        found = {
            "d_model": _number_in(config, WIDTH),
            "n_layers": _number_in(config, DEPTH),
            "n_heads": _number_in(config, HEADS),
            "seq_len": _number_in(config, POSITIONS),
            "vocab_size": _number_in(config, ("vocab_size",)),
        }
        if missing := [name for name, value in found.items() if value is None]:
            raise ValueError(f"its config does not say {' and '.join(missing)}")
        d_model = int(found["d_model"] or 0)
        dims = ModelDims.model_validate({**found, "d_ff": _number_in(config, FEED_FORWARD) or 4 * d_model})
        for name, value in self.scaled(dims).items():
            if config.get(name) != value:
                raise ValueError(
                    f"its config says {name} {config.get(name)!r}, the ladder's proportions give {value!r}"
                )
        return dims

    @property
    def num_experts(self) -> int | None:
        """How many there are in a layer; None in a dense model."""
        return self._first(_EXPERTS)

    @property
    def experts_name(self) -> str | None:
        """What the library calls that number; None in a dense model."""
        return next((name for name in _EXPERTS if _is_number(self.settings.get(name))), None)

    @property
    def active_experts(self) -> int | None:
        """How many of them a token is sent to; None where the library does not say."""
        return self._first(_ACTIVE_EXPERTS)

    # What the default says

    def _has(self, names: Iterable[str]) -> bool:
        return any(name in self.settings for name in names)

    def _first(self, names: Iterable[str]) -> int | None:
        """The first of `names` that has a whole number."""
        return _number_in(self.settings, names)

    def _pinned(self, names: Iterable[str]) -> int | None:
        return self._first(name for name in names if name in self.pinned)

    @cached_property
    def _width(self) -> int:
        return self._first(WIDTH) or 1

    @cached_property
    def _num_heads(self) -> int:
        return self._first(HEADS) or 1

    @cached_property
    def _head_multiple(self) -> int:
        """What the width of a head is a multiple of: pairs of features are turned, sometimes of a share of them."""
        if not self._has(_TURNING):
            parts = [self.settings.get(name) for name in _SHARES_OF_A_HEAD]
            return max(
                (math.ceil(1.0 / part) for part in parts if isinstance(part, float) and 0.0 < part < 1.0), default=1
            )
        rope = self.settings.get("rope_parameters")
        shares = [self.settings.get(name) for name in _ROTARY_SHARES]
        shares += [rope.get(name) for name in _ROTARY_SHARES] if isinstance(rope, Mapping) else []
        share = next((float(one) for one in shares if isinstance(one, int | float) and 0.0 < one <= 1.0), 1.0)
        return max(2, math.ceil(2.0 / share))

    @property
    def _own_head_width(self) -> bool:
        """Whether heads together may be wider or narrower than the model."""
        return _is_number(self.settings.get("head_dim"))

    def _give(self, given: dict[str, Any], names: Sequence[str], value: int) -> None:
        """`value` for the first of `names` that is there, and for those that mean the same by default."""
        first = self._first(names)
        given |= {name: value for name in names if first is not None and self.settings.get(name) == first}

    # What a rung gets

    def _inner(self, dims: ModelDims) -> int:
        if not self._has(FEED_FORWARD):
            return 4 * dims.d_model  # what there is of it is the library's
        default = self._first(FEED_FORWARD)
        ratio = (default / self._width if default else 4.0) * dims.d_ff / (4.0 * dims.d_model)
        return _rounded(ratio * dims.d_model, _multiple(dims))

    def _fitting_heads(self, dims: ModelDims) -> int:
        """As many heads as the rung has, or nearly so, so that they are as wide as positions need."""
        multiple = 1 if self._own_head_width else self._head_multiple
        if dims.d_model % (dims.n_heads * multiple) == 0:
            return dims.n_heads
        counts = [n for n in range(1, dims.d_model // multiple + 1) if dims.d_model % (n * multiple) == 0]
        return _nearest(counts, dims.n_heads) if counts else dims.n_heads

    def _heads(self, dims: ModelDims) -> dict[str, Any]:
        given: dict[str, Any] = {}
        divisors = [n for n in range(1, dims.n_heads + 1) if dims.n_heads % n == 0]
        for name in _KEY_HEADS:
            if name in self.settings:
                # None: as many as heads of queries, which not all of the library's configs fill in.
                default = self.settings[name] if _is_number(self.settings[name]) else self._num_heads
                given[name] = _nearest(divisors, dims.n_heads * default / self._num_heads)
        if self.settings.get("head_dim", 0) is None:
            given["head_dim"] = dims.d_model // dims.n_heads
        for name in _HEAD_COUNTS:
            if _is_number(default := self.settings.get(name)):
                given[name] = _nearest(divisors, dims.n_heads * default / self._num_heads)
        keys, values = (self.settings.get(f"linear_num_{name}_heads") for name in ("key", "value"))
        if _is_number(keys) and _is_number(values):
            count = max(1, round(dims.n_heads * keys / self._num_heads))
            given |= {"linear_num_key_heads": count, "linear_num_value_heads": count * max(1, round(values / keys))}
        share = (dims.d_model / dims.n_heads) / (self._width / self._num_heads)
        for name in _HEAD_WIDTHS:
            if _is_number(default := self.settings.get(name)):
                given[name] = _rounded(share * default, self._head_multiple if name == "head_dim" else 2)
        return given

    def _widths(self, dims: ModelDims) -> dict[str, Any]:
        share = dims.d_model / self._width
        given: dict[str, Any] = {}
        for name in _AS_WIDE:
            if _is_number(default := self.settings.get(name)):
                given[name] = dims.d_model if default == self._width else _rounded(share * default, 2)
        for name in _PROPORTIONAL:
            if _is_number(default := self.settings.get(name)):
                # Ranks of small models are small: a multiple would double them.
                wanted = share * default
                given[name] = max(1, math.ceil(wanted)) if wanted < 8 else _rounded(wanted, 2)
        for name in _STATES:
            if _is_number(default := self.settings.get(name)):
                given[name] = min(default, dims.d_model)
        for name in _MULTIPLES:
            if _is_number(default := self.settings.get(name)):
                given[name] = min(default, _multiple(dims))
        return given

    def _state_space(self, dims: ModelDims) -> dict[str, Any]:
        given: dict[str, Any] = {}
        share = (dims.d_model / dims.n_heads) / (self._width / self._num_heads)
        for count, width, expand in _SPACE_HEADS:
            default_count, default_width = self.settings.get(count), self.settings.get(width)
            times = self.settings.get(expand) if expand else None
            if not _is_number(default_count) or (expand and not isinstance(times, int | float)):
                continue
            wide = default_width if _is_number(default_width) else self._width * (times or 1) / default_count
            ratio = times if isinstance(times, int | float) else default_count * wide / self._width
            inner = round(ratio * dims.d_model)
            if count in self.pinned:
                given[count] = default_count
            elif width in self.pinned:
                given[count] = max(1, inner // round(wide))
            else:
                counts = [n for n in range(1, inner + 1) if inner % n == 0]
                given[count] = _nearest(counts, inner / max(share * wide, 1.0))
            if width in self.settings:
                given[width] = inner // given[count]
            for group in _GROUPS:
                if _is_number(groups := self.settings.get(group)):
                    divisors = [n for n in range(1, given[count] + 1) if given[count] % n == 0]
                    given[group] = _nearest(divisors, given[count] * groups / default_count)
            if "mamba_d_ssm" in self.settings:
                given["mamba_d_ssm"] = inner
        return given

    def _experts(self) -> dict[str, Any]:
        """Groups of experts that have two at least, where the user has asked for fewer experts than there are."""
        groups, chosen, experts = (self.settings.get(name) for name in ("n_group", "topk_group", "n_routed_experts"))
        if not (_is_number(groups) and _is_number(experts)):
            return {}
        fitting = [n for n in range(1, groups + 1) if experts % n == 0 and experts // n >= 2]
        count = max(fitting, default=1)
        return {"n_group": count, **({"topk_group": max(1, min(chosen, count))} if _is_number(chosen) else {})}

    def _layers(self, n_layers: int) -> dict[str, Any]:
        """Patterns over the layers, in the shares that the default has, each sort at least once where it fits."""
        default = self._first(DEPTH)
        given: dict[str, Any] = {}
        if default is None:
            return given
        for name, value in self.settings.items():
            if isinstance(value, list | tuple) and len(value) == default and name not in _LAYER_NUMBERS:
                given[name] = resampled(value, n_layers)
            elif isinstance(value, str) and len(value) == default and name.endswith("pattern"):
                given[name] = "".join(resampled(value, n_layers))
            elif name in _LAYER_NUMBERS and isinstance(value, list | tuple) and value:
                marks = [number in value for number in range(default)]
                given[name] = [number for number, mark in enumerate(resampled(marks, n_layers)) if mark]
        for period, offset in _PERIODS:
            if _is_number(every := self.settings.get(period)) and every > n_layers:
                given |= {period: n_layers, offset: min(self.settings.get(offset) or 0, n_layers - 1)}
        for name in _DENSE_FIRST:
            if _is_number(first := self.settings.get(name)) and first:
                given[name] = min(n_layers - 1, max(1, round(first * n_layers / default)))
        return given


def resampled(pattern: Sequence[Any], n_layers: int) -> list[Any]:
    """`pattern`, one entry a layer, for another number of layers.

    Its period is repeated; what is left over, and a model of fewer layers than a period has, gets a period from which
    entries of the sort that is most frequent are left out.
    """
    period = next(
        size
        for size in range(1, len(pattern) + 1)
        if all(pattern[place] == pattern[place % size] for place in range(len(pattern)))
    )
    whole, rest = divmod(n_layers, period)
    return [*list(pattern[:period]) * whole, *_thinned(list(pattern[:period]), rest)]


def _thinned(period: list[Any], size: int) -> list[Any]:
    while len(period) > size:
        del period[period.index(max(period, key=period.count))]
    return period


def _number_in(config: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """The first of `names` that has a whole number in `config`."""
    return next((config[name] for name in names if _is_number(config.get(name))), None)


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _multiple(dims: ModelDims) -> int:
    return 2 if dims.d_model < 128 else 8


def _rounded(value: float, multiple: int) -> int:
    return max(multiple, multiple * round(value / multiple))


def _nearest(counts: Sequence[int], wanted: float) -> int:
    return min(counts, key=lambda count: abs(math.log(count / max(wanted, 0.5))))
