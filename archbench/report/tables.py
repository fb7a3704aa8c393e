"""Everything behind a report as plain rows: what CSV files are made of."""

import csv
import io
from collections.abc import Sequence

from archbench.contracts.report import ScanResults
from archbench.results.fits import FitResult
from archbench.results.runs import RunRecord

CURVE_COLUMNS = (
    "contender", "architecture", "objective", "track", "size_index", "non_embedding_params", "embedding_params",
    "seed", "run_id", "state", "step", "tokens", "kaplan_flops", "exact_flops", "device_seconds", "train_loss_nats",
    "validation_loss_nats", "bits_per_byte", "in_warmup", "finished",
)  # fmt: skip


def curves_csv(records: Sequence[RunRecord]) -> str:
    """Every evaluated point of every run, one a row, losses in nats per predicted token."""
    rows = [
        (
            run.contender, run.architecture, run.objective, run.track, run.size_index, run.non_embedding_params,
            run.embedding_params, run.seed, run.run_id, run.state.value, point.step, point.tokens, point.kaplan_flops,
            point.exact_flops, point.device_seconds, point.train_loss_nats, point.validation_loss_nats,
            point.bits_per_byte, point.in_warmup, point.finished,
        )
        for run in records
        for point in run.curve
    ]  # fmt: skip
    return csv_text(CURVE_COLUMNS, rows)


def frontiers_csv(results: ScanResults) -> str:
    """Every frontier point of every contender on every cost axis."""
    header = (
        "contender", "cost_axis", "cost", "loss_nats", "size_index", "non_embedding_params", "tokens", "kind", "run_id"
    )  # fmt: skip
    rows = [
        (
            frontier.contender, frontier.cost_axis.value, point.cost, point.loss_nats, point.size_index,
            point.non_embedding_params, point.tokens, point.kind.value, point.run_id,
        )
        for frontier in results.frontiers
        for point in frontier.points
    ]  # fmt: skip
    return csv_text(header, rows)


def laws_csv(results: ScanResults) -> str:
    """Every fitted law with its status; columns of figures are empty where they may not be read."""
    header = (
        "contender", "cost_axis", "law", "floor", "status", "reason", "alpha", "alpha_low", "alpha_high", "C_c", "E",
        "objective", "points_used", "residual_std",
    )  # fmt: skip
    rows = [
        (frontier.contender, frontier.cost_axis.value, *_law_cells(fit))
        for frontier in results.frontiers
        for fit in (frontier.law, frontier.law_with_floor)
    ]
    return csv_text(header, rows)


def multipliers_csv(results: ScanResults) -> str:
    """Every multiplier of every pair, with its 90 and 95 % interval."""
    header = (
        "baseline", "contender", "cost_axis", "loss_nats", "multiplier", "low_95", "high_95", "low_90", "high_90",
        "extrapolated",
    )  # fmt: skip
    rows = [
        (
            pair.baseline, pair.contender, pair.cost_axis.value, point.loss_nats, point.multiplier.value,
            point.multiplier.low, point.multiplier.high, point.interval_90.low, point.interval_90.high,
            point.extrapolated,
        )
        for pair in results.comparisons
        for point in pair.multipliers
    ]  # fmt: skip
    return csv_text(header, rows)


def _law_cells(fit: FitResult) -> tuple[object, ...]:
    readable = fit.status.value == "ok"
    found = fit.intervals.get("alpha_C") if readable else None
    params = fit.params if readable else {}
    return (
        fit.law, fit.floor, fit.status.value, fit.reason, params.get("alpha_C"), found and found.low,
        found and found.high, params.get("C_c"), params.get("E"), fit.objective, fit.points_used, fit.residual_std,
    )  # fmt: skip


def csv_text(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """`rows` under `header` as CSV; what is None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return buffer.getvalue()
