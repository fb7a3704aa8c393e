"""Whether the controls of a question came out as they must: by the estimators that judge contenders.

`baseline_again` is the baseline with other seeds: a multiplier that is told apart from 1 says that noise is taken for a
difference. `shuffled_targets` learnt nothing of a text but the frequencies of its tokens: where it is better than the
baseline, losses are not what they seem.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from scipy.special import stdtrit

from archbench.analysis.comparison.question import Question, asked_question
from archbench.analysis.frontier.scan import StudyOptions, compare_all, fit_contenders
from archbench.results.controls import ControlOutcome
from archbench.results.fits import Answer, Comparison, FitStatus
from archbench.results.runs import CostAxis, RunRecord, size_number, size_scan_controls, size_scan_results

BASELINE_AGAIN = "baseline_again"
_LEVEL = 0.05
_WITHOUT_SEEDS = 0.01
"""Share of the baseline's loss by which a control differs where no seeds tell the noise."""


def judge_controls(
    records: Sequence[RunRecord], spec: Mapping[str, Any], baseline: str | None, *, seed: int = 0
) -> tuple[ControlOutcome, ...]:
    """What each control of the spec's question (as plain data) came to; nothing where it asks for none.

    records: those of the scan; the size scan's results and the runs of its controls are judged. On the question's
    axis, else on executed FLOPs.
    """
    asked = tuple((spec.get("question") or {}).get("controls") or ())
    question = asked_question(spec)
    if not asked or baseline is None or question is None:
        return ()
    return tuple(replace(_judged(name, records, baseline, question, seed), baseline=baseline) for name in asked)


def _judged(name: str, records: Sequence[RunRecord], baseline: str, question: Question, seed: int) -> ControlOutcome:
    axis = question.axis or CostAxis.EXACT
    own = [one for one in size_scan_controls(records) if one.contender == name and one.usable]
    base = [one for one in size_scan_results(records) if one.contender == baseline and one.usable]
    if not own or not base:
        return ControlOutcome(name, None, axis, None, None, f"no run of {name if base else baseline} has finished")
    options = StudyOptions(floor="none")
    sides = fit_contenders([*base, *own], axis, baseline=baseline, seed=seed, options=options)
    both = [one.name for one in sides] == [baseline, name]
    pair = compare_all(sides, baseline, question=question, seed=seed)[0] if both else None
    if name == BASELINE_AGAIN:
        return _again(name, pair, axis)
    return _shuffled(name, pair, axis, (_losses(base), _losses(own)))


def _again(name: str, pair: Comparison | None, axis: CostAxis) -> ControlOutcome:
    found = pair.headline if pair is not None else None
    if found is None or found.status is not FitStatus.OK or found.multiplier is None:
        why = found.reason if found is not None else "none of its runs enters a comparison"
        return ControlOutcome(name, None, axis, None, None, f"its multiplier may not be read: {why}")
    if found.p_value is None:
        return ControlOutcome(name, None, axis, found.multiplier, None, "nothing tells the scatter")
    same = found.p_value >= _LEVEL
    words = "not told apart from the baseline" if same else "told apart from the baseline, which it is"
    return ControlOutcome(name, same, axis, found.multiplier, found.p_value, words)


def _shuffled(
    name: str, pair: Comparison | None, axis: CostAxis, losses: tuple[dict[int, list[float]], dict[int, list[float]]]
) -> ControlOutcome:
    """losses: of baseline and control, in nats, of each seed by size."""
    found = pair.headline if pair is not None else None
    multiplier = found.multiplier if found is not None and found.status is FitStatus.OK else None
    p_value = found.p_value if found is not None and multiplier is not None else None
    gaps = _gaps(*losses)
    below = [one for one in gaps if one.beyond < 0]
    equal = [size_number(one.size_index) for one in gaps if one.beyond == 0]
    if pair is not None and pair.answer is not None and pair.answer.answer is Answer.BETTER:
        return ControlOutcome(name, False, axis, multiplier, p_value, "called better than the baseline")
    if below:
        size, base, own = size_number(below[0].size_index), below[0].base, below[0].own
        words = f"its loss at size {size} is below the baseline's ({own:.4g} nats, {base:.4g})"
        return ControlOutcome(name, False, axis, multiplier, p_value, words)
    if not gaps:
        return ControlOutcome(name, None, axis, multiplier, p_value, "no size of both has finished")
    words = "not better, and its loss is above the baseline's at every size"
    if equal:
        sizes = f"size{'s' if len(equal) > 1 else ''} {', '.join(map(str, equal))}"
        words = f"not better, but at {sizes} the baseline has not learnt more than how often tokens occur either"
    return ControlOutcome(name, True, axis, multiplier, p_value, words)


@dataclass(frozen=True, slots=True)
class _Gap:
    """Mean losses of baseline and control at one size, in nats."""

    size_index: int
    base: float
    own: float
    beyond: int
    """1 or -1 where the control's is above or below by more than noise, else 0."""


def _gaps(base: dict[int, list[float]], own: dict[int, list[float]]) -> list[_Gap]:
    """Each size of both: by a t test of pooled seeds (5 %, Bonferroni); by a hundredth of the loss without seeds."""
    sizes = sorted(base.keys() & own.keys())
    cells = [side[size] for size in sizes for side in (base, own)]
    freedom = sum(len(cell) - 1 for cell in cells)
    squares = sum((loss - fmean(cell)) ** 2 for cell in cells for loss in cell)
    gaps = []
    for size in sizes:
        first, second = fmean(base[size]), fmean(own[size])
        limit = _WITHOUT_SEEDS * first
        if freedom:
            quantile = float(stdtrit(freedom, 1.0 - _LEVEL / len(sizes)))
            limit = quantile * (squares / freedom * (1.0 / len(base[size]) + 1.0 / len(own[size]))) ** 0.5
        gap = second - first
        gaps.append(_Gap(size, first, second, (gap > limit) - (gap < -limit)))
    return gaps


def _losses(runs: Sequence[RunRecord]) -> dict[int, list[float]]:
    """Size index -> losses in nats at the end of the longest runs."""
    found: dict[int, list[float]] = {}
    for size in sorted({run.size_index for run in runs}):
        longest = max(run.planned_tokens for run in runs if run.size_index == size)
        found[size] = [
            run.final_loss_nats
            for run in runs
            if run.size_index == size and run.planned_tokens == longest and run.final_loss_nats is not None
        ]
    return found
