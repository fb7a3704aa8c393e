"""What ends on or above the line of pairs enters no multiplier, no law and no tier; without lines nothing changes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from archbench.analysis.comparison.at import compare_at_cost, compare_at_loss
from archbench.analysis.comparison.compare import CostConclusion, cost_conclusion
from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.comparison.ranking import rank
from archbench.analysis.frontier.audit import audit_frontiers
from archbench.analysis.frontier.back_test import back_test_frontier
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan, study_contenders
from archbench.analysis.frontier.scan_laws import frontier_law, joint_law
from archbench.analysis.planning.scan_forecast import forecast_scan
from archbench.results.fits import Comparison, FitStatus, FrontierResult
from archbench.results.runs import CostAxis, RunRecord
from archbench.studies.decomposition.analysis import decompose
from archbench.studies.size_scan.analysis import study_sizes
from archbench.studies.subsets.analysis import study_data, study_grid
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

SCAN = SyntheticScan(seeds=(3, 3, 3, 3, 3))
OPTIONS = StudyOptions(num_resamples=200)
FAR_ABOVE = {"unigram": 9.0, "bigram": 8.0, "trigram": 2.0}


def lines(bigram: float) -> dict[str, float]:
    return {"unigram": bigram + 1.0, "bigram": bigram, "trigram": bigram - 0.6}


def records(name: str, stated: dict[str, float], amplitude: float = 12.0, seed: int = 0) -> list[RunRecord]:
    """Five sizes that end at about 4.36, 4.06, 3.79, 3.55 and 3.33 nats."""
    law = SyntheticLaw(A=amplitude, noise_std=0.003)
    return [replace(run, reference_lines=stated) for run in synthetic_records(name, law, SCAN, seed=seed)]


def study(
    runs: Sequence[RunRecord], window: Window | None = None
) -> tuple[dict[str, FrontierResult], dict[str, Comparison]]:
    frontiers, pairs = analyse_scan(runs, baseline="a", options=OPTIONS, window=window)
    return (
        {one.contender: one for one in frontiers if one.cost_axis is CostAxis.EXACT},
        {pair.contender: pair for pair in pairs if pair.cost_axis is CostAxis.EXACT},
    )


def two(stated: dict[str, float], other: dict[str, float] | None = None) -> list[RunRecord]:
    return [*records("a", stated), *records("b", stated if other is None else other, amplitude=11.7, seed=1)]


def test_lines_that_nothing_touches_change_no_figure() -> None:
    bare, known = study(two({})), study(two(FAR_ABOVE))
    assert known == bare
    assert bare[1]["b"].headline is not None
    assert bare[1]["b"].headline.status is FitStatus.OK


def test_sizes_on_the_plateau_are_left_out_as_if_they_had_not_been_trained() -> None:
    frontiers, pairs = study(two(lines(3.9)))
    beyond = [run for run in two({}) if run.size_index > 1]
    without_frontiers, without_pairs = study(beyond)
    for name in "ab":
        found = frontiers[name]
        assert [size.status for size in found.sizes] == [FitStatus.ON_PLATEAU] * 2 + [FitStatus.OK] * 3
        assert [size for tier in found.tiers for size in tier.size_indices] == [2, 3, 4]
        assert found.law.params == without_frontiers[name].law.params
        assert found.plateau_note == "on_plateau: sizes 1, 2 end on or above the bigram line and are left out"
    headline, without = pairs["b"].headline, without_pairs["b"].headline
    assert headline is not None
    assert without is not None
    assert headline.multiplier == without.multiplier
    assert "b: on_plateau: sizes 1, 2" in " ".join(pairs["b"].notes)


def test_a_contender_of_which_too_few_sizes_lie_beyond_has_no_multiplier_no_law_and_no_tier() -> None:
    frontiers, pairs = study(two(lines(3.4)))
    pair, found = pairs["b"], frontiers["b"]
    assert found.law.status is FitStatus.ON_PLATEAU
    assert "of the 5 sizes of b end on or above the bigram line" in found.law.reason
    assert found.law.params == {}
    assert found.tiers == ()
    assert found.gains == ()
    assert pair.headline is not None
    assert pair.headline.status is FitStatus.ON_PLATEAU
    assert pair.headline.reason.endswith("(3.4 nats); it takes 2 beyond it")
    assert "which token follows which" in found.plateau_note
    assert pair.headline.multiplier is None
    assert pair.multipliers == ()
    assert (pair.alpha_difference, pair.crossover_cost, pair.status) == (None, None, FitStatus.ON_PLATEAU)
    assert cost_conclusion(pair) is CostConclusion.REFUSED


def test_one_side_on_the_plateau_refuses_the_pair_and_leaves_the_other_side_its_law() -> None:
    frontiers, pairs = study(two(lines(8.0), lines(2.0)))
    assert frontiers["a"].law.status is FitStatus.OK
    assert frontiers["a"].plateau_note == ""
    assert frontiers["b"].law.status is FitStatus.ON_PLATEAU
    assert pairs["b"].headline is not None
    assert pairs["b"].headline.reason.startswith("all 5 sizes of b end")
    assert (pairs["b"].rungs, pairs["b"].rung_trend) == ((), None)


def test_no_size_has_a_multiplier_above_the_line_of_either_side() -> None:
    _, pairs = study(two(lines(3.9), lines(4.1)))  # the second size of b ends between the two lines
    assert [rung.size_index for rung in pairs["b"].rungs] == [2, 3, 4]
    assert max(rung.loss_nats for rung in pairs["b"].rungs) < 3.9
    weak = [*records("a", lines(3.6)), *records("b", lines(8.0), amplitude=20.0, seed=1)]
    assert study(weak)[1]["b"].rungs == ()


def test_two_sizes_beyond_give_a_multiplier_and_no_law() -> None:
    frontiers, pairs = study(two(lines(3.6)))
    law = frontiers["a"].law
    assert law.status is FitStatus.ON_PLATEAU
    assert law.reason == "2 sizes beyond the bigram line; a frontier needs at least 3"
    headline = pairs["b"].headline
    assert headline is not None
    assert headline.status is not FitStatus.ON_PLATEAU
    assert headline.window_nats is not None
    assert max(headline.window_nats) < 3.6


def test_a_window_is_cut_at_the_line_and_refused_above_it() -> None:
    _, cut = study(two(lines(4.0)), Window(4.2, 3.5))
    _, given = study(two(lines(4.0)), Window(4.0, 3.5))
    headline = cut["b"].headline
    assert headline is not None
    assert headline.window_nats == (pytest.approx(4.0), 3.5)
    assert given["b"].headline is not None
    assert given["b"].headline.window_nats == headline.window_nats
    _, above = study(two(lines(4.0)), Window(4.3, 4.1))
    assert above["b"].headline is not None
    assert above["b"].headline.status is FitStatus.ON_PLATEAU
    assert "4 nats" in above["b"].headline.reason


def test_masked_runs_are_held_against_the_line_of_both_neighbours() -> None:
    masked = [
        replace(run, track="masked", reference_lines={"unigram": 5.0, "neighbours": 3.4}) for run in two(lines(3.4))
    ]
    frontiers, _ = study(masked)
    assert "on or above the neighbours line" in frontiers["a"].law.reason
    assert "which tokens stand beside which" in frontiers["a"].plateau_note


def test_a_size_is_held_against_the_line_of_the_text_that_it_saw_itself() -> None:
    runs = [
        replace(run, reference_lines=lines(4.5 if run.size_index == 0 else 4.0)) for run in two(lines(4.0))
    ]  # 4.36 lies below 4.5, 4.06 above 4.0
    frontiers, _ = study(runs)
    statuses = [size.status is FitStatus.ON_PLATEAU for size in frontiers["a"].sizes]
    assert statuses == [False, True, False, False, False]


def test_what_a_user_asks_for_on_the_plateau_is_refused() -> None:
    a, b = study_contenders(two(lines(4.0)), CostAxis.EXACT, baseline="a", options=OPTIONS)
    assert compare_at_loss(a, b, 3.6).status is FitStatus.OK
    at = compare_at_loss(a, b, 4.1)
    assert (at.status, at.multiplier) == (FitStatus.ON_PLATEAU, None)
    assert at.reason == "4.1 nats lie on or above the line of pairs, 4 nats"
    a, b = study_contenders(two(lines(3.0)), CostAxis.EXACT, baseline="a", options=OPTIONS)
    assert compare_at_cost(a, b, 1e12).status is FitStatus.ON_PLATEAU


def test_a_size_without_lines_leaves_the_ceiling_to_those_that_have_some() -> None:
    runs = [replace(run, reference_lines={}) if run.size_index == 0 else run for run in two(lines(4.2))]
    _, pairs = study(runs, Window(4.3, 3.5))
    headline = pairs["b"].headline
    assert headline is not None
    assert headline.window_nats == (pytest.approx(4.2), 3.5)


def test_the_law_of_learning_curves_is_one_of_what_lies_below_the_line() -> None:
    frontiers, _ = study(two(lines(3.9)))
    found, runs = frontiers["a"].learning_law, two({})
    beyond = [cut(run, 3.9) for run in runs if run.size_index > 1]
    alone = study(beyond)[0]["a"].learning_law
    assert found is not None
    assert alone is not None
    assert found.status is FitStatus.OK
    assert found.points_used == alone.points_used
    assert found.params == alone.params
    refused = study(two(lines(3.6)))[0]["a"].learning_law
    assert refused is not None
    assert (refused.status, refused.params, refused.intervals) == (FitStatus.ON_PLATEAU, {}, {})
    assert refused.reason == "2 sizes beyond the bigram line; a frontier needs at least 3"
    rows = audit_frontiers(two(lines(3.6)), CostAxis.EXACT, baseline="a", num_resamples=100)
    (row,) = [one for one in rows if one.variant == "learning curves"]
    assert row.conclusion is CostConclusion.REFUSED


def cut(run: RunRecord, line: float) -> RunRecord:
    """`run` without its evaluations on or above the line."""
    return replace(run, curve=tuple(point for point in run.curve if point.validation_loss_nats < line))


def test_a_law_that_is_refused_keeps_no_interval() -> None:
    frontiers, _ = study([*records("a", lines(3.6)), *records("b", lines(3.4), seed=1)])
    for found in frontiers.values():
        assert (found.law.status, found.law.intervals) == (FitStatus.ON_PLATEAU, {})
        assert (found.law_with_floor.status, found.law_with_floor.intervals) == (FitStatus.ON_PLATEAU, {})


def test_forecasts_are_made_from_what_lies_beyond_the_plateau() -> None:
    refused = forecast_scan(records("a", lines(3.6)), "a", [1e14], resamples=50)
    assert (refused.frontier.status, refused.joint.status) == (FitStatus.ON_PLATEAU, FitStatus.ON_PLATEAU)
    assert refused.budgets[0].loss is None
    kept = [run for run in records("a", {}) if run.size_index > 1]
    partly, alone = records("a", lines(3.9)), [cut(run, 3.9) for run in kept]
    assert frontier_law(partly, "a", CostAxis.EXACT).fit.result == frontier_law(kept, "a", CostAxis.EXACT).fit.result
    found, same = joint_law(partly, "a"), joint_law(alone, "a")
    assert found.fit.result.params == same.fit.result.params
    assert found.fit.result.points_used == same.fit.result.points_used


@pytest.mark.parametrize("made", [study_sizes, study_grid])
def test_laws_of_studies_are_fitted_beyond_the_plateau(made: Callable[..., Any]) -> None:
    beyond = [run for run in records("a", {}) if run.size_index > 1]
    found, law = made("scan", "a", records("a", lines(3.9)))
    assert law.result.params == made("scan", "a", beyond)[1].result.params
    assert found.left_out == {"on the plateau": 6}
    refused = made("scan", "a", records("a", lines(3.6)))[1].result
    assert (refused.status, refused.params) == (FitStatus.ON_PLATEAU, {})
    assert refused.reason == "2 sizes beyond the plateau; a law of N needs at least 3"


def test_the_law_of_data_is_fitted_beyond_the_plateau() -> None:
    def budgets(stated: dict[str, float]) -> list[RunRecord]:
        amounts = (200_000, 400_000, 800_000, 1_600_000, 3_200_000)
        scans = [SyntheticScan(sizes=(80_000,), seeds=(1,), tokens=tokens) for tokens in amounts]
        made = [run for scan in scans for run in synthetic_records("a", SyntheticLaw(), scan)]
        return [replace(run, reference_lines=stated) for run in made]

    losses = sorted(run.curve[-1].validation_loss_nats for run in budgets({}))
    found, law = study_data("data", "a", budgets(lines((losses[2] + losses[3]) / 2)))
    assert found.left_out == {"on the plateau": 2}
    assert law.result.points_used == 3
    refused = study_data("data", "a", budgets(lines((losses[1] + losses[2]) / 2)))[1].result
    assert (refused.status, refused.params) == (FitStatus.ON_PLATEAU, {})


def test_contenders_on_the_plateau_are_ranked_nowhere_and_say_why() -> None:
    runs = [*two(lines(8.0)), *records("c", lines(2.0), amplitude=11.0, seed=2)]
    found = rank(study_contenders(runs, CostAxis.EXACT, baseline="a", options=OPTIONS), "a")
    assert set(found.places) == {"a", "b"}
    assert found.unranked["c"].startswith("on_plateau: all 5 sizes of c end on or above the bigram line")


def test_audit_and_back_test_and_decomposition_refuse_as_well() -> None:
    runs = two(lines(8.0), lines(2.0))
    rows = audit_frontiers(runs, CostAxis.EXACT, baseline="a", num_resamples=100)
    assert {row.conclusion for row in rows} == {CostConclusion.REFUSED}
    _, b = study_contenders(runs, CostAxis.EXACT, baseline="a", options=OPTIONS)
    assert back_test_frontier(b) == ()
    steps = decompose(runs, ["a", "b"], baseline="a")
    assert {effect.status for effect in steps.effects if effect.cost_axis is not None} == {FitStatus.ON_PLATEAU}
