"""Rows of learning curves: rows of one run and step joined, and steps that restart.

A run that is resumed logs some steps twice. Where `--run` names runs, the last part of the file wins: earlier rows from
the step of the restart on are superseded. Where a run is only known by its architecture, size and seed, a curve that
starts again at its first step is another run. Rows in another order, no step twice, are put in order.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from archbench.analysis.fitting.power_sum import Array


@dataclass(frozen=True, slots=True)
class Restarts:
    """What became of one label's rows, which stay in the order of the file."""

    part: np.ndarray
    """Number of the run that each row belongs to, from 0."""
    superseded: np.ndarray
    """Whether a later part of the same run took the row's place."""
    unordered: bool
    """Whether steps go back though none comes twice."""


def restarts(steps: Array, *, named: bool) -> Restarts:
    """How the rows of one label, in the order of the file, are curves. named: whether `--run` names runs."""
    none = np.zeros(len(steps), dtype=bool)
    part = np.zeros(len(steps), dtype=int)
    twice = len(np.unique(steps)) < len(steps)
    back = np.flatnonzero(np.diff(steps) < 0) + 1
    if not twice:
        return Restarts(part, none, bool(len(back)))
    if not named:
        counts = pd.Series(steps).groupby(steps).transform("size")
        if len(set(counts)) == 1:
            return Restarts(pd.Series(steps).groupby(steps).cumcount().to_numpy(), none, False)
        again = np.flatnonzero(steps[1:] <= steps[0]) + 1
        if len(again):
            part = np.searchsorted(again, np.arange(len(steps)), side="right")
    superseded = none.copy()
    for number in np.unique(part):
        rows = np.flatnonzero(part == number)
        # From behind: a row stands if no later row of its part has its step or an earlier one.
        least_later = np.minimum.accumulate(np.append(steps[rows][1:], np.inf)[::-1])[::-1]
        superseded[rows] = steps[rows] >= least_later
    return Restarts(part, superseded, False)


def complementary(frame: pd.DataFrame, keys: list[str], columns: list[str]) -> np.ndarray | None:
    """For each row the position of the row that it is joined into; None where nothing is to be joined.

    Rows of one run and step (`keys`) are joined where some cell of `columns` is empty and none has two values, as in
    exported histories that log training and evaluation apart.
    """
    gaps = frame[columns].isna().any(axis=1)
    if not gaps.any():
        return None
    by = [frame[key] for key in keys]
    position = pd.Series(np.arange(len(frame)), index=frame.index)
    with_gap = gaps.groupby(by, sort=False).transform("any")
    one_value = (frame[columns].groupby(by, sort=False).transform("nunique") <= 1).all(axis=1)
    several = position.groupby(by, sort=False).transform("size") > 1
    joins = with_gap & one_value & several & frame[keys].notna().all(axis=1)
    if not joins.any():
        return None
    return np.asarray(position.where(~joins, position.groupby(by, sort=False).transform("first")), dtype=int)
