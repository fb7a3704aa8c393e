"""The shape of an architecture that costs what another one costs. Importing this loads no torch.

A ladder is asked for parameters; two architectures of as many parameters may differ in the FLOPs of a token by several
times. Here the ladder is searched for the rung of the wanted FLOPs, and the rest of the difference, which is less than
the step between two rungs, is taken up by the width of the feed-forward layer.
"""

import math
from collections.abc import Callable, Iterator
from typing import Protocol

from archbench.contracts.architecture import ArchitectureConfig, ModelDims
from archbench.contracts.objective import ObjectiveConfig, model_vocab_size, trained_flops

TOLERANCE = 0.02
"""Largest relative difference of two costs that are called the same."""

_TRIES = 48
"""Halvings of the interval of sizes: more than rungs to tell apart."""
_SIZES = (2e3, 1e12)
"""Parameters between which the ladder is searched."""
_WIDTHS = (0.25, 4.0)
"""How far the feed-forward layer may be from that of the rung, as a factor."""
_WIDE, _WIDE_MULTIPLE = 1024, 8
"""Layers so wide are whole multiples of 8, for which accelerators have fast kernels."""


class Learner(Protocol):
    """An architecture under an objective, with the name that specs give to it."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def architecture(self) -> ArchitectureConfig:
        """What learns."""

    @property
    def objective(self) -> ObjectiveConfig:
        """From what."""


def shape_of(learner: Learner, size: float, *, like: Learner | None, text_vocab_size: int, seq_len: int) -> ModelDims:
    """The shape of `learner` at `size` parameters without embeddings; with `like`, the one that costs as much as that.

    Raises ValueError, saying what is possible, where there is none.
    """

    def rung(one: Learner) -> ModelDims:
        vocab_size = model_vocab_size(text_vocab_size, one.objective)
        return one.architecture.sized_for(size, vocab_size=vocab_size, seq_len=seq_len)

    if like is None:
        return rung(learner)
    wanted = train_flops_per_token(like.architecture, like.objective, rung(like))
    try:
        return matched_dims(
            learner.architecture,
            learner.objective,
            wanted,
            vocab_size=model_vocab_size(text_vocab_size, learner.objective),
            seq_len=seq_len,
        )
    except ValueError as error:
        raise ValueError(f"cannot match {like.name} at {size:g} parameters: {error}") from error


def train_flops_per_token(architecture: ArchitectureConfig, objective: ObjectiveConfig, dims: ModelDims) -> float:
    """FLOPs executed per input token of a training step: what runs record as exact."""
    return trained_flops(architecture, objective, dims).train(objective.predicted_fraction(dims.seq_len))


def matched_dims(
    architecture: ArchitectureConfig,
    objective: ObjectiveConfig,
    wanted_flops: float,
    *,
    vocab_size: int,
    seq_len: int,
    tolerance: float = TOLERANCE,
) -> ModelDims:
    """The shape of `architecture` whose training step executes `wanted_flops` per input token, within `tolerance`.

    Of the rungs on both sides of that cost, each with the feed-forward layer that comes nearest to it, it is the one
    whose layer is changed least. Raises ValueError, naming the nearest cost, where none lies within `tolerance`.
    """

    def cost(dims: ModelDims) -> float:
        return train_flops_per_token(architecture, objective, dims)

    def rung(params: float) -> ModelDims | None:
        try:
            return architecture.sized_for(params, vocab_size=vocab_size, seq_len=seq_len)
        except ValueError:  # between two rungs, or outside of the ladder
            return None

    rungs = list(_rungs_around(rung, cost, wanted_flops))
    if not rungs:
        raise ValueError("its ladder has no rung to begin from")
    pairs = [(one, shape) for one in rungs for shape in (one, _with_inner_layer(one, cost, wanted_flops, architecture))]
    near = [(one, shape) for one, shape in pairs if abs(cost(shape) / wanted_flops - 1.0) <= tolerance]
    if not near:
        nearest = min((cost(shape) for _, shape in pairs), key=lambda flops: abs(math.log(flops / wanted_flops)))
        raise ValueError(
            f"no shape costs {wanted_flops:,.0f} FLOPs a token within {100 * tolerance:g} %;"
            f" the nearest costs {nearest:,.0f}"
        )
    # Of two that are changed alike, as not at all, the nearer one.
    return min(
        near, key=lambda pair: (abs(math.log(pair[1].d_ff / pair[0].d_ff)), abs(cost(pair[1]) / wanted_flops - 1.0))
    )[1]


def _rungs_around(
    rung: Callable[[float], ModelDims | None], cost: Callable[[ModelDims], float], wanted: float
) -> Iterator[ModelDims]:
    """The dearest rung below `wanted` and the cheapest from there on, found by halving; costs rise with the size."""
    low, high = (math.log(end) for end in _SIZES)
    below: ModelDims | None = None
    above: ModelDims | None = None
    for _ in range(_TRIES):
        middle = (low + high) / 2.0
        found = rung(math.exp(middle))
        # Where there is no rung, the ladder goes on above it at the small end and ends below it at the large one.
        if found is None:
            low, high = (middle, high) if middle < math.log(1e6) else (low, middle)
        elif cost(found) < wanted:
            below, low = found, middle
        else:
            above, high = found, middle
    yield from (one for one in (below, above) if one is not None)


def _with_inner_layer(
    dims: ModelDims, cost: Callable[[ModelDims], float], wanted: float, architecture: ArchitectureConfig
) -> ModelDims:
    """`dims` with the feed-forward layer that brings its cost nearest to `wanted`, if it can be built; else `dims`."""
    here = cost(dims)
    slope = cost(dims.model_copy(update={"d_ff": dims.d_ff + 1})) - here
    if slope <= 0.0:
        return dims  # an architecture without such a layer
    multiple = _WIDE_MULTIPLE if dims.d_ff >= _WIDE else 1
    d_ff = multiple * round((dims.d_ff + (wanted - here) / slope) / multiple)
    narrowest, widest = (factor * dims.d_ff for factor in _WIDTHS)
    changed = dims.model_copy(update={"d_ff": d_ff})
    if not narrowest <= d_ff <= widest or architecture.problems(changed):
        return dims
    return changed
