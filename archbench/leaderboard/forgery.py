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
    its own borrowed from others of its scan is not in its entry, and nothing that hangs on it is checked then. What an
    entry of an older format states was computed by the estimators of its time: `upgraded` puts today's in its place.
    """
    problems = []
    for axis, (found, noise_is_own) in _computed(entry).items():
        stated = entry.figures.get(axis)
        if stated is None:
            problems.append(f"figures on {axis.value} are missing")
            continue
        borrowed = stated.noise_std_nats is not None and not _near(stated.noise_std_nats, found.noise_std_nats)
        unchecked = _HANG_ON_NOISE if borrowed and not noise_is_own else set()
        problems += _differences(axis.value, stated, found, unchecked)
    return problems if entry.format == FORMAT else []


def upgraded(entry: LeaderboardEntry) -> LeaderboardEntry:
    """`entry` in the format that is written, its figures and hashes computed from its curves."""
    if entry.format == FORMAT:
        return entry
    figures = {axis: figure for axis, (figure, _) in _computed(entry).items()}
    runs = tuple(run.model_copy(update={"curve_sha256": run.curve.sha256}) for run in entry.runs)
    return entry.model_copy(update={"format": FORMAT, "figures": figures, "runs": runs})


def _computed(entry: LeaderboardEntry) -> dict[CostAxis, tuple[EntryFigure, bool]]:
    """On each cost axis, the figures that the entry's own curves give, and whether its noise is its own."""
    records = entry.records()
    errors = back_test_errors(records)
    contenders = [one for axis in CostAxis for one in study_contenders(records, axis, baseline=None, options=_FIGURES)]
    return {
        one.result.cost_axis: (
            figure_of(one.result, errors.get(one.result.cost_axis.value)),
            one.noise is not None and one.noise.degrees_of_freedom >= ENOUGH_FREEDOM,
        )
        for one in contenders
    }


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
