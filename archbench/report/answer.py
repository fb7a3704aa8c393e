"""The answer of a scan in one sentence: the same on a terminal, in Markdown, HTML and JSON, and on the leaderboard."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from archbench.analysis.comparison.compare import CostConclusion, cost_conclusion
from archbench.contracts.report import ScanResults
from archbench.report.labels import labels_of
from archbench.report.words import alpha_text, number, window_text, with_interval
from archbench.results.bits_per_byte import bits_per_byte_factor
from archbench.results.controls import failed_controls
from archbench.results.fits import Answer, Comparison, FitStatus, Interval, Settlement
from archbench.results.runs import CostAxis
from archbench.units import counted, human_count

MOST_WORDS = 30
"""Of the sentence; what finds no room is said by the table below it."""

NO_FIGURE = {
    FitStatus.NO_COMMON_RANGE: ("they reach no loss in common", "sizes that reach a common loss"),
    FitStatus.EXTRAPOLATED: ("their runs do not cover the losses", "sizes that reach beyond those losses"),
    FitStatus.HANGS_ON_ONE_RUN: ("the figure hangs on one run", "further sizes beside that run"),
    FitStatus.ON_PLATEAU: ("their losses lie on the plateau", "longer runs"),
    FitStatus.NOT_IDENTIFIABLE: ("the interval says nothing", "further sizes and seeds"),
}
"""Status of a multiplier that may not be read -> why, in a few words, and what would settle it."""
_OTHERWISE = ("their runs do not suffice", "further sizes and seeds")

_RESOURCES = {
    CostAxis.EXACT: "compute",
    CostAxis.KAPLAN: "compute",
    CostAxis.DEVICE_SECONDS: "device time",
    CostAxis.PROCESSOR_SECONDS: "processor time",
}
_UNITS = {
    CostAxis.EXACT: "FLOPs",
    CostAxis.KAPLAN: "FLOPs",
    CostAxis.DEVICE_SECONDS: "device seconds",
    CostAxis.PROCESSOR_SECONDS: "processor seconds",
}


PREFERRED_AXES = (CostAxis.EXACT, CostAxis.KAPLAN, CostAxis.PROCESSOR_SECONDS, CostAxis.DEVICE_SECONDS)
"""The first that a scan has is the axis of its verdict."""


def main_axis(results: ScanResults) -> CostAxis:
    """The axis that verdicts are given on: FLOPs executed, as far as there are any."""
    axes = {frontier.cost_axis for frontier in results.frontiers}
    return next((axis for axis in PREFERRED_AXES if axis in axes), CostAxis.EXACT)


def answers(results: ScanResults) -> dict[str, Comparison]:
    """The comparison with the baseline that answers the spec's question, by contender.

    On the verdict's axis; a question at a cost is answered on the axis of that cost alone.
    """
    axis = main_axis(results)
    found: dict[str, Comparison] = {}
    for pair in sorted(results.comparisons, key=lambda pair: pair.cost_axis is not axis):
        if pair.answer is not None and pair.baseline == results.baseline:
            found.setdefault(pair.contender, pair)
    return found


def told_pairs(results: ScanResults) -> list[Comparison]:
    """The comparisons with the baseline that the verdict speaks of, the largest multiplier first, unread ones last.

    Where the spec asks a question they are those that answer it, else those of the verdict's axis.
    """
    axis, asked = main_axis(results), answers(results)
    against = [
        pair
        for pair in results.comparisons
        if pair.baseline == results.baseline and pair.cost_axis is axis and pair.comparable_loss
    ]
    chosen = [asked.get(pair.contender, pair) for pair in against]
    return sorted(chosen, key=lambda pair: -_value(pair))


def _value(pair: Comparison) -> float:
    figure = figure_of(pair)
    return figure.value if figure is not None else -math.inf


def figure_of(pair: Comparison) -> Interval | None:
    """The multiplier that a verdict on `pair` rests on; None where none may be read."""
    if pair.answer is not None:
        return pair.answer.multiplier if pair.answer.status is FitStatus.OK else None
    found = pair.headline
    return found.multiplier if found is not None and found.status is FitStatus.OK else None


def said_of(pair: Comparison) -> str:
    """What is said of a contender in a table of several: its answer, else the conclusion on its cost."""
    return pair.answer.answer.value if pair.answer is not None else cost_conclusion(pair).value


def status_of(pair: Comparison) -> FitStatus:
    """Why a pair has no figure; `ok` where it has one."""
    if pair.answer is not None:
        return pair.answer.status
    return pair.headline.status if pair.headline is not None else FitStatus.NO_COMMON_RANGE


def settled_by(pair: Comparison) -> str:
    """What would settle a pair that is open: seeds, FLOPs or further sizes, in a few words; empty where it is not."""
    if pair.answer is not None:
        is_open, found = pair.answer.answer is Answer.INCONCLUSIVE, pair.answer.settlement
    else:
        is_open, found = cost_conclusion(pair) is not CostConclusion.LESS, pair.settlement
        is_open = is_open and cost_conclusion(pair) is not CostConclusion.MORE
    if not is_open:
        return ""
    if figure_of(pair) is None:
        return NO_FIGURE.get(status_of(pair), _OTHERWISE)[1]
    return settlement_text(found, pair.cost_axis)


def settlement_text(found: Settlement | None, axis: CostAxis) -> str:
    """`about 7 seeds a size (3.2T FLOPs more)`, or further sizes with their cost."""
    if found is None:
        return "seeds at each size"
    more = "" if found.further_cost is None else f" ({human_count(found.further_cost)} {_UNITS[axis]} more)"
    if found.seeds is not None:
        return f"about {counted(found.seeds, 'seed')} a size{more}"
    return f"further sizes{more}" if more else "nothing up to a hundred times the runs"


def answer_sentence(results: ScanResults) -> str:
    """What a reader should keep if he reads no more, in at most 30 words with its figure.

    Where a control of the spec's question failed it says that alone: no comparison may be relied on then.
    """
    pairs = told_pairs(results)
    failed = failed_controls(results.controls)
    if failed and pairs:
        return f"Control {failed[0]} FAILED: no comparison with {results.baseline} may be relied on."
    if not pairs:
        return _without_pairs(results)
    return _within(_of_one(results, pairs[0]) if len(pairs) == 1 else _of_several(results, pairs))


def _within(parts: Sequence[str]) -> str:
    """The first of `parts` with as many of the others, in their order, as the words allow."""
    text = parts[0]
    for part in parts[1:]:
        if len(f"{text}{part}".split()) <= MOST_WORDS:
            text += part
    return f"{text}."


def _without_pairs(results: ScanResults) -> str:
    on_axis = [one for one in results.frontiers if one.cost_axis is main_axis(results)]
    if not any(run.usable for run in results.records):
        if results.studies:
            return "The spec trains no size scan: its studies stand below."
        return "No run has finished, so there is nothing to compare yet."
    if len(on_axis) > 1:
        others = [one for one in on_axis if one.contender != results.baseline]
        if len(others) == len(on_axis):
            return f"No baseline is named among {len(on_axis)} contenders, so no multiplier is given."
        return f"Losses of different tracks do not compare: no multiplier over {results.baseline} is given."
    if not on_axis:
        return "No contender has a frontier yet, so there is nothing to compare."
    name, law = on_axis[0].contender, on_axis[0].law
    if law.status is not FitStatus.OK:
        return f"No law of {name} may be read (`{law.status.value}`), and nothing is compared with it."
    return f"The loss of {name} falls with compute by the exponent alpha {alpha_text(law)}."


def _of_one(results: ScanResults, pair: Comparison) -> list[str]:
    name, baseline, figure = pair.contender, pair.baseline, figure_of(pair)
    asked = pair.answer
    margin = "" if asked is None else f" by a margin of {number(asked.margin)}"
    if figure is None:
        why = NO_FIGURE.get(status_of(pair), _OTHERWISE)[0]
        opening = (
            f"How much {_RESOURCES[pair.cost_axis]} {name} needs against {baseline} cannot be read"
            if asked is None
            else f"Whether {name} is better than {baseline}{margin} is inconclusive"
        )
        return [f"{opening}: {why}", f"; {settled_by(pair)} would settle it"]
    seen = f"multiplier {with_interval(figure)}"
    if asked is not None and asked.answer is Answer.INCONCLUSIVE:
        opening = f"Whether {name} is better than {baseline}{margin} is inconclusive: {seen}"
        return [opening, f"; {settled_by(pair)} would settle it"]
    if asked is not None:
        return [f"{name} is {asked.answer.value} than {baseline}{margin}: {seen}", *_place(results, pair)]
    told = cost_conclusion(pair)
    if told is CostConclusion.NOT_TOLD_APART:
        return [f"{name} and {baseline} are {told.value}: {seen}", f"; {settled_by(pair)} would settle it"]
    return [f"{name} {told.value} {_RESOURCES[pair.cost_axis]} than {baseline}: {seen}", *_place(results, pair)]


def _place(results: ScanResults, pair: Comparison) -> Iterator[str]:
    """Over which losses, or at which cost, the figure holds."""
    if pair.answer is not None and pair.answer.cost is not None:
        axis = labels_of(results.records).axis_names[pair.cost_axis]
        yield f" at {number(pair.answer.cost)} {axis}"
    elif pair.headline is not None:
        records = [run for run in results.records if run.contender in (pair.contender, pair.baseline)]
        yield f" over losses of {window_text(pair.headline, bits_per_byte_factor(records))}"


def _of_several(results: ScanResults, pairs: Sequence[Comparison]) -> list[str]:
    """How many contenders lead, the best one's figure, and how many of the others are what."""
    baseline, asked = results.baseline, pairs[0].answer
    if all(figure_of(pair) is None for pair in pairs):
        reasons = dict.fromkeys(NO_FIGURE.get(status_of(pair), _OTHERWISE)[0] for pair in pairs)
        why = f": {next(iter(reasons))}" if len(reasons) == 1 else ", each for the reason in its line"
        return [f"None of {len(pairs)} contenders has a multiplier over {baseline} that may be read{why}"]
    first = CostConclusion.LESS.value if asked is None else Answer.BETTER.value
    leading = [pair for pair in pairs if said_of(pair) == first]
    best = (leading or pairs)[0]
    verb = _agreeing(first, len(leading) or 1)
    what = f"{verb} {_RESOURCES[best.cost_axis]} than {baseline}" if asked is None else f"{verb} than {baseline}"
    margin = "" if asked is None else f" by a margin of {number(asked.margin)}"
    place = "best" if leading else "closest"
    opening = f"{len(leading) or 'None'} of {len(pairs)} contenders {what}{margin}"
    others = Counter(said_of(pair) for pair in pairs if pair not in leading)
    rest = [f"{count} {_agreeing(words, count)}" for words, count in others.most_common()]
    return [f"{opening}, {place} {best.contender} (multiplier {with_interval(figure_of(best))})", *_listed(rest)]


def _listed(words: Sequence[str]) -> list[str]:
    return [f"{';' if not place else ','} {one}" for place, one in enumerate(words)]


_PLURAL = {
    CostConclusion.LESS.value: ("needs less", "need less"),
    CostConclusion.MORE.value: ("needs more", "need more"),
    CostConclusion.NOT_TOLD_APART.value: ("is not told apart", "are not told apart"),
    CostConclusion.REFUSED.value: ("has no multiplier", "have no multiplier"),
    Answer.BETTER.value: ("is better", "are better"),
    Answer.NOT_BETTER.value: ("is not better", "are not better"),
    Answer.INCONCLUSIVE.value: ("is inconclusive", "are inconclusive"),
}
"""Conclusion or answer -> what one, and what several contenders do."""


def _agreeing(words: str, count: int) -> str:
    return _PLURAL[words][count > 1]
