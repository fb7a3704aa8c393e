"""What a reading of frontiers is: curves of loss over cost of several contenders in one form, with their resamples.

Legend: R resamples, M arguments, C cost, L loss (nats).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

import numpy as np

from archbench.analysis.fitting.common_floor import FlooredLines
from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.finished import FinishedRuns


class Form(StrEnum):
    """What a frontier is read from."""

    JOINT_LAW = "joint law L(N,D)"
    COMMON_FLOOR = "law L(C) above a common floor"
    OWN_FLOORS = "law L(C), each above a floor of its own"
    NO_FLOOR = "law L(C) without floor"
    HULL = "hull of finished runs"
    LEARNING_CURVES = "envelope of learning curves"


class Frontier(Protocol):
    """ln L over ln C of one contender, for the data (first row) and R resamples; [1 + R, M] for M arguments."""

    def log_loss_at(self, log_cost: Floats) -> Floats:
        """ln L at each log cost; infinite before the frontier begins."""
        ...

    def log_cost_at(self, log_loss: Floats) -> Floats:
        """ln C at each log loss; infinite where it is not reached."""
        ...


@dataclass(frozen=True)
class Reading:
    """The frontiers of several contenders in one form."""

    form: Form
    why: str
    """Why it is this form and no other, in words; what was left out."""
    names: tuple[str, ...]
    frontiers: tuple[Frontier, ...]
    spans: tuple[tuple[float, float], ...]
    """ln C of the cheapest and of the dearest run that each was read from."""
    freedom: float
    """Degrees of freedom of the residuals; 0 where nothing tells the scatter, and resamples are NaN."""
    exponents: Floats | None = None
    """[1 + R, contenders]: exponent of the excess loss against cost; None where the form has none."""
    floors: Floats | None = None
    """[1 + R]: the common floor in nats; None where there is none."""
    own_floors: tuple[float, ...] | None = None
    """Floor of each contender in nats, where each has one of its own."""
    ceilings: tuple[float, ...] = ()
    """ln L above which each is not read: its line of pairs; infinite where that is not known, nothing where none is."""
    refusals: tuple[str, ...] = ()
    """Why each is not read at all, in a sentence: too few of its runs lie beyond the plateau; empty where it is."""
    deviation: Floats | None = None
    """[R]: standard deviation of ln L of one further cell about its law; None where nothing tells it."""
    without_each: Callable[[], "Iterable[tuple[str, Reading]]"] = field(default=tuple, repr=False, compare=False)
    """Makes the same reading, of the data alone, without one cell at a time: what is left out, and the reading. Nothing
    where too few cells would stay."""

    @property
    def num_resamples(self) -> int:
        """R."""
        return len(self.frontiers[0].log_cost_at(np.zeros(1))) - 1

    def turned(self) -> "Reading":
        """The same reading with its contenders in the opposite order."""
        return replace(
            self,
            names=self.names[::-1],
            frontiers=self.frontiers[::-1],
            spans=self.spans[::-1],
            exponents=None if self.exponents is None else self.exponents[:, ::-1],
            own_floors=None if self.own_floors is None else self.own_floors[::-1],
            ceilings=self.ceilings[::-1],
            refusals=self.refusals[::-1],
            without_each=lambda: ((words, other.turned()) for words, other in self.without_each()),
        )

    def below_plateau(self, group: Sequence[FinishedRuns]) -> "Reading":
        """The same reading with what the lines of its contenders, `group`, forbid."""
        return replace(self, ceilings=tuple(one.ceiling for one in group), refusals=tuple(one.refusal for one in group))

    def ceiling(self, *sides: int) -> float:
        """ln L above which none of `sides` is read; infinite where no line is known."""
        return min((self.ceilings[side] for side in sides if self.ceilings), default=float("inf"))

    def refusal(self, *sides: int) -> str:
        """Why one of `sides` is not read at all; empty where all are."""
        return "; ".join(self.refusals[side] for side in sides if self.refusals and self.refusals[side])

    def reached(self, side: int) -> Floats:
        """ln L of one contender at the cheapest and the dearest run that it was read from, [1 + R, 2]."""
        return self.frontiers[side].log_loss_at(np.array(self.spans[side]))


@dataclass(frozen=True, slots=True)
class LineFrontier:
    """A law of cost."""

    lines: FlooredLines
    group: int

    def log_loss_at(self, log_cost: Floats) -> Floats:
        """As `Frontier` has it."""
        return self.lines.log_loss_at(self.group, log_cost)

    def log_cost_at(self, log_loss: Floats) -> Floats:
        """As `Frontier` has it."""
        return self.lines.log_cost_at(self.group, log_loss)


@dataclass(frozen=True, slots=True)
class TabulatedFrontier:
    """A frontier by points, falling from one to the next, linear in ln C and ln L between."""

    log_cost: Floats
    """[points]"""
    log_loss: Floats
    """[1 + R, points]"""

    def log_loss_at(self, log_cost: Floats) -> Floats:
        """As `Frontier` has it."""
        return np.stack([np.interp(log_cost, self.log_cost, row, left=np.inf) for row in self.log_loss])

    def log_cost_at(self, log_loss: Floats) -> Floats:
        """As `Frontier` has it."""
        rows = [
            np.interp(-log_loss, -row, self.log_cost, right=np.inf) if np.isfinite(row).all() else _nothing(log_loss)
            for row in self.log_loss
        ]
        return np.stack(rows)


def _nothing(like: Floats) -> Floats:
    return np.full(len(like), np.nan)


def spans_of(cells: Sequence[FinishedRuns]) -> tuple[tuple[float, float], ...]:
    """ln C of the cheapest and of the dearest cell of each contender."""
    return tuple((float(one.log_cost[0]), float(one.log_cost[-1])) for one in cells)
