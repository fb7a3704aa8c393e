"""A transfer study made from published laws gives its constants back through the path of measured ones."""

from dataclasses import replace

import numpy as np
import pytest

from archbench.results.fits import FitStatus
from archbench.results.runs import FinalEvaluation, RunRecord, RunState
from archbench.studies.transfer.analysis import TransferSettings, analyse_transfer
from archbench.studies.transfer.cells import transfer_runs
from archbench.studies.transfer.results import FINETUNE, PRETRAINING, SCRATCH, Censoring, Effect, FrontierKind
from archbench.studies.transfer.scratch_curve import MonotoneCurve
from archbench.testing.synthetic_transfer import (
    KAPLAN_ND,
    TEXT_AND_CODE_TO_PYTHON,
    TEXT_TO_PYTHON,
    SyntheticTransfer,
    synthetic_transfer_records,
)

pytestmark = pytest.mark.thorough

POWER_LAW = {"alpha_D": 0.103, "D_c": 1.8e13}
FEW = TransferSettings(num_resamples=200)
FINAL = FinalEvaluation((700.0,), (200,), (5,), None)


@pytest.mark.parametrize("law", [TEXT_TO_PYTHON, TEXT_AND_CODE_TO_PYTHON])
def test_constants_come_back_when_noise_free_and_scratch_is_a_power_law(law: dict[str, float]) -> None:
    plan = SyntheticTransfer(law=law, scratch=POWER_LAW)
    found = analyse_transfer(synthetic_transfer_records(plan), FEW).directions[0].law
    assert found.status is FitStatus.OK
    for name, value in law.items():
        assert found.params[name] == pytest.approx(value, rel=1e-6)


def test_interpolation_error_on_a_bent_scratch_curve_is_small() -> None:
    # Between a straight line and a plateau the monotone cubic is not exact: four points a decade leave 0.1 % in k.
    found = analyse_transfer(synthetic_transfer_records(SyntheticTransfer()), FEW).directions[0].law
    assert found.params["alpha"] == pytest.approx(0.18, rel=1e-3)
    assert found.params["beta"] == pytest.approx(0.38, rel=1e-3)
    assert found.params["k"] == pytest.approx(1.9e4, rel=5e-3)


def test_unified_law_comes_back_when_noise_free() -> None:
    plan = SyntheticTransfer(transferred_only=True)
    found = analyse_transfer(synthetic_transfer_records(plan), FEW).directions[0].unified_law
    assert found.status is FitStatus.OK
    truth = {**KAPLAN_ND, **TEXT_TO_PYTHON, "D_c_over_k": KAPLAN_ND["D_c"] / TEXT_TO_PYTHON["k"]}
    for name in ("alpha_N", "alpha_D", "alpha", "beta", "N_c", "D_c_over_k"):
        assert found.params[name] == pytest.approx(truth[name], rel=1e-6)


def test_three_sizes_and_amounts_identify_the_unified_law_once_training_from_scratch_is_known() -> None:
    plan = SyntheticTransfer(
        sizes=(1_000_000, 8_000_000, 64_000_000), finetune_tokens=(10**5, 10**6, 10**7), transferred_only=True
    )
    direction = analyse_transfer(synthetic_transfer_records(plan), FEW).directions[0]
    found = direction.unified_law_given_scratch
    assert found is not None
    assert found.status is FitStatus.OK
    for name, value in TEXT_TO_PYTHON.items():
        assert found.params[name] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("law", [TEXT_TO_PYTHON, TEXT_AND_CODE_TO_PYTHON])
def test_intervals_hold_the_published_constants_under_noise(law: dict[str, float]) -> None:
    plan = SyntheticTransfer(law=law, noise_std=0.002, seeds=2)
    direction = analyse_transfer(synthetic_transfer_records(plan)).directions[0]
    assert direction.noise_std_log == pytest.approx(0.002, rel=0.3)
    for name, value in law.items():
        interval = direction.law.intervals[name]
        assert interval.covers(value), (name, interval)
        assert interval.high / interval.low < 3  # an interval that holds everything would hold the truth too


def test_low_data_regime_follows_its_definition() -> None:
    direction = analyse_transfer(synthetic_transfer_records(SyntheticTransfer()), FEW).directions[0]
    plan = SyntheticTransfer()
    for curve in direction.scratch:
        N = curve.non_embedding_params
        limit = (KAPLAN_ND["N_c"] / N) ** KAPLAN_ND["alpha_N"]
        assert curve.limit_loss_nats == pytest.approx(limit, rel=1e-6)
        assert curve.low_data_tokens is not None
        assert plan.scratch_loss(N, 10 * curve.low_data_tokens) == pytest.approx(limit / 0.99, rel=1e-6)
    outside = [cell for cell in direction.cells if cell.low_data is False]
    assert outside
    assert direction.law.left_out["outside the low-data regime"] == len(outside)


def test_fine_tuning_beyond_what_was_trained_from_scratch_is_censored_and_never_extrapolated() -> None:
    largest = 10**7
    plan = SyntheticTransfer(
        sizes=(1_000_000, 256_000_000), scratch_tokens=tuple(int(d) for d in np.geomspace(1e5, largest, 9)), seeds=2,
        noise_std=1e-3,
    )  # fmt: skip
    direction = analyse_transfer(synthetic_transfer_records(plan), FEW).directions[0]
    above = [cell for cell in direction.cells if cell.censored is Censoring.ABOVE]
    assert above
    for cell in above:
        assert cell.effective_tokens.value == pytest.approx(largest)
        assert cell.effective_tokens.high == np.inf
        assert cell.fraction.low == 0.0
    assert direction.law.left_out["D_E censored above"] == sum(cell.low_data is not False for cell in above)


def test_ossification_is_flagged_where_pretraining_hurts() -> None:
    plan = SyntheticTransfer(noise_std=0.002, seeds=2, scratch_tokens=SyntheticTransfer().finetune_tokens)
    records = [
        _scaled(run, 1.05) if run.role == FINETUNE and run.size_index == 0 and run.unique_tokens > 2e6 else run
        for run in synthetic_transfer_records(plan)
    ]
    hurt = _scaled_to_scratch(records)
    cells = analyse_transfer(hurt, FEW).directions[0].cells
    flagged = {(cell.size_index, cell.finetune_tokens) for cell in cells if cell.effect is Effect.OSSIFICATION}
    assert flagged
    for cell in cells:
        if cell.effect is Effect.OSSIFICATION:
            assert cell.size_index == 0
            assert cell.transferred_tokens.value < 0
            assert cell.loss_ratio is not None
            assert cell.loss_ratio.high < 1


def _scaled(run: RunRecord, factor: float) -> RunRecord:
    curve = [replace(point, validation_loss_nats=point.validation_loss_nats * factor) for point in run.curve]
    return replace(run, curve=tuple(curve))


def _scaled_to_scratch(records: list[RunRecord]) -> list[RunRecord]:
    """Fine-tuned runs of the smallest size on much data lose 3 % against those from scratch on the same data."""
    scratch = {
        run.unique_tokens: run.best_point.validation_loss_nats
        for run in records
        if run.role == SCRATCH and run.size_index == 0 and run.seed == 0
    }
    return [
        _scaled(run, 1.03 * scratch[run.unique_tokens] / run.best_point.validation_loss_nats)
        if run.role == FINETUNE and run.size_index == 0 and run.unique_tokens > 2e6
        else run
        for run in records
    ]


def test_pretraining_moves_the_frontier_by_exactly_its_cost() -> None:
    records = synthetic_transfer_records(SyntheticTransfer(sizes=(1_000_000,)))
    frontiers = analyse_transfer(records, FEW).directions[0].frontiers
    found = {(one.kind, one.cost_axis, one.target_tokens): one.points for one in frontiers}
    start = next(run for run in records if run.role == "pretraining")
    checked = 0
    for (kind, axis, tokens), points in found.items():
        if kind is FrontierKind.FINETUNE:
            counted = found[(FrontierKind.FINETUNE_ALL, axis, tokens)]
            paid = start.curve[-1].cost(axis)
            assert paid is not None
            assert [one.cost for one in counted] == pytest.approx([one.cost + paid for one in points], rel=1e-12)
            checked += 1
    assert checked


def test_forgetting_is_the_rise_on_the_source() -> None:
    plan = SyntheticTransfer(seeds=2, forgetting=0.1)
    points = analyse_transfer(synthetic_transfer_records(plan), FEW).directions[0].forgetting
    assert len(points) == len(plan.sizes) * len(plan.finetune_tokens)
    for point in points:
        expected = 3.0 * (point.finetune_tokens / min(plan.finetune_tokens)) ** 0.1 - 3.0
        assert point.rise_nats.value == pytest.approx(expected, abs=1e-9)


def test_forgetting_holds_losses_on_the_same_documents_against_each_other() -> None:
    records = synthetic_transfer_records(SyntheticTransfer(sizes=(1_000_000, 8_000_000)))
    fine_tuned = [replace(run, final=FINAL) if run.role == FINETUNE else run for run in records]
    assert analyse_transfer(fine_tuned, FEW).directions[0].forgetting == ()
    both = [replace(run, final=FINAL) if run.role == PRETRAINING else run for run in fine_tuned]
    assert {point.before_nats for point in analyse_transfer(both, FEW).directions[0].forgetting} == {FINAL.loss_nats}
    (before,) = {point.before_nats for point in analyse_transfer(records, FEW).directions[0].forgetting}
    pretraining = [replace(run, final=FINAL) if run.role == PRETRAINING else run for run in records]
    assert {point.before_nats for point in analyse_transfer(pretraining, FEW).directions[0].forgetting} == {before}


def test_a_run_that_does_not_stop_early_counts_by_its_loss_at_the_end() -> None:
    early = synthetic_transfer_records(SyntheticTransfer(sizes=(1_000_000, 8_000_000)))
    whole = [replace(run, details={}) for run in early]
    evaluated = [replace(run, final=FINAL) for run in whole]
    found = [{loss for cell in transfer_runs(runs).scratch for loss in cell.log_losses} for runs in (whole, evaluated)]
    scratch = [run for run in early if run.role == SCRATCH]
    assert found[0] == {np.log(run.curve[-1].validation_loss_nats) for run in scratch}
    assert found[1] == {np.log(FINAL.loss_nats)}
    stopped = {loss for cell in transfer_runs(early).scratch for loss in cell.log_losses}
    assert stopped == {np.log(run.best_point.validation_loss_nats) for run in scratch}


def _three_targets(gap: float) -> list[RunRecord]:
    """English to three languages whose k differ by a factor `gap` from one to the next."""
    records = []
    for number, target in enumerate(("zh", "es", "de")):
        law = {**TEXT_TO_PYTHON, "k": 1.9e4 * gap**number}
        plan = SyntheticTransfer(law=law, noise_std=0.003, seeds=2, sizes=(1_000_000, 8_000_000, 64_000_000))
        records += synthetic_transfer_records(plan, source="en", target=target, seed=number)
    return records


def test_languages_are_ranked_where_intervals_allow() -> None:
    ranking = analyse_transfer(_three_targets(2.0), FEW).rankings[0]
    assert ranking.common == "from en"
    assert ranking.statement == "de > es > zh"
    assert all(pair.told_apart for pair in ranking.pairs)


def test_languages_that_do_not_differ_are_not_ranked() -> None:
    ranking = analyse_transfer(_three_targets(1.0), FEW).rankings[0]
    assert ">" not in ranking.statement
    assert not any(pair.told_apart for pair in ranking.pairs)


def test_runs_that_failed_are_named_and_enter_nothing() -> None:
    records = synthetic_transfer_records(SyntheticTransfer(sizes=(1_000_000, 8_000_000)))
    lost = next(number for number, run in enumerate(records) if run.role == FINETUNE)
    records[lost] = replace(records[lost], state=RunState.DIVERGED, reason="loss is not finite")
    result = analyse_transfer(records, FEW)
    assert len(result.directions[0].cells) == 2 * 7 - 1
    assert "loss is not finite" in result.warnings[0]


def test_without_seeds_or_curves_there_are_no_intervals() -> None:
    plan = SyntheticTransfer(scratch_tokens=(10**5, 10**7, 10**9), finetune_tokens=(10**5, 10**6))
    direction = analyse_transfer(synthetic_transfer_records(plan), FEW).directions[0]
    assert direction.noise_std_log is None
    assert all(np.isinf(cell.effective_tokens.high) for cell in direction.cells)
    assert any("no intervals" in warning for warning in direction.warnings)


def test_a_bend_that_all_sizes_share_is_no_noise() -> None:
    # Noise-free losses at amounts a factor 10 apart: all that departs from a parabola is the bend of the law.
    plan = SyntheticTransfer(
        sizes=(1_000_000, 1_100_000, 1_200_000), scratch_tokens=tuple(10**power for power in range(4, 11)),
        finetune_tokens=(10**5, 10**6),
    )  # fmt: skip
    records = synthetic_transfer_records(plan)
    together = analyse_transfer(records, FEW).directions[0].noise_std_log
    alone = analyse_transfer([run for run in records if run.size_index == 0], FEW).directions[0].noise_std_log
    assert together is not None
    assert alone is not None
    assert together < 0.2 * alone


def test_monotone_curve_pools_a_rise_and_keeps_its_ends() -> None:
    curve = MonotoneCurve.through(np.log([1e3, 1e4, 1e5]), np.log([5.0, 3.9, 4.0]), np.ones(3))
    assert np.all(np.diff(curve.log_loss) <= 0)
    found = curve.effective(np.log([5.5, 5.0, 3.0]))
    assert found[0] == -np.inf
    assert found[1] == pytest.approx(np.log(1e3))
    assert found[2] == np.inf


def test_of_several_rates_the_best_run_of_each_seed_is_the_result() -> None:
    records = synthetic_transfer_records(SyntheticTransfer(sizes=(1_000_000, 8_000_000), seeds=2))
    worse = [
        replace(_scaled(run, 1.1), run_id=f"worse{number}")
        for number, run in enumerate(records)
        if run.role in (SCRATCH, FINETUNE)
    ]
    with_trials = analyse_transfer([*worse, *records], FEW).directions[0]
    assert with_trials.cells == analyse_transfer(records, FEW).directions[0].cells
