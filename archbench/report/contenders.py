"""What several sections of one report ask for: contenders with their resamples, audit, back-test. Each is made once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.comparison.multiplier import asked_window
from archbench.analysis.evaluation_texts import standings_by_text, text_errors
from archbench.analysis.frontier.audit import FrontierAuditRow, audit_frontiers
from archbench.analysis.frontier.back_test import FrontierBacktestRow, back_test_frontier
from archbench.analysis.frontier.scan import StudyOptions, fit_contenders
from archbench.contracts.report import ScanResults
from archbench.report.answer import main_axis
from archbench.report.once import once
from archbench.results.runs import CostAxis
from archbench.results.texts import TextError, TextStanding

MOST_DRAWN = 12
"""Contenders in one figure, and with a figure of their own."""


@once
def contenders_by_axis(results: ScanResults) -> dict[CostAxis, list[Contender]]:
    """The contenders on every axis that the results have, baseline first; the verdict's axis comes first.

    Seeds are the study's, so that bands agree with it, and the laws are those that `results` state.
    """
    present = {frontier.cost_axis for frontier in results.frontiers}
    axes = sorted((axis for axis in CostAxis if axis in present), key=lambda axis: axis is not main_axis(results))
    return {axis: _on(results, axis) for axis in axes}


def _on(results: ScanResults, axis: CostAxis) -> list[Contender]:
    stated = {one.contender: one for one in results.frontiers if one.cost_axis is axis}
    # The results state sizes, tiers and floors; fitting and judging them again would take most of a report's time.
    drawn = fit_contenders(results.records, axis, baseline=results.baseline, options=StudyOptions(floor="none"))
    return [replace(one, result=stated[one.name]) for one in drawn if one.name in stated]


def contenders_of(results: ScanResults) -> list[Contender]:
    """The contenders on the verdict's axis, baseline first; empty where no run is usable."""
    return contenders_by_axis(results).get(main_axis(results), [])


@once
def audit_rows(results: ScanResults) -> tuple[FrontierAuditRow, ...]:
    """Every contender's exponent under every convention, on the verdict's axis."""
    return audit_frontiers(
        results.records, main_axis(results), baseline=results.baseline, window=asked_window(results.spec)
    )


@once
def back_tests(results: ScanResults) -> tuple[FrontierBacktestRow, ...]:
    """Every window of every contender on the verdict's axis."""
    return tuple(row for one in contenders_of(results) for row in back_test_frontier(one))


@once
def evaluation_errors(results: ScanResults) -> tuple[TextError, ...]:
    """Standard errors of losses from the choice of held-out documents; empty where none was evaluated by document."""
    return text_errors(results.records, results.baseline)


@once
def evaluation_standings(results: ScanResults) -> tuple[TextStanding, ...]:
    """Every contender on every text that its runs were evaluated on; empty where that is their own alone."""
    described = results.environment.get("texts")
    texts = described if isinstance(described, Mapping) else {}
    names = {str(one["corpus_hash"]): str(name) for name, one in texts.items()}
    data = results.environment.get("data")
    own = names.pop(str(data.get("corpus_hash")) if isinstance(data, Mapping) else "", "main")
    return standings_by_text(results.records, names, own, main_axis(results), results.baseline)


def drawn_of(results: ScanResults, names: Sequence[str]) -> list[str]:
    """Those of the contenders `names` that figures show, in the given order: all, or the baseline and the best ones.

    Of more than a dozen neither lines nor panels can be told apart, and each costs a third of a second. The best are
    those that reached the lowest loss.
    """
    if len(names) <= MOST_DRAWN:
        return list(names)
    lowest: dict[str, float] = {}
    for record in results.records:
        if record.usable and (loss := record.final_loss_nats) is not None:
            lowest[record.contender] = min(loss, lowest.get(record.contender, loss))
    ranked = sorted(names, key=lambda name: (name != results.baseline, lowest.get(name, math.inf)))
    best = set(ranked[:MOST_DRAWN])
    return [name for name in names if name in best]


def few_drawn(drawn: int, of: int) -> list[str]:
    """What stands below figures that do not show everything; nothing where they do."""
    return (
        [f"Drawn are {drawn} of {of}: the baseline and the lowest losses; the tables hold all."] if drawn < of else []
    )


def by_track(contenders: list[Contender]) -> dict[str, list[Contender]]:
    """The contenders of each track, in the order given: losses compare inside one track only."""
    tracks: dict[str, list[Contender]] = {}
    for one in contenders:
        tracks.setdefault(one.track, []).append(one)
    return tracks
