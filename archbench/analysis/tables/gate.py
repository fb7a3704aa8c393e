"""The gate before every analysis of a table: which rows of one architecture enter, which do not and why.

In this order: cells that are empty or impossible, exact repeats, parts of curves that a restart superseded, runs that
diverged, sweeps. Each row that is left out is named with its reason. Nothing is corrected. Contenders are held against
each other afterwards (`contenders.py`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.tables.curves import restarts
from archbench.analysis.tables.divergence import far_above_others, rose_again
from archbench.analysis.tables.quantities import Treatment
from archbench.analysis.tables.settings import differing_columns, is_seed
from archbench.analysis.tables.sieve import Rows, Sieve, given_of, has_steps, places_of
from archbench.analysis.tables.suspicions import suspect_what_is_kept
from archbench.analysis.tables.sweeps import settings_tried, settle_sweeps
from archbench.results.admission import LeftOut, Suspicion

_LARGEST = 1e40
"""No count in any table is as large; beyond, products of two leave the range of floating point numbers."""
_LARGEST_COUNT = 1e18
"""Of parameters, tokens or steps; a thousand times the tokens of all text there is, and what 64 bits hold."""
_COUNTS = frozenset({"N", "N_total", "D", "S", "D_F", "D_T"})
_SMALLEST = 1e-40
"""No compute in any unit is as small, for the same reason."""
_SMALLEST_LOSS = 1e-6
"""Nats or bits, of a token or of a byte: no trained model on any text has a lower loss."""
_UNIT_APART = 1e6
"""A size or length this far below the table's median is in another unit."""
_LETTERS = ("N", "N_total", "D", "C", "S", "L", "B", "D_F", "D_T")
_OPTIONAL = ("seconds",)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What may enter a fit."""

    rows: np.ndarray
    """Positions of the rows kept, curves in order of their steps."""
    clusters: np.ndarray
    """Label of each kept row's run."""
    seeds: Array
    """Number of each kept row's seed."""
    left_out: tuple[LeftOut, ...]
    suspicions: tuple[Suspicion, ...]
    settings_tried: Array
    """Of how many settings each kept row's is the best, as `--best-of` chose; 1 where nothing was chosen."""


def admit(rows: Rows, treatment: Treatment) -> Admitted:
    """The rows of one architecture that may enter a fit.

    Raises SpecError for a sweep of which nobody said what to do with it.
    """
    sieve = Sieve(rows, np.ones(len(rows.numbers), dtype=bool), rows.labels.astype(object))
    _impossible(sieve)
    _repeated(sieve)
    if has_steps(rows):
        _restarted(sieve)
    _diverged(sieve)
    tried = settings_tried(sieve, treatment.best_of)
    settle_sweeps(sieve, treatment.best_of)
    seeds = _seed_numbers(sieve)
    suspect_what_is_kept(sieve)
    members = sieve.members()
    positions = np.concatenate(list(members.values())) if members else np.zeros(0, dtype=int)
    if not rows.curves:
        positions = np.sort(positions)
    return Admitted(
        rows=positions,
        clusters=sieve.labels[positions],
        seeds=seeds[positions],
        left_out=tuple(sieve.left_out),
        suspicions=tuple(sieve.suspicions),
        settings_tried=tried[positions],
    )


def _impossible(sieve: Sieve) -> None:
    """Cells that no logarithm exists of, or that are in another unit than the rest of their column."""
    for letter in _LETTERS:
        if letter not in sieve.rows.values:
            continue
        value, name = sieve.rows.values[letter], sieve.rows.names[letter]
        infinite = np.isinf(value) | (np.abs(value) > _LARGEST)
        sieve.drop(np.isnan(value), "no_number", f"no number in {name}")
        sieve.drop(infinite, "no_number", f"{name} is infinite, or above {_LARGEST:g}")
        if letter in _COUNTS:
            sieve.drop(value > _LARGEST_COUNT, "other_unit", f"{name} is above {_LARGEST_COUNT:g}, which is no count")
        if letter in ("D", "S"):
            sieve.drop(value == 0, "not_positive", f"{name} is 0: before training")
        sieve.drop(~(value > 0), "not_positive", f"{name} is not positive")
        least = _SMALLEST_LOSS if letter == "L" else _SMALLEST
        sieve.drop(value < least, "not_positive", f"{name} is below {least:g}: as good as 0")
        if letter in ("N", "D"):
            _other_unit(sieve, value, name)
    for letter in _OPTIONAL:
        if letter in sieve.rows.values:
            bad = ~np.isfinite(sieve.rows.values[letter]) | (sieve.rows.values[letter] < 0)
            sieve.suspect(bad, "no_seconds", f"{sieve.rows.names[letter]} has no time: unknown on that axis")


def _other_unit(sieve: Sieve, value: Array, name: str) -> None:
    sieve.drop(value < 1, "other_unit", f"{name} is below 1, which is no count")
    if sieve.kept.any():
        median = float(np.median(value[sieve.kept]))
        low = value < median / _UNIT_APART
        sieve.drop(low, "other_unit", f"{name} is less than a millionth of the median {median:.3g}: another unit")


def _repeated(sieve: Sieve) -> None:
    """Rows whose every cell equals another row's; where steps can restart, the last one in the file stands."""
    last = has_steps(sieve.rows)
    positions = np.flatnonzero(sieve.kept)
    again = pd.Series(sieve.rows.same[positions]).duplicated(keep="last" if last else "first").to_numpy()
    words = f"the same in every column as {'a later' if last else 'an earlier'} row: counted once"
    sieve.drop(sieve.mask(positions[again]), "repeated", words)


def _restarted(sieve: Sieve) -> None:
    steps, name = sieve.rows.values["S"], sieve.rows.names["S"]
    split: list[str] = []
    split_rows = np.zeros(len(sieve.kept), dtype=bool)
    superseded, unordered = split_rows.copy(), split_rows.copy()
    labels = pd.Series(sieve.labels).where(sieve.kept)
    for label, own in labels.groupby(labels, sort=False).indices.items():
        found = restarts(steps[own], named=sieve.rows.named)
        superseded[own[found.superseded]] = True
        unordered[own] = found.unordered
        if found.part.any():
            split.append(str(label))
            split_rows[own] = True
            sieve.labels[own] = [f"{label} #{part + 1}" for part in found.part]
    where = sieve.labels[superseded].tolist()
    sieve.drop(
        superseded,
        "superseded",
        f"{name} starts again from an earlier step: the last part in the file counts",
        runs=list(dict.fromkeys(where)),
    )
    words = f"{name} starts again from its first step: taken as another run; name runs by --run, or seeds by --seed"
    sieve.suspect(split_rows, "taken_as_seeds", words, runs=split)
    sieve.suspect(
        unordered,
        "steps_go_back",
        f"{name} goes back, no step twice: put in order of steps",
        runs=list(dict.fromkeys(sieve.labels[unordered & sieve.kept].tolist())),
    )


def _diverged(sieve: Sieve) -> None:
    loss = sieve.rows.values["L"]
    members = sieve.members()
    for label, own in members.items():
        if rose_again(loss[own]):
            words = f"diverged: its loss rose from {loss[own].min():.4g} to {loss[own[-1]]:.4g}"
            sieve.drop(sieve.mask(own), "diverged", words, runs=sieve.run_names([label]))
    members = sieve.members()
    ends = np.array([own[-1] for own in members.values()], dtype=int)
    labels = list(members)
    given = given_of(sieve.rows)
    for index, expected in far_above_others(given[:, ends], loss[ends], per_token=sieve.rows.per_token):
        words = f"diverged: its last loss is {loss[ends[index]]:.4g}, the other runs lead one to expect {expected:.3g}"
        own = members[labels[index]]
        sieve.drop(sieve.mask(own), "diverged", words, runs=sieve.run_names([labels[index]]))


def _seed_numbers(sieve: Sieve) -> Array:
    """Number of each row's seed: that of its column, else its place among runs of one size and length."""
    rows = sieve.rows
    numbers = np.zeros(len(sieve.kept))
    if rows.seeds is not None:
        plain = pd.to_numeric(pd.Series(rows.seeds), errors="coerce").to_numpy(dtype=float)
        whole = (np.abs(plain) < 2**53) & (plain == np.round(plain))
        numbers = plain if whole.all() else pd.factorize(pd.Series(rows.seeds))[0].astype(float)
    members = sieve.members()
    ends = np.array([own[-1] for own in members.values()], dtype=int)
    if not len(ends):
        return numbers
    places = places_of(sieve, by_seed=True)[ends]
    nth = pd.Series(places).groupby(places).cumcount().to_numpy()
    if rows.seeds is None:
        for own, number in zip(members.values(), nth, strict=True):
            numbers[own] = number
    several = pd.Series(places).groupby(places).transform("size").to_numpy() > 1
    if several.any() and not any(one.kind == "taken_as_seeds" for one in sieve.suspicions):
        column = next((str(name) for name in rows.others.columns if is_seed(str(name))), None)
        alike = "size and length" if rows.seeds is None else "size, length and seed"
        told = f"--seed {column}" if column else "--seed"
        differing = differing_columns(rows.others.iloc[ends], places)
        but = f" but {', '.join(map(repr, differing[:4]))}" if differing else ""
        words = f"several runs of one {alike}, in no setting different{but}: taken as seeds"
        words += f"; name their column by {told}" if rows.seeds is None else ""
        sieve.suspect(sieve.mask(ends[several]), "taken_as_seeds", words)
    return numbers
