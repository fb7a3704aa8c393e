"""The finished runs of one contender as cells of size and token budget: what laws and multipliers are read from.

Legend: n cells, m runs, N parameters without embeddings, D tokens, C cost, L loss (nats).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archbench.analysis.frontier.curves import CurveSet, Floats, MeanCurve
from archbench.results.reference_lines import plateau_line
from archbench.results.runs import CostAxis, size_number
from archbench.units import counted

Ints = NDArray[np.intp]

MIN_SIZES = 3
"""Sizes from which on a law L(C) may be read."""
_SAME_COST = 0.1
"""Costs within 10 % of each other are one budget."""
_LEAST_BEYOND = 2
"""Cells beyond the plateau from which on others are left out: between two points a frontier goes on."""
_FAILS_BY = 3.0
"""Standard deviations of run-to-run noise by which a size must lie above a cheaper one to count as failed."""


@dataclass(frozen=True)
class FinishedRuns:
    """Runs that ended their schedule, in cells of one size and one budget; cells in rising order of cost."""

    contender: str
    axis: CostAxis
    size_index: Ints
    """[n]."""
    log_params: Floats
    """[n], ln N."""
    log_tokens: Floats
    """[n], ln D."""
    log_cost: Floats
    """[n], ln C, the mean over seeds taken before."""
    losses: tuple[Floats, ...]
    """[n] arrays of ln L of each seed."""
    seeds: tuple[tuple[int, ...], ...]
    """[n]: which seeds these are."""
    log_line: Floats | None = None
    """[n]: ln of the line of pairs of the text that each saw; infinite where it is not known. None where none is."""
    line: str = ""
    """Name of that line: `bigram`, or `neighbours` of a masked objective."""
    aside: tuple[int, ...] = ()
    """Sizes of the cells that were left out because they lie on the plateau; those of `of` alone."""

    @staticmethod
    def of(curves: CurveSet) -> "FinishedRuns":
        """The ends of `curves`; of a contender without any finished curve all ends, since nothing else is known.

        Cells on the plateau are left out, unless fewer than two lie beyond it: then all are kept, and `refusal` says
        that nothing may be read from them.
        """
        finished = [curve for curve in curves.curves if curve.finished[-1]] or list(curves.curves)
        ranked = sorted(finished, key=lambda curve: (float(curve.cost[-1]), curve.size_index))
        found = FinishedRuns(
            contender=curves.contender,
            axis=curves.axis,
            size_index=np.array([curve.size_index for curve in ranked], dtype=np.intp),
            log_params=np.log([float(curve.non_embedding_params) for curve in ranked]),
            log_tokens=np.log([float(curve.tokens[-1]) for curve in ranked]),
            log_cost=np.log([float(curve.cost[-1]) for curve in ranked]),
            losses=tuple(np.log(curve.final_losses_nats) for curve in ranked),
            seeds=tuple(curve.seeds for curve in ranked),
            **_lines_of(ranked),
        )
        beyond = ~found.on_plateau
        if beyond.all() or beyond.sum() < _LEAST_BEYOND:
            return found
        return replace(found.take(beyond), aside=tuple(int(size) for size in np.unique(found.size_index[~beyond])))

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.log_cost)

    @cached_property
    def log_loss(self) -> Floats:
        """Mean of ln L over the seeds of each cell, [n]."""
        return np.array([one.mean() for one in self.losses])

    @cached_property
    def num_runs(self) -> Ints:
        """Seeds of each cell, [n]."""
        return np.array([len(one) for one in self.losses], dtype=np.intp)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that readings hang on, in hex: they are equal on axes that hold the same numbers."""
        digest = hashlib.sha256(repr((self.contender, self.seeds)).encode())
        for part in (self.size_index, self.log_params, self.log_tokens, self.log_cost, *self.losses):
            digest.update(part.tobytes())
        if self.log_line is not None:
            digest.update(repr((self.line, self.aside)).encode() + self.log_line.tobytes())
        return digest.hexdigest()

    @cached_property
    def on_plateau(self) -> NDArray[np.bool_]:
        """[n]: whether the mean loss of each cell lies on or above its line; not where that is not known."""
        if self.log_line is None:
            return np.zeros(len(self), dtype=bool)
        return np.array([np.log(np.exp(one).mean()) for one in self.losses]) >= self.log_line

    @property
    def ceiling(self) -> float:
        """ln of the highest loss that may be read: the line of the cell that saw least, of those whose line is known.

        Infinite where none is.
        """
        known = np.empty(0) if self.log_line is None else self.log_line[np.isfinite(self.log_line)]
        return float(known.max()) if len(known) else float("inf")

    @property
    def refusal(self) -> str:
        """Why no multiplier and no law may be read from these cells, in a sentence; empty where they may."""
        if not (on := int(self.on_plateau.sum())):
            return ""
        cells = "size" if self.num_sizes == len(self) else "cell"
        highest = float(np.exp(self.ceiling))
        which = "all" if on == len(self) else f"{on} of the"
        return (
            f"{which} {counted(len(self), cells)} of {self.contender} end on or above the {self.line} line of their "
            f"text ({highest:.3g} nats); it takes {_LEAST_BEYOND} beyond it"
        )

    @property
    def law_refusal(self) -> str:
        """Why the plateau forbids a law: `refusal`, or too few sizes beyond where those on it would have made enough.

        Empty where it forbids none.
        """
        if self.refusal or not self.aside or self.num_sizes >= MIN_SIZES:
            return self.refusal
        return f"{counted(self.num_sizes, 'size')} beyond the {self.line} line; a frontier needs at least {MIN_SIZES}"

    @property
    def num_sizes(self) -> int:
        """Number of different sizes."""
        return len(np.unique(self.size_index))

    @cached_property
    def seed_freedom(self) -> int:
        """Degrees of freedom of the run-to-run noise; losses that are equal to the last digit tell nothing of it."""
        return sum(len(np.unique(one)) - 1 for one in self.losses)

    @cached_property
    def seed_variance(self) -> float:
        """Variance of ln L between runs that differ in the seed alone; 0 where no cell has two."""
        squares = sum(float(((different - different.mean()) ** 2).sum()) for different in map(np.unique, self.losses))
        return squares / self.seed_freedom if self.seed_freedom else 0.0

    @property
    def is_grid(self) -> bool:
        """Whether some size was trained for several budgets, or several sizes at one cost: what identifies L(N,D)."""
        several_budgets = self.num_sizes < len(self)
        return several_budgets or bool(len(self) > 1 and (np.diff(self.log_cost) < _SAME_COST).any())

    def take(self, cells: NDArray[np.bool_] | Ints) -> "FinishedRuns":
        """Some of the cells."""
        chosen = np.arange(len(self))[cells]
        return FinishedRuns(
            self.contender,
            self.axis,
            self.size_index[chosen],
            self.log_params[chosen],
            self.log_tokens[chosen],
            self.log_cost[chosen],
            tuple(self.losses[cell] for cell in chosen),
            tuple(self.seeds[cell] for cell in chosen),
            None if self.log_line is None else self.log_line[chosen],
            self.line,
            self.aside,
        )

    def on_frontier(self) -> "tuple[FinishedRuns, str]":
        """The cells that a law L(C) is read from, and in words which are left out.

        Of a grid the corners of its lower hull. Of a ladder all sizes but those that failed: whose loss lies above
        that of a cheaper size by more than three standard deviations of the noise and by more than the gain of a step.
        """
        if not len(self):
            return self, ""
        if self.is_grid:
            corners = self.take(self.lower_hull())
            return corners, f"the {len(corners)} of {len(self)} cells on the lower hull"
        lowest = np.minimum.accumulate(self.log_loss)
        best = int(np.argmin(self.log_loss))
        step = (self.log_loss[0] - self.log_loss[best]) / best if best else 0.0
        noise = _FAILS_BY * np.sqrt(self.seed_variance * 2.0 / self.num_runs)
        failed = self.log_loss > lowest + np.maximum(noise, step) + 1e-9
        if not failed.any():
            return self, ""
        names = ", ".join(str(size_number(int(size))) for size in self.size_index[failed])
        return self.take(~failed), f"without size {names}, which a cheaper size beats"

    def lower_hull(self) -> NDArray[np.bool_]:
        """[n]: the falling corners of the lower convex hull of ln L over ln C."""
        corners: list[int] = []
        best = int(np.argmin(self.log_loss))
        for cell in range(best + 1):
            if corners and self.log_cost[cell] == self.log_cost[corners[-1]]:
                if self.log_loss[cell] >= self.log_loss[corners[-1]]:
                    continue
                corners.pop()
            while len(corners) > 1 and self._turns_right(corners[-2], corners[-1], cell):
                corners.pop()
            corners.append(cell)
        # What lies above a cheaper corner is on no frontier.
        falling = [cell for place, cell in enumerate(corners) if place == 0 or self._falls(corners[place - 1], cell)]
        kept = np.zeros(len(self), dtype=bool)
        kept[falling] = True
        return kept

    def _turns_right(self, first: int, second: int, third: int) -> bool:
        """Whether `second` lies on or above the line from `first` to `third`."""
        run = self.log_cost[third] - self.log_cost[first]
        line = self.log_loss[first] + (self.log_loss[third] - self.log_loss[first]) * (
            (self.log_cost[second] - self.log_cost[first]) / run
        )
        return bool(self.log_loss[second] >= line)

    def _falls(self, before: int, after: int) -> bool:
        return bool(self.log_loss[after] < self.log_loss[before])


def _lines_of(curves: Sequence[MeanCurve]) -> dict[str, Any]:
    """`log_line` and `line` of cells that are the ends of `curves`."""
    found = [plateau_line(curve.reference_lines) for curve in curves]
    known = [one for one in found if one is not None]
    if not known:
        return {}
    return {"log_line": np.array([np.inf if one is None else np.log(one[1]) for one in found]), "line": known[0][0]}


@dataclass(frozen=True, slots=True)
class EqualRuns:
    """Finished runs as a key of what is computed from them: equal where their numbers are, as on two axes alike."""

    fingerprint: str
    runs: FinishedRuns = field(compare=False)

    @staticmethod
    def of(runs: FinishedRuns) -> "EqualRuns":
        """The key of `runs`."""
        return EqualRuns(runs.fingerprint, runs)
