"""Whether the controls of a question came out as they must: by the estimators that judge contenders.

`baseline_again` is the baseline with other seeds: a multiplier that is told apart from 1 says that noise is taken for a
difference. `shuffled_targets` learnt nothing of a text but the frequencies of its tokens: where it is better than the
baseline, losses are not what they seem.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.comparison.question import Question, asked_question
from archbench.analysis.frontier.scan import StudyOptions, compare_all, fit_contenders
from archbench.results.controls import ControlOutcome
from archbench.results.fits import Answer, Comparison, FitStatus
from archbench.results.runs import CONTROL, CostAxis, RunRecord, size_number

BASELINE_AGAIN = "baseline_again"
_LEVEL = 0.05


def judge_controls(
    records: Sequence[RunRecord], spec: Mapping[str, Any], baseline: str | None, *, seed: int = 0
) -> tuple[ControlOutcome, ...]:
    """What each control of the spec's question (as plain data) came to; nothing where it asks for none.

    records: those of the size scan, the runs of controls among them. Judged on the question's axis, else on executed
    FLOPs.
    """
    asked = tuple((spec.get("question") or {}).get("controls") or ())
    question = asked_question(spec)
    if not asked or baseline is None or question is None:
        return ()
    return tuple(_judged(name, records, baseline, question, seed) for name in asked)


def _judged(name: str, records: Sequence[RunRecord], baseline: str, question: Question, seed: int) -> ControlOutcome:
    axis = question.axis or CostAxis.EXACT
    own = [one for one in records if one.role == CONTROL and one.contender == name]
    runs = [*(one for one in records if one.role != CONTROL and one.contender == baseline), *own]
    sides = fit_contenders(runs, axis, baseline=baseline, seed=seed, options=StudyOptions(floor="none"))
    if [one.name for one in sides] != [baseline, name]:
        missing = baseline if all(one.name != baseline for one in sides) else name
        return ControlOutcome(name, None, axis, None, None, f"no run of {missing} has finished")
    pair = compare_all(sides, baseline, question=question, seed=seed)[0]
    return _again(name, pair) if name == BASELINE_AGAIN else _shuffled(name, pair, sides)


def _again(name: str, pair: Comparison) -> ControlOutcome:
    found, axis = pair.headline, pair.cost_axis
    if found is None or found.status is not FitStatus.OK or found.multiplier is None:
        why = found.reason if found is not None else "there is no multiplier"
        return ControlOutcome(
            name, None, axis, None, None, f"its multiplier over {pair.baseline} may not be read: {why}"
        )
    if found.p_value is None:
        return ControlOutcome(name, None, axis, found.multiplier, None, "nothing tells the scatter")
    same = found.p_value >= _LEVEL
    words = "not told apart from the baseline" if same else "told apart from the baseline, which it is"
    return ControlOutcome(name, same, axis, found.multiplier, found.p_value, words)


def _shuffled(name: str, pair: Comparison, sides: Sequence[Contender]) -> ControlOutcome:
    found = pair.headline
    multiplier = found.multiplier if found is not None and found.status is FitStatus.OK else None
    p_value = found.p_value if multiplier is not None and found is not None else None
    base, own = ({int(size): loss for size, loss in _losses(one).items()} for one in sides)
    both = sorted(base.keys() & own.keys())
    below = [size for size in both if own[size] < base[size]]
    if pair.answer is not None and pair.answer.answer is Answer.BETTER:
        return ControlOutcome(name, False, pair.cost_axis, multiplier, p_value, "called better than the baseline")
    if below:
        size = below[0]
        losses = f"{np.exp(own[size]):.4g} nats against {np.exp(base[size]):.4g}"
        words = f"its loss at size {size_number(size)} is below the baseline's ({losses})"
        return ControlOutcome(name, False, pair.cost_axis, multiplier, p_value, words)
    if not both:
        return ControlOutcome(name, None, pair.cost_axis, multiplier, p_value, "no size of both has finished")
    words = "not better, and its loss is above the baseline's at every size"
    return ControlOutcome(name, True, pair.cost_axis, multiplier, p_value, words)


def _losses(one: Contender) -> dict[int, float]:
    """Size index -> mean ln L at the largest budget."""
    runs = one.finished
    return {
        int(runs.size_index[cell]): float(runs.log_loss[cell]) for cell in np.argsort(runs.log_tokens, kind="stable")
    }
