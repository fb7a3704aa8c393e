"""Whether the figures that an entry states are those that its own curves give."""

from archbench.analysis.frontier.noise import ENOUGH_FREEDOM
from archbench.analysis.frontier.scan import StudyOptions, study_contenders
from archbench.leaderboard.back_test import back_test_errors
from archbench.leaderboard.entry import FORMAT, EntryFigure, LeaderboardEntry, figure_of
from archbench.results.runs import CostAxis

_TOLERANCE = 1e-4
"""Relative difference from which a stored figure counts as changed; other machines round differently far below it."""
_HANG_ON_NOISE = {"tiers", "dominated_sizes", "noise_std_nats"}

_FIGURES = StudyOptions(num_resamples=2)
"""Stated figures hold no intervals, so that hardly any resamples are needed to check them."""


def check_figures(entry: LeaderboardEntry) -> list[str]:
    """What differs between the figures that `entry` states and those that its curves give; empty if they agree.

    Exponents, statuses, tiers and dominated sizes are computed anew. Noise that a contender without enough seeds of
    its own borrowed from others of its scan is not in its entry, and nothing that hangs on it is checked then.
    """
    records = entry.records()
    problems = []
    errors = back_test_errors(records)
    contenders = [one for axis in CostAxis for one in study_contenders(records, axis, baseline=None, options=_FIGURES)]
    for one in contenders:
        frontier = one.result
        stated, found = (
            entry.figures.get(frontier.cost_axis),
            figure_of(frontier, errors.get(frontier.cost_axis.value)),
        )
        if stated is None:
            problems.append(f"figures on {frontier.cost_axis.value} are missing")
            continue
        borrowed = stated.noise_std_nats is not None and not _near(stated.noise_std_nats, found.noise_std_nats)
        own = one.noise is not None and one.noise.degrees_of_freedom >= ENOUGH_FREEDOM
        unstated = set() if entry.format == FORMAT else {"back_test_error"}
        if borrowed and not own:
            unstated |= _HANG_ON_NOISE
        problems += _differences(frontier.cost_axis.value, stated, found, unstated)
    return problems


def _differences(axis: str, stated: EntryFigure, found: EntryFigure, unchecked: set[str]) -> list[str]:
    problems = []
    for field in EntryFigure.model_fields:
        if field in unchecked:
            continue
        said, computed = getattr(stated, field), getattr(found, field)
        same = _near(said, computed) if isinstance(said, float) and isinstance(computed, float) else said == computed
        if not same:
            problems.append(f"{axis}: {field} is stated as {said}, its curves give {computed}")
    return problems


def _near(one: float, other: float | None) -> bool:
    return other is not None and abs(one - other) <= _TOLERANCE * max(abs(one), abs(other), 1e-12)
