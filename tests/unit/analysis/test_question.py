"""Answers to a question that was written before the scan, from ladders whose factor is known."""

from dataclasses import replace

import pytest
from made_ladders import compared, ladder

from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.comparison.question import Question, asked_question, verdict_of
from archbench.results.fits import Answer, FitStatus, Interval
from archbench.results.runs import CostAxis
from archbench.testing.synthetic import SyntheticScan

DEAREST = 6.0 * 2.0 * 160_000 * 3_997_696  # executed FLOPs of the largest run of the made-up ladder


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"margin": 1.1, "at": [2.9, 2.6]}, Question(1.1, Window(2.9, 2.6))),
        ({"margin": 1.1, "at": 3e12}, Question(1.1, cost=3e12, axis=CostAxis.EXACT)),
        ({"at": {"cost": 60.0, "axis": "device_seconds"}}, Question(1.0, cost=60.0, axis=CostAxis.DEVICE_SECONDS)),
        ({"margin": 1.1, "at": None}, Question(1.1)),
    ],
)
def test_the_question_of_a_spec_is_read_from_plain_data(section: dict[str, object], expected: Question) -> None:
    assert asked_question({"question": section}) == expected
    assert asked_question({}) is None


@pytest.mark.parametrize(
    ("margin", "expected"),
    [(1.09, Answer.BETTER), (1.1, Answer.INCONCLUSIVE), (1.3, Answer.INCONCLUSIVE), (1.41, Answer.NOT_BETTER)],
)
def test_an_answer_rests_on_one_sided_bounds(margin: float, expected: Answer) -> None:
    assert verdict_of(Interval(1.2, 1.1, 1.4, 0.90), margin) is expected
    assert verdict_of(None, margin) is Answer.INCONCLUSIVE


@pytest.mark.parametrize(
    ("factor", "expected"), [(2.0, Answer.BETTER), (1.0, Answer.NOT_BETTER), (1.2, Answer.INCONCLUSIVE)]
)
def test_a_factor_is_held_against_its_margin(factor: float, expected: Answer) -> None:
    records = ladder("a", noise=0.004) + ladder("x", factor, noise=0.004, seed=1)
    found = compared(records, Question(1.2)).answer
    assert found is not None
    assert found.answer is expected
    assert found.status is FitStatus.OK
    assert found.bounds is not None
    assert (found.settlement is None) == (expected is not Answer.INCONCLUSIVE)


def test_asked_at_losses_the_answer_is_that_of_the_headline_over_them() -> None:
    pair = compared(ladder("a", noise=0.003) + ladder("x", 1.5, noise=0.003, seed=1), Question(1.1, Window(3.9, 3.6)))
    assert pair.answer is not None
    assert pair.headline is not None
    assert pair.answer.window_nats == pair.headline.window_nats == (3.9, 3.6)
    assert pair.answer.multiplier == pair.headline.multiplier


def test_asked_at_a_cost_the_multiplier_is_that_at_the_baselines_loss_there() -> None:
    growing = [*ladder("a", noise=0.002), *ladder("x", lambda cost: (cost / 1e12) ** 0.2, noise=0.002, seed=1)]
    early, late = (
        compared(growing, Question(1.1, cost=DEAREST * part, axis=CostAxis.EXACT)).answer for part in (0.15, 0.8)
    )
    assert early is not None
    assert late is not None
    assert early.multiplier is not None
    assert late.multiplier is not None
    assert early.multiplier.value < late.multiplier.value
    assert late.cost == DEAREST * 0.8
    assert late.window_nats is None


def test_a_question_at_a_cost_is_asked_on_its_own_axis_alone() -> None:
    records = ladder("a", noise=0.002) + ladder("x", 1.5, noise=0.002, seed=1)
    question = Question(1.1, cost=DEAREST / 2, axis=CostAxis.EXACT)
    assert compared(records, question, axis=CostAxis.KAPLAN).answer is None
    assert compared(records, question).answer is not None


def test_what_lies_beyond_the_runs_is_inconclusive_whatever_the_law_says() -> None:
    records = ladder("a", noise=0.002) + ladder("x", 3.0, noise=0.002, seed=1)
    for question in (
        Question(1.1, cost=DEAREST * 5, axis=CostAxis.EXACT),
        Question(1.1, cost=DEAREST * 50, axis=CostAxis.EXACT),
        Question(1.1, Window(3.3, 3.0)),
    ):
        found = compared(records, question).answer
        assert found is not None
        assert found.answer is Answer.INCONCLUSIVE
        assert found.status is FitStatus.EXTRAPOLATED
        assert found.reason
        assert found.settlement is None


def test_seeds_that_would_settle_it_do() -> None:
    """The advice for ladders of two seeds is followed, on the same truth: most answers are then settled."""
    settled, advised = 0, 0
    for number in range(6):
        two = SyntheticScan(seeds=(2,) * 5)
        records = ladder("a", noise=0.02, seed=2 * number, plan=two)
        found = compared(
            records + ladder("x", 1.4, noise=0.02, seed=2 * number + 1, plan=two), Question(1.1), resamples=100
        ).answer
        assert found is not None
        advice = found.settlement.seeds if found.settlement is not None else None
        if advice is None or advice > 40:
            continue
        advised += 1
        assert advice > 2
        assert found.settlement is not None
        assert found.settlement.further_cost is not None
        assert found.settlement.further_cost > 0
        more = SyntheticScan(seeds=(2 * advice,) * 5)  # the advice holds at the multiplier seen, which is not the truth
        records = ladder("a", noise=0.02, seed=100 + number, plan=more)
        again = compared(
            records + ladder("x", 1.4, noise=0.02, seed=200 + number, plan=more), Question(1.1), resamples=100
        ).answer
        assert again is not None
        settled += again.answer is Answer.BETTER
    assert advised >= 3
    assert settled >= 0.7 * advised


def test_lack_of_fit_is_settled_by_no_seed_and_says_so() -> None:
    off = (1.02, 0.985, 1.015, 0.98, 1.01)
    made = ladder("a", noise=1e-4) + ladder("x", 1.3, noise=1e-4, seed=1)
    records = []
    for run in made:
        shift = off[run.size_index] if run.contender == "a" else off[-1 - run.size_index]
        curve = [replace(point, validation_loss_nats=point.validation_loss_nats * shift) for point in run.curve]
        records.append(replace(run, curve=tuple(curve)))
    found = compared(records, Question(1.2)).answer
    assert found is not None
    assert found.answer is Answer.INCONCLUSIVE
    assert found.settlement is not None
    assert found.settlement.seeds is None
    assert "lack of fit" in found.settlement.reason or "margin" in found.settlement.reason
