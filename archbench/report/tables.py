"""Everything behind a report's figures of size scans as data tables."""

from collections.abc import Sequence
from dataclasses import replace

from archbench.contracts.report import Cell, DataTable, ScanResults
from archbench.report.columns import data_table
from archbench.results.controls import Collapse, failed_controls
from archbench.results.fits import FitResult, FrontierResult, Interval, SizeGain
from archbench.results.reference_lines import end_place, is_on_plateau, plateau_share
from archbench.results.runs import RunRecord, size_number

_CURVE_COLUMNS = (
    "contender", "architecture", "objective", "track", "size_index", "non_embedding_params", "embedding_params",
    "seed", "run_id", "state", "step", "tokens", "kaplan_flops", "exact_flops", "device_seconds",
    "processor_seconds", "train_loss_nats", "validation_loss_nats", "bits_per_byte", "in_warmup", "finished",
)  # fmt: skip


def curves_table(records: Sequence[RunRecord]) -> DataTable:
    """Every evaluated point of every run, one a row, losses in nats per predicted token."""
    rows = [
        (
            run.contender, run.architecture, run.objective, run.track, run.size_index, run.non_embedding_params,
            run.embedding_params, run.seed, run.run_id, run.state.value, point.step, point.tokens, point.kaplan_flops,
            point.exact_flops, point.device_seconds, point.processor_seconds, point.train_loss_nats,
            point.validation_loss_nats, point.bits_per_byte, point.in_warmup, point.finished,
        )
        for run in records
        for point in run.curve
    ]  # fmt: skip
    return data_table("curves", "One evaluation of one run of the size scan.", _CURVE_COLUMNS, rows)


def frontiers_table(results: ScanResults) -> DataTable:
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
    return data_table("frontiers", "One measured point on one contender's frontier on one cost axis.", header, rows)


def sizes_table(results: ScanResults) -> DataTable:
    """Where each size leads, its tier, and whether it is dominated, on every cost axis."""
    header = (
        "contender", "cost_axis", "size_index", "non_embedding_params", "lead_from_cost", "lead_to_cost", "dominated",
        "reason", "tier", "tier_p_value", "gain_outcome", "gain_over_size", "gain_nats", "gain_at_least_nats",
        "gain_at_most_nats", "expected_gain_nats", "gain_p_value", "seeds_to_settle", "seeds_at_every_size", "status",
    )  # fmt: skip
    rows = [row for frontier in results.frontiers for row in _size_rows(frontier)]
    return data_table("sizes", "One size of one contender on one cost axis.", header, rows)


def _size_rows(frontier: FrontierResult) -> list[tuple[Cell, ...]]:
    tiers = {size: number for number, tier in enumerate(frontier.tiers, 1) for size in tier.size_indices}
    gains = {one.size_index: one for one in frontier.gains}
    return [
        (
            frontier.contender, frontier.cost_axis.value, size.size_index, size.non_embedding_params,
            size.lead_from_cost, size.lead_to_cost, size.dominated, size.reason or None, tiers.get(size.size_index),
            *_gain_cells(gains.get(size.size_index)), size.status.value,
        )
        for size in frontier.sizes
    ]  # fmt: skip


def _gain_cells(one: SizeGain | None) -> tuple[Cell, ...]:
    if one is None:
        return (None,) * 10
    return (
        one.p_does_not_gain, one.outcome.value, size_number(one.rival_index), one.gain_nats,
        one.interval.low if one.interval else None, one.interval.high if one.interval else None, one.expected_nats,
        one.p_gains, one.seeds_to_settle, one.seeds_at_every_size if one.seeds_to_settle is not None else None,
    )  # fmt: skip


def laws_table(results: ScanResults) -> DataTable:
    """Every fitted law with its status; columns of figures are empty where they may not be read."""
    header = (
        "contender", "cost_axis", "law", "floor", "status", "reason", "alpha", "alpha_low", "alpha_high", "C_c", "E",
        "objective", "points_used", "residual_std",
    )  # fmt: skip
    rows = [
        (frontier.contender, frontier.cost_axis.value, *_law_cells(fit))
        for frontier in results.frontiers
        for fit in (*frontier.laws_of_finished_runs, *_other_laws(frontier))
    ]
    return data_table("laws", "One law of one contender's frontier on one cost axis.", header, rows)


def _other_laws(frontier: FrontierResult) -> tuple[FitResult, ...]:
    """The law of learning curves, named as such, and the joint law of a grid."""
    learning, joint = frontier.learning_law, frontier.joint_law
    named = () if learning is None else (replace(learning, law="L(C) of learning curves"),)
    return named if joint is None else (*named, joint)


def multipliers_table(results: ScanResults) -> DataTable:
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
    return data_table("multipliers", "One contender against the baseline at one loss.", header, rows)


def headlines_table(results: ScanResults) -> DataTable:
    """The headline multiplier of every comparison, with its intervals, its window, and what it was read from."""
    header = (
        "baseline", "contender", "cost_axis", "status", "reason", "multiplier", "low_95", "high_95", "low_90",
        "high_90", "p_value", "holm_p_value", "window_high_nats", "window_low_nats", "trend", "trend_low", "trend_high",
        "read_from", "common_floor_nats", "alpha_difference", "alpha_difference_low", "alpha_difference_high",
        "alpha_holm_p_value",
    )  # fmt: skip
    rows = [
        (
            pair.baseline, pair.contender, pair.cost_axis.value, found.status.value, found.reason or None,
            *_ends(found.multiplier), *_ends(found.interval_90)[1:], found.p_value, found.holm_p_value,
            *(found.window_nats or (None, None)), *_ends(found.trend), found.form, pair.floor_nats,
            *_ends(pair.alpha_difference), pair.holm_p_value,
        )
        for pair in results.comparisons
        if (found := pair.headline) is not None
    ]  # fmt: skip
    return data_table("headlines", "One contender against the baseline on one cost axis.", header, rows)


def answers_table(results: ScanResults) -> DataTable:
    """The answer to the spec's question for each contender and axis."""
    header = (
        "baseline", "contender", "cost_axis", "answer", "margin", "multiplier", "low_95", "high_95", "bound_low",
        "bound_high", "window_high_nats", "window_low_nats", "asked_cost", "status", "reason", "seeds_to_answer",
        "further_cost", "control_failed",
    )  # fmt: skip
    failed = bool(failed_controls(results.controls))
    rows: list[tuple[Cell, ...]] = [
        (
            pair.baseline, pair.contender, pair.cost_axis.value, found.answer.value, found.margin,
            *_ends(found.multiplier), *(found.bounds or (None, None)), *(found.window_nats or (None, None)), found.cost,
            found.status.value, found.reason or None, found.settlement.seeds if found.settlement else None,
            found.settlement.further_cost if found.settlement else None, failed,
        )
        for pair in results.comparisons
        if (found := pair.answer) is not None
    ]  # fmt: skip
    return data_table("answers", "The answer to the spec's question for one contender on one axis.", header, rows)


def controls_table(results: ScanResults) -> DataTable:
    """What each control came to."""
    header = ("control", "passed", "baseline", "cost_axis", "multiplier", "low_95", "high_95", "p_value", "reason")
    rows: list[tuple[Cell, ...]] = [
        (
            one.control,
            one.passed,
            results.baseline,
            one.cost_axis.value,
            *_ends(one.multiplier),
            one.p_value,
            one.reason,
        )
        for one in results.controls
    ]
    return data_table("controls", "One control of the spec's question.", header, rows)


def rungs_table(results: ScanResults) -> DataTable:
    """The multiplier of every contender at each of its sizes, on every cost axis."""
    header = (
        "baseline", "contender", "cost_axis", "size_index", "non_embedding_params", "cost", "loss_nats", "multiplier",
        "low_95", "high_95", "extrapolated", "rung_slope", "rung_slope_low", "rung_slope_high", "rung_slope_p_value",
        "rung_trend", "one_exponent",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            pair.baseline, pair.contender, pair.cost_axis.value, rung.size_index, rung.non_embedding_params, rung.cost,
            rung.loss_nats, *_ends(rung.multiplier), rung.extrapolated,
            *_ends(pair.rung_trend.slope if pair.rung_trend else None),
            pair.rung_trend.p_value if pair.rung_trend else None,
            pair.rung_trend.trend.value if pair.rung_trend else None, pair.one_exponent,
        )
        for pair in results.comparisons
        for rung in pair.rungs
    ]  # fmt: skip
    return data_table("rungs", "One size of one contender against the baseline's frontier.", header, rows)


def collapse_table(found: Sequence[Collapse]) -> DataTable:
    """How far the normalised learning curve of each size departs from the others'."""
    header = (
        "contender", "size_index", "non_embedding_params", "num_runs", "curve_residual", "curve_residual_error",
        "largest_residual", "largest_residual_share", "departs",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            one.contender, rung.size_index, rung.non_embedding_params, rung.num_runs, rung.residual,
            rung.standard_error, rung.largest, rung.largest_at, rung.flagged,
        )
        for one in found
        for rung in one.rungs
    ]  # fmt: skip
    return data_table("collapse", "One size of one contender: its normalised learning curve.", header, rows)


def _ends(interval: Interval | None) -> tuple[Cell, Cell, Cell]:
    return (None, None, None) if interval is None else (interval.value, interval.low, interval.high)


def runs_table(records: Sequence[RunRecord]) -> DataTable:
    """Every planned run with its end, and why it is left out if it is."""
    header = (
        "study", "role", "labels", "contender", "track", "size", "size_index", "non_embedding_params",
        "embedding_params", "seed", "batch_tokens", "unique_tokens", "planned_tokens", "run_id", "state", "reason",
        "steps", "tokens", "exact_flops", "device_seconds", "processor_seconds", "final_loss_nats", "bits_per_byte",
        "evaluated_documents", "unigram_nats", "bigram_nats", "trigram_nats", "neighbours_nats", "place",
        "on_plateau", "plateau_share",
    )  # fmt: skip
    rows = []
    for run in records:
        last = run.curve[-1] if run.curve else None
        end: tuple[Cell, ...] = (None,) * 8
        if last is not None:
            end = (
                last.step, last.tokens, last.exact_flops, last.device_seconds, last.processor_seconds,
                run.final_loss_nats, run.final_bits_per_byte, run.final.num_documents if run.final else None,
            )  # fmt: skip
        rows.append(
            (
                run.study, run.role, labels_text(run), run.contender, run.track, size_number(run.size_index),
                run.size_index, run.non_embedding_params, run.embedding_params, run.seed, run.batch_tokens,
                run.unique_tokens, run.planned_tokens, run.run_id, run.state.value, run.reason, *end, *_line_cells(run),
            )
        )  # fmt: skip
    return data_table("runs", "One planned run, usable or not.", header, rows)


def _line_cells(run: RunRecord) -> tuple[Cell, ...]:
    """The lines of a run, its last loss' place between them, and what of its tokens it spent on the plateau."""
    lines = [run.reference_lines.get(name) for name in ("unigram", "bigram", "trigram", "neighbours")]
    loss = run.final_loss_nats
    on = None if loss is None else is_on_plateau(loss, run.reference_lines)
    return (*lines, end_place(run), on, plateau_share(run))


def labels_text(run: RunRecord) -> str:
    """What its study tells a run apart by: `source text, target python`; ids of runs are shortened."""
    return ", ".join(f"{name} {_short(value)}" for name, value in run.labels.items())


def _short(value: str) -> str:
    is_run_id = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:12] if is_run_id else value


def _law_cells(fit: FitResult) -> tuple[Cell, ...]:
    readable = fit.status.value == "ok"
    found = fit.intervals.get("alpha_C") if readable else None
    params = fit.params if readable else {}
    return (
        fit.law, fit.floor, fit.status.value, fit.reason, params.get("alpha_C"), found.low if found else None,
        found.high if found else None, params.get("C_c"), params.get("E"), fit.objective, fit.points_used,
        fit.residual_std,
    )  # fmt: skip
