from dataclasses import replace

import pytest

from archbench.analysis.comparison.compare import CostConclusion
from archbench.analysis.frontier.audit import AS_FITTED, FrontierAuditRow, audit_frontiers, summarise
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.results.fits import FitStatus
from archbench.results.runs import CostAxis, RunRecord
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

LAW = SyntheticLaw(noise_std=0.002)
CHEAP = SyntheticLaw(noise_std=0.002, A=11.0)
FEW = 200


def rows_of(records: list[RunRecord], axis: CostAxis = CostAxis.EXACT) -> tuple[FrontierAuditRow, ...]:
    return audit_frontiers(records, axis, baseline="a", num_resamples=FEW)


def row(rows: tuple[FrontierAuditRow, ...], variant: str, name: str) -> FrontierAuditRow:
    return next(one for one in rows if (one.variant, one.contender) == (variant, name))


@pytest.fixture(scope="module")
def clear() -> list[RunRecord]:
    """Two architectures of which the second needs far less compute, whatever the convention."""
    return synthetic_records("a", LAW) + synthetic_records("b", CHEAP, seed=1)


def test_the_row_as_fitted_is_what_the_study_itself_says(clear: list[RunRecord]) -> None:
    _, comparisons = analyse_scan(clear, baseline="a", options=StudyOptions(num_resamples=FEW, floor="none"))
    stated = next(pair for pair in comparisons if pair.cost_axis is CostAxis.EXACT)
    found = row(rows_of(clear), AS_FITTED, "b").comparison
    assert found is not None
    assert found.alpha_difference == stated.alpha_difference
    assert found.headline == stated.headline


def test_a_clear_difference_holds_under_every_readable_convention(clear: list[RunRecord]) -> None:
    (summary,) = summarise(rows_of(clear))
    assert summary.conclusion is CostConclusion.LESS
    assert summary.changed_by == ()
    assert summary.held == summary.readable >= 6


def test_a_conclusion_that_hangs_on_the_cost_axis_names_it() -> None:
    # The same losses, but b executes four times as many FLOPs: it needs more on that axis, equal on 6ND.
    base = synthetic_records("a", LAW)
    costly = [
        replace(
            record,
            contender="b",
            curve=tuple(replace(point, exact_flops=point.exact_flops * 4) for point in record.curve),
        )
        for record in synthetic_records("a", LAW, seed=1)
    ]
    (summary,) = summarise(rows_of([*base, *costly]))
    assert summary.conclusion is CostConclusion.MORE
    assert set(summary.changed_by) >= {"6ND without embeddings", "6ND with embeddings"}
    assert "law L(C), no floor" not in summary.changed_by


def test_embeddings_that_nobody_counted_leave_that_row_out(clear: list[RunRecord]) -> None:
    unknown = [replace(record, embedding_params=0) for record in clear]
    assert "6ND with embeddings" not in {one.variant for one in rows_of(unknown)}


def test_times_that_were_not_measured_give_rows_that_say_so(clear: list[RunRecord]) -> None:
    untimed = [
        replace(record, curve=tuple(replace(point, device_seconds=None) for point in record.curve)) for record in clear
    ]
    rows = rows_of(untimed)
    found = row(rows, "device seconds", "b")
    assert found.result.status is FitStatus.NOT_IDENTIFIABLE
    assert "has no cost there" in found.result.reason
    assert found.same_conclusion is None
    assert "device seconds" in summarise(rows)[0].refused


def test_a_ladder_has_no_joint_law_and_the_row_says_so(clear: list[RunRecord]) -> None:
    found = row(rows_of(clear), "joint law L(N,D)", "b")
    assert found.comparison is None
    assert "one budget a size" in found.result.reason


def test_an_identified_floor_is_pinned_ten_percent_to_either_side(clear: list[RunRecord]) -> None:
    rows = rows_of(clear)
    fitted, low, high = (
        row(rows, variant, "b").comparison
        for variant in (AS_FITTED, "common floor pinned -10%", "common floor pinned +10%")
    )
    assert fitted is not None
    assert low is not None
    assert high is not None
    assert fitted.floor_nats is not None
    assert low.floor_nats == pytest.approx(0.9 * fitted.floor_nats)
    assert high.floor_nats == pytest.approx(1.1 * fitted.floor_nats)


def test_without_a_baseline_there_is_nothing_to_compare(clear: list[RunRecord]) -> None:
    assert audit_frontiers(clear, CostAxis.EXACT, baseline=None, num_resamples=FEW) == ()
    assert audit_frontiers([], CostAxis.EXACT, baseline=None) == ()
