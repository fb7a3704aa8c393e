"""What a process with torch tells of a family: its facts, and whether a small model of it does what it must.

Each function answers `archbench.api.answer`: a config and JSON values in, JSON values out, ValueError for a refusal.
"""

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from archbench.api import Attention, ModelDims
from archbench_transformers.config import TransformersConfig
from archbench_transformers.families import Family
from archbench_transformers.model import TransformersModel

_SEQ_LEN, _VOCAB_SIZE = 32, 48
_POSITION = 10
"""Whose logits are followed back."""
_MOST_PARAMS = 20_000_000
_TOLERANCE = 1e-4
"""Of logits of an untrained model, which are of the order of 0.1 to 1."""

T = TypeVar("T")


def facts(config: TransformersConfig) -> dict[str, Any]:
    """Settings, which of them are the user's, and the values that common settings may have."""
    family = config.named_family()
    shape, default = family.shape, family.default
    tied = bool(getattr(default, "tie_word_embeddings", False))
    return {
        "settings": dict(shape.settings),
        "pinned": sorted(shape.pinned),
        "common": {
            "tie_output": [True, False] if hasattr(default, "tie_word_embeddings") else [tied],
            "output_bias": [False],
            "initialisation": ["by_width"] if isinstance(getattr(default, "initializer_range", None), float) else [],
        },
    }


def trial(config: TransformersConfig, attention: str) -> bool:
    """True where a small model is built, runs, has the library's logits, and sees the positions that it may see.

    Raises ValueError, in one line, with the reason where it is not so.
    """
    mode = Attention(attention)
    family = config.named_family()
    family.model_class(mode)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        _attempted(family, "be built", lambda: _require_small(config, mode))
        model = _attempted(family, "be built", lambda: config.build(small_dims(config), mode).eval())
        _attempted(family, "be run", lambda: _require_own_logits(model))
        _require_sight(family, mode, *_attempted(family, "be run backward", lambda: _gradients(model)))
        _require_common(config, model)
    return True


def tables(config: TransformersConfig, dims: dict[str, Any]) -> dict[str, Any]:
    """What the library's base model is called, its tensors with a row for each id, and those with one for a position.

    Positions: how many rows stand before that of the first one.
    """
    shape = ModelDims.model_validate(dims)
    mode = next(one for one in Attention if one in config.attention_modes and config.unsupported(one) is None)
    more_ids = shape.model_copy(update={"vocab_size": shape.vocab_size + 8})
    longer = shape.model_copy(update={"seq_len": shape.seq_len + 8})
    with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True):
        own, of_ids, of_positions = (
            {name: tuple(tensor.shape) for name, tensor in config.build(one, mode).inner.state_dict().items()}
            for one in (shape, more_ids, longer)
        )
        prefix = config.build(shape, mode).inner.base_model_prefix
    return {
        "base_prefix": f"{prefix}.",
        "vocabulary": sorted(name for name in own if own[name] != of_ids[name]),
        "positions": {name: own[name][0] - shape.seq_len for name in own if own[name] != of_positions[name]},
    }


def _require_small(config: TransformersConfig, attention: Attention) -> None:
    """Raises ValueError where the ladder has not found what makes the family large; nothing is held for it."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = config.build(small_dims(config), attention)
    count = sum(parameter.numel() for parameter in model.parameters())
    if count > _MOST_PARAMS:
        raise ValueError(f"it has {count:,} parameters at a width of 32: its shape is not known here by its names")


def small_dims(config: TransformersConfig) -> ModelDims:
    """The shape of the model that is tried."""
    plain = ModelDims(vocab_size=_VOCAB_SIZE, seq_len=_SEQ_LEN, d_model=32, n_layers=2, n_heads=4, d_ff=128)
    return config.adapted(plain)


def _attempted(family: Family, what: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:  # the library's own, of any class
        told = " ".join(str(error).split())[:300]
        reason = told if isinstance(error, ValueError) else f"{type(error).__name__}: {told}"
        raise ValueError(f"a small model of model_type {family.model_type!r} cannot {what}: {reason}") from error


def _tokens(rows: int = 2) -> Tensor:
    return torch.randint(_VOCAB_SIZE, (rows, _SEQ_LEN), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def _require_own_logits(model: TransformersModel) -> None:
    tokens = _tokens()
    hidden = model.encode(tokens).hidden
    wanted = (*tokens.shape, model.dims.d_model)
    if tuple(hidden.shape) != wanted:
        raise ValueError(f"its trunk returns hidden states of the shape {tuple(hidden.shape)}, expected {wanted}")
    ours, library = model.logits(hidden), model.inner(tokens, **model.positions(tokens)).logits
    if tuple(ours.shape) != (*tokens.shape, _VOCAB_SIZE):
        raise ValueError(f"it returns logits of the shape {tuple(ours.shape)}")
    if not bool(ours.isfinite().all()):
        raise ValueError("logits of an untrained model are not finite")
    if not torch.allclose(ours, library, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise ValueError("its logits hang on more than the last hidden states of its trunk")


def _gradients(model: TransformersModel) -> tuple[float, float]:
    """How much the logits of a position hang on later tokens of its row, and on another row."""
    tokens, leaves = _tokens(), []

    def cut(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1] * 1.0  # some libraries go on in place

    handle = model.inner.get_input_embeddings().register_forward_hook(cut)
    try:
        logits = model.logits(model.encode(tokens).hidden)[0, _POSITION]
    finally:
        handle.remove()
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(2))
    torch.autograd.backward((logits * weights).sum())
    found = sum((leaf.grad.abs().sum(-1) for leaf in leaves if leaf.grad is not None), start=torch.zeros(tokens.shape))
    return float(found[0, _POSITION + 1 :].max()), float(found[1].max())


def _require_sight(family: Family, attention: Attention, later: float, other_row: float) -> None:
    name = f"model_type {family.model_type!r}"
    if other_row > 0.0:
        raise ValueError(f"{name} lets rows of a batch see each other; such a model has no loss of its own text")
    if attention is Attention.CAUSAL and later > 0.0:
        raise ValueError(f"{name} is not causal: logits hang on later tokens; take an objective of masked tokens")
    if attention is Attention.BIDIRECTIONAL and later == 0.0:
        raise ValueError(f"{name} sees no later tokens; take objective causal_lm")


def _require_common(config: TransformersConfig, model: TransformersModel) -> None:
    """Raises ValueError where the library has not done what `tie_output` and `output_bias` say."""
    head = model.inner.get_output_embeddings()
    tied = head is not None and head.weight is model.inner.get_input_embeddings().weight
    if config.tie_output is not None and tied != config.tie_output:
        does = "ties its output" if tied else "has an output matrix of its own"
        raise ValueError(f"tie_output: model_type {config.model_type!r} {does} whatever it is told; leave it out")
    biased = getattr(head, "bias", None) is not None
    if config.output_bias is not None and biased != config.output_bias:
        has = "has a bias" if biased else "has no bias"
        raise ValueError(f"output_bias: model_type {config.model_type!r} {has} of its logits; leave it out")
