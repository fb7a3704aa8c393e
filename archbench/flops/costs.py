"""Parameters and FLOPs of an architecture by building it, for those that state no formula: see `contracts.counting`.

Modules are built, and run forward and backward, on tensors without data, so that no size costs memory. One that looks
at its values, as some mixtures of experts do, is run on real ones.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from archbench.contracts.architecture import ArchitectureConfig, Attention, ForwardFlops, ModelDims
from archbench.errors import in_one_line
from archbench.flops.counter import FlopsByName, measured_flops
from archbench.flops.embeddings import embedding_names, larger_tables
from archbench.nn.language_model import LanguageModel, State

LOGITS = "logits"
_MAX_SEGMENTS = 16
_LARGEST_WITH_DATA = 200_000_000
"""Parameters of a model that is run on real numbers, where it cannot be run without."""
_EXACT = 1e-9
"""Relative difference of two sums of whole numbers, in floating point."""


def counted_params(config: ArchitectureConfig, dims: Mapping[str, Any]) -> dict[str, int | None]:
    """The fields of `ParamCount`. Raises ValueError, in words, where the module cannot be built."""
    shape = ModelDims.model_validate(dims)
    attention = _any_attention(config)
    with _without_data():
        model, larger = (_built(config, one, attention) for one in (shape, larger_tables(shape)))
    embeddings = embedding_names(model, larger, shape)
    sizes = {True: 0, False: 0}
    for name, parameter in model.named_parameters():
        sizes[name in embeddings] += parameter.numel()
    idle = model.idle_parameters()
    return {
        "embedding": sizes[True],
        "non_embedding": sizes[False],
        "active_non_embedding": sizes[False] - idle if idle else None,
    }


def counted_flops(config: ArchitectureConfig, dims: Mapping[str, Any], attention: str) -> dict[str, Any]:
    """The fields of `ForwardFlops`, by the modules of a block. Raises ValueError where nothing can be counted."""
    shape, mode = ModelDims.model_validate(dims), Attention(attention)
    try:
        with _without_data():
            flops = _flops_per_token(_built(config, shape, mode), shape)
    except ValueError:
        raise
    except Exception as error:  # shapes that hang on values, or an operation that needs them
        flops = _counted_with_data(config, shape, mode, error)
    return {
        "components": dict(flops.components),
        "per_prediction": sorted(flops.per_prediction),
        "recomputed": sorted(flops.recomputed),
        "forward_only": sorted(flops.forward_only),
    }


def _counted_with_data(
    config: ArchitectureConfig, dims: ModelDims, attention: Attention, error: Exception
) -> ForwardFlops:
    """Costs of a module that cannot be run without data. Raises ValueError where it is too large, or fails again."""
    num_params = config.num_params(dims).total
    if num_params > _LARGEST_WITH_DATA:
        raise ValueError(
            f"its FLOPs cannot be counted at {num_params:,} parameters: the module looks at its values"
            f" ({type(error).__name__}), and is too large to be run for it; choose a smaller size"
        )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return _flops_per_token(_built(config, dims, attention), dims)
    except Exception as again:  # the module's own
        raise ValueError(f"its FLOPs cannot be counted: {in_one_line(again)}") from again


def _any_attention(config: ArchitectureConfig) -> Attention:
    """A mode that the architecture can be built with; parameters are the same in all. Raises ValueError."""
    problems = {mode: config.unsupported(mode) for mode in sorted(config.attention_modes)}
    for mode, problem in problems.items():
        if problem is None:
            return mode
    raise ValueError(next(iter(problems.values())) or "it offers no attention")


@contextmanager
def _without_data() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True):
        yield


def _built(config: ArchitectureConfig, dims: ModelDims, attention: Attention) -> LanguageModel:
    """The module in training mode. Raises ValueError, in one line, where it cannot be built."""
    try:
        return config.build(dims, attention).train()
    except ValueError:
        raise
    except Exception as error:  # a plug-in's, or a library's, own
        shape = f"d_model {dims.d_model}, n_layers {dims.n_layers}, n_heads {dims.n_heads}, d_ff {dims.d_ff}"
        raise ValueError(f"its module cannot be built at {shape}: {in_one_line(error)}") from error


def _flops_per_token(model: LanguageModel, dims: ModelDims) -> ForwardFlops:
    """What one more row costs, over its tokens; what a pass costs whatever its rows is no token's."""
    (few, few_trained), (many, many_trained) = (_pass_flops(model, dims, rows) for rows in (2, 3))
    parts = {name: (many[name] - few.get(name, 0.0)) / dims.seq_len for name in many}
    components = {name: flops for name, flops in parts.items() if flops > 0.0}
    return _with_backward(components, (many_trained - few_trained) / dims.seq_len)


def _pass_flops(model: LanguageModel, dims: ModelDims, rows: int) -> tuple[dict[str, float], float]:
    """Of a forward pass by component, and of forward and backward together, with a full memory."""
    tokens = torch.randint(dims.vocab_size, (rows, dims.seq_len))
    state = _full_memory(model, tokens)
    by_name = FlopsByName()

    def forward(named: Callable[[str], Any] = lambda name: nullcontext()) -> Tensor:
        encoded = model.encode(tokens, state=state)
        with named(LOGITS):
            total = model.logits(encoded.hidden).sum()
        return total if encoded.auxiliary is None else total + encoded.auxiliary

    with torch.no_grad(), _following(model, by_name):
        measured_flops(lambda: forward(by_name.named), by_name)
    return by_name.flops, measured_flops(lambda: torch.autograd.backward(forward()))


@torch.no_grad()
def _full_memory(model: LanguageModel, tokens: Tensor) -> State | None:
    """The memory from which on its shape no longer changes."""
    state: State | None = None
    for _ in range(_MAX_SEGMENTS):
        following = model.encode(tokens, state=state).state
        if following is None or (state is not None and [t.shape for t in following] == [t.shape for t in state]):
            return following
        state = following
    return state


@contextmanager
def _following(model: nn.Module, by_name: FlopsByName) -> Iterator[None]:
    """Within, work is counted under the component of the module that does it."""
    handles = []
    for path, module in model.named_modules():
        name = component_of(path)
        if name is not None:
            handles += [
                module.register_forward_pre_hook(lambda *_, name=name: by_name.enter(name)),
                module.register_forward_hook(lambda *_: by_name.leave(), always_call=True),
            ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def component_of(path: str) -> str | None:
    """The component that the module at `path` is part of: what its block calls it; None above the blocks.

    `model.layers.3.self_attn.q_proj` is part of `self_attn`: a block is what has a number.
    """
    parts = path.split(".")
    number = next((index for index, part in enumerate(parts) if part.isdigit()), None)
    if number is None:
        return None
    inside = [part for part in parts[number + 1 :] if not part.isdigit()]
    return inside[0] if inside else parts[number - 1]


def _with_backward(components: Mapping[str, float], train: float) -> ForwardFlops:
    """Forward FLOPs with what a step executes beyond, or short of, three times as many.

    That difference is taken out of the dearest components: work without a gradient, as of rotary angles, counts once;
    work that a backward pass does again counts four times.
    """
    per_prediction = frozenset({LOGITS}) & components.keys()
    difference = train - 3.0 * sum(components.values())
    if abs(difference) <= _EXACT * train:
        return ForwardFlops(components, per_prediction=per_prediction)
    suffix = "recomputed" if difference > 0.0 else "without_gradient"
    wanted = difference if difference > 0.0 else -difference / 2.0
    split: dict[str, float] = {}
    remaining = dict(components)
    for name, flops in sorted(components.items(), key=lambda one: -one[1]):
        if name not in per_prediction and wanted > 0.0:
            part = min(flops, wanted)
            split[f"{name}_{suffix}"] = part
            remaining[name] = flops - part
            wanted -= part
    return ForwardFlops(
        {name: flops for name, flops in {**remaining, **split}.items() if flops > 0.0},
        per_prediction=per_prediction,
        recomputed=frozenset(split) if difference > 0.0 else frozenset(),
        forward_only=frozenset() if difference > 0.0 else frozenset(split),
    )
