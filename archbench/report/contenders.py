"""The contenders of a report with their resamples: made once, drawn by several sections."""

from dataclasses import dataclass, replace
from typing import ClassVar

from archbench.analysis.comparison import Contender
from archbench.analysis.study import StudyOptions, study_contenders
from archbench.contracts.report import ScanResults
from archbench.report.verdict import main_axis


@dataclass(frozen=True, slots=True)
class _Made:
    results: ScanResults
    contenders: list[Contender]


class _Latest:
    """The contenders made last: the sections of one report ask for the same ones, one after the other."""

    made: ClassVar[_Made | None] = None


def contenders_of(results: ScanResults) -> list[Contender]:
    """The contenders on the verdict's axis, baseline first; the same seed as the study's, so that bands agree with it.

    The laws are those that `results` state.
    """
    latest = _Latest.made
    if latest is not None and latest.results is results:
        return latest.contenders
    axis = main_axis(results)
    stated = {one.contender: one for one in results.frontiers if one.cost_axis is axis}
    # Fitting a floor again would take most of a report's time.
    drawn = study_contenders(results.records, axis, baseline=results.baseline, options=StudyOptions(floor="none"))
    contenders = [replace(one, result=stated[one.name]) for one in drawn if one.name in stated]
    _Latest.made = _Made(results, contenders)
    return contenders


def by_track(contenders: list[Contender]) -> dict[str, list[Contender]]:
    """The contenders of each track, in the order given: losses compare inside one track only."""
    tracks: dict[str, list[Contender]] = {}
    for one in contenders:
        tracks.setdefault(one.track, []).append(one)
    return tracks
