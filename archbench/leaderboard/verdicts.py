"""The verdict of every scan on the leaderboard in its sentence, read anew from the curves in its entries."""

from collections.abc import Mapping, Sequence
from functools import partial

from archbench.analysis.comparison.question import Question, asked_question
from archbench.analysis.frontier.scan import StudyOptions, compare_all, fit_contenders
from archbench.contracts.report import ScanResults
from archbench.display import folded, markdown_code, markdown_line
from archbench.leaderboard.board import Board, Stored
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.page_cache import PageCache
from archbench.report.answer import PREFERRED_AXES, answer_sentence, told_pairs
from archbench.results.controls import ControlOutcome
from archbench.results.fits import Comparison, FrontierResult
from archbench.results.runs import CostAxis, RunRecord

_WITHOUT_FLOOR = StudyOptions(floor="none")
_MOST_SHOWN = 2
"""Verdicts of a group that stand above its figure; more of them are folded."""


def sentences_of(board: Board, cache: PageCache) -> dict[str, str]:
    """Name of a scan of the board's own folder -> its verdict, of those that have one."""
    scans: dict[str, list[Stored]] = {}
    for one in board.stored:
        scans.setdefault(one.entry.scan, []).append(one)
    found: dict[str, str] = {}
    for scan, stored in scans.items():
        make = partial(scan_sentence, [one.entry for one in stored])
        sentence = cache.get("verdict", sorted(one.sha256 for one in stored), make)
        if sentence is not None:
            found[scan] = sentence
    return found


def scan_sentence(entries: Sequence[LeaderboardEntry]) -> str | None:
    """What the report of a scan says first, from its `entries`.

    None where there is no comparison to speak of: where the contender that all are compared with has no entry among
    them, or all others are of another track.
    """
    first = entries[0]
    if first.baseline not in (None, *(entry.contender for entry in entries)):
        return None
    order = {name: place for place, name in enumerate(first.spec.get("contenders", ()))}
    ranked = sorted(entries, key=lambda entry: order.get(entry.contender, len(order)))
    records = tuple(record for entry in ranked for record in entry.records())
    question = asked_question(first.spec)
    frontiers, comparisons = _analysed(records, first.baseline, question)
    controls = first.environment.get("controls", {})
    results = ScanResults(
        name=first.scan,
        description=first.description,
        baseline=first.baseline,
        records=records,
        frontiers=frontiers,
        comparisons=comparisons,
        spec=first.spec,
        environment=first.environment,
        controls=tuple(
            ControlOutcome(str(name), passed, CostAxis.EXACT, None, None, "") for name, passed in controls.items()
        ),
    )
    if len(entries) > 1 and not told_pairs(results):
        return None
    return answer_sentence(results)


def _analysed(
    records: Sequence[RunRecord], baseline: str | None, question: Question | None
) -> tuple[tuple[FrontierResult, ...], tuple[Comparison, ...]]:
    """Frontiers and comparisons on the axes that the sentence may speak of: its own, and that of the question."""
    frontiers: list[FrontierResult] = []
    comparisons: list[Comparison] = []
    for axis in PREFERRED_AXES:
        if frontiers and (question is None or question.axis is not axis):
            continue
        contenders = fit_contenders(records, axis, baseline=baseline, options=_WITHOUT_FLOOR)
        frontiers += [one.result for one in contenders]
        comparisons += compare_all(contenders, baseline, question=question)
    return tuple(frontiers), tuple(comparisons)


def verdicts_text(scans: Sequence[str], sentences: Mapping[str, str]) -> str:
    """The sentences of `scans` as Markdown, folded where they are many; empty where there are none."""
    lines = [f"- {markdown_code(scan)}: {markdown_line(sentences[scan])}" for scan in scans if scan in sentences]
    if len(lines) <= _MOST_SHOWN:
        return "\n".join(lines)
    summary = f"What {len(lines)} scans of this table say, each over the losses that its own contenders share"
    return folded(summary, "\n".join(lines))
