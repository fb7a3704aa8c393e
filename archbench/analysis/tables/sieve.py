"""The rows of one contender while a gate decides on them: which are still in, and what was said on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.tables.settings import says_size
from archbench.results.admission import LeftOut, Suspicion

_SAME = 3
"""Two sizes or lengths are one when their logarithms agree to this many decimals: to a tenth of a per cent."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one architecture, as a table holds them. Arrays are of one length, one element a row."""

    numbers: np.ndarray
    """Place in the file, from 1."""
    values: Mapping[str, Array]
    """By letter, in plain units."""
    names: Mapping[str, str]
    """Letter -> how a sentence calls its column: `column 'loss' (--loss)`."""
    labels: np.ndarray
    """What tells runs apart: `--run`, or architecture, size and seed of curves, or the row itself."""
    seeds: np.ndarray | None
    """Text of the column of seeds."""
    others: pd.DataFrame
    """All columns that no letter, architecture, run or seed is read from, as text; index columns left out."""
    same: np.ndarray
    """Number of the row's content: equal rows have equal numbers."""
    curves: bool
    """Whether rows of one label are points of one curve."""
    named: bool
    """Whether `--run` names runs."""
    head: str
    """`runs.csv: gpt`, for errors."""
    per_token: bool = True
    """Whether losses are nats per token."""


@dataclass(slots=True)
class Sieve:
    """Rows still in, and what was said on the way."""

    rows: Rows
    kept: np.ndarray
    labels: np.ndarray
    left_out: list[LeftOut] = field(default_factory=list)
    suspicions: list[Suspicion] = field(default_factory=list)

    def drop(self, mask: np.ndarray, kind: str, reason: str, *, runs: Sequence[str] = ()) -> None:
        """Leaves out the rows in `mask` that are still in, and says so."""
        fresh = mask & self.kept
        if fresh.any():
            self.left_out.append(LeftOut(kind, self._numbers(fresh), tuple(runs), reason))
            self.kept &= ~fresh

    def suspect(self, mask: np.ndarray, kind: str, words: str, *, runs: Sequence[str] = ()) -> None:
        """Flags the rows in `mask` that are still in."""
        if (mask & self.kept).any():
            self.suspicions.append(Suspicion(kind, self._numbers(mask & self.kept), tuple(runs), words))

    def _numbers(self, mask: np.ndarray) -> tuple[int, ...]:
        return tuple(int(number) for number in self.rows.numbers[mask])

    def members(self) -> dict[str, np.ndarray]:
        """Label -> positions of its rows that are still in, in order of steps where there are any."""
        positions = np.flatnonzero(self.kept)
        order = self.rows.values.get("S", self.rows.values.get("D")) if self.rows.curves else None
        if order is not None:
            positions = positions[np.argsort(order[positions], kind="stable")]
        found: dict[str, list[int]] = {}
        for position in positions:
            found.setdefault(str(self.labels[position]), []).append(int(position))
        return {label: np.array(own) for label, own in found.items()}

    def mask(self, positions: np.ndarray) -> np.ndarray:
        """True at `positions`."""
        found = np.zeros(len(self.kept), dtype=bool)
        found[positions] = True
        return found

    def run_names(self, labels: Sequence[str]) -> Sequence[str]:
        """Labels worth printing: of curves, not of single rows, which their number names."""
        return labels if self.rows.curves else ()


def has_steps(rows: Rows) -> bool:
    """Whether rows are points of curves with a column of steps."""
    return rows.curves and "S" in rows.values


def given_of(rows: Rows) -> Array:
    """Logarithms of what runs were given, [V, n]: N and D, and C where it stands for one of them."""
    names = [name for name in ("N", "D", "D_F") if name in rows.values]
    if "D" not in names and "S" in rows.values:
        names.append("S")
    if "C" in rows.values and ("N" not in names or names == ["N"]):
        names.append("C")
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.log(rows.values[name]) for name in names]
    return np.stack(logs) if logs else np.zeros((0, len(rows.numbers)))


def places_of(sieve: Sieve, *, by_seed: bool) -> np.ndarray:
    """Number of each row's size, length and, if asked, seed; rows of one number should be repeats."""
    given = np.round(np.nan_to_num(given_of(sieve.rows), posinf=0.0, neginf=0.0), _SAME)
    keys = pd.DataFrame({str(index): row for index, row in enumerate(given)}, index=range(len(sieve.kept)))
    if has_steps(sieve.rows) and "D" not in sieve.rows.values:
        keys["step"] = sieve.rows.values["S"]
    if by_seed and sieve.rows.seeds is not None:
        keys["seed"] = sieve.rows.seeds
    if not {"N", "D"} <= set(sieve.rows.values):
        # Runs of one compute, size or length are repeats only where the columns of the others agree as well.
        for name in sieve.rows.others.columns:
            if says_size(str(name)):
                keys[f"other {name}"] = sieve.rows.others[name].to_numpy()
    if not len(keys.columns):
        return np.arange(len(sieve.kept))
    return keys.groupby(list(keys.columns), sort=False).ngroup().to_numpy()
