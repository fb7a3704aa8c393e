"""B_crit from a batch scan (McCandlish et al. 2018, section 2.3; Kaplan et al. 2020, section 5.1).

Runs that differ in the batch alone are asked when they reached common losses; at each loss S and E = B·S lie on a
hyperbola, whose B_crit = E_min/S_min depends on the loss as B_star/L^(1/alpha_B).

Legend: S steps, E tokens, B batch (tokens), L validation loss (nats per predicted token); K runs, T targets,
R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.fitting.huber import LEAST_SQUARES
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.residual_bootstrap import METHOD, NUM_RESAMPLES, exp_interval
from archbench.analysis.intervals import percentile_ends
from archbench.analysis.laws.kaplan import CriticalBatch
from archbench.results.fits import FitResult, FitStatus, Interval
from archbench.results.runs import RunRecord
from archbench.studies.batch_scan.results import BatchPoint, BatchStudy, BatchTradeOff
from archbench.studies.batch_scan.steps_to_loss import Descent, common_targets, descent
from archbench.studies.batch_scan.trade_off import Hyperbolas, fit_hyperbolas
from archbench.studies.points import about, usable

MIN_BATCHES = 3
"""Batch sizes that must reach a target: two parameters, and one to contradict them."""
NUM_TARGETS = 8


@dataclass(frozen=True, slots=True)
class BatchSamples:
    """B_crit(L) of one contender, resampled: what comparisons and corrections of steps are made with."""

    log_losses: Array
    """ln L of the targets whose B_crit may be read, [T]."""
    log_critical: Array
    """ln B_crit, [R, T]."""
    slope: Array
    """1/alpha_B, [R]."""
    level: Array
    """ln B_crit at L = 1 nat, ln B_star, [R]."""
    estimate: tuple[float, float]
    """1/alpha_B and ln B_star as fitted."""

    def estimate_at(self, log_loss: Array) -> Array:
        """ln B_crit by the law as fitted."""
        return np.asarray(self.estimate[1] - self.estimate[0] * log_loss)

    def log_critical_at(self, log_loss: Array) -> Array:
        """ln B_crit of every resample's law at each ln L, [R, n]."""
        return np.asarray(self.level[:, None] - self.slope[:, None] * log_loss[None, :])


def study_batches(
    study: str,
    contender: str,
    runs: Sequence[RunRecord],
    *,
    targets_nats: Sequence[float] = (),
    num_targets: int = NUM_TARGETS,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> tuple[BatchStudy, BatchSamples | None]:
    """The batch scan of one contender: trade-offs at common losses of each size, and B_crit(L) over all of them.

    targets_nats: the losses to ask for; chosen from what the runs reached where it is empty. The samples are None where
    the law has been refused. Runs that are not done are left out and counted.
    """
    kept = usable(runs)
    generator = np.random.default_rng((seed, 1))
    found: list[_SizeResult] = []
    for size in sorted({run.non_embedding_params for run in kept.runs}):
        members = sorted(
            (run for run in kept.runs if run.non_embedding_params == size),
            key=lambda run: (run.batch_tokens, run.seed, run.run_id),
        )
        found.append(_study_size(members, targets_nats, num_targets, num_resamples, generator))
    trade_offs = tuple(trade_off for one in found for trade_off in one.trade_offs)
    law, samples = _law(found)
    result = BatchStudy(
        **about(study, contender, runs, used=len(kept.runs), left_out=kept.left_out, notes=_notes(kept.runs)),
        trade_offs=trade_offs,
        law=law,
    )
    return result, samples


@dataclass(frozen=True, slots=True)
class _SizeResult:
    trade_offs: tuple[BatchTradeOff, ...]
    log_critical: Mapping[int, Array]
    """Index of the trade-off -> ln B_crit, [R]; those that may be read only."""


def _study_size(
    runs: Sequence[RunRecord],
    targets_nats: Sequence[float],
    num_targets: int,
    num_resamples: int,
    generator: np.random.Generator,
) -> _SizeResult:
    curves = [descent(run) for run in runs]
    batch = np.array([run.batch_tokens for run in runs], dtype=float)
    chosen = np.sort(np.asarray(targets_nats, dtype=float))[::-1]
    targets = chosen if len(chosen) else _targets(curves, batch, num_targets)
    if not len(targets):
        reason = f"no loss is reached by {MIN_BATCHES} batch sizes after warm-up; train longer, or add batch sizes"
        refused = _refused(runs, curves, float("nan"), np.full(len(runs), np.nan), reason)
        return _SizeResult((refused,), {})
    log_steps = np.stack([curve.log_steps_at(targets) for curve in curves], axis=1)
    readable = [
        index for index in range(len(targets)) if len(np.unique(batch[np.isfinite(log_steps[index])])) >= MIN_BATCHES
    ]
    fits = fit_hyperbolas(log_steps[readable], batch) if readable else None
    drawn = _resample(fits, log_steps[readable], batch, num_resamples, generator) if fits is not None else []
    trade_offs, log_critical = [], {}
    for index, loss in enumerate(targets):
        if fits is None or index not in readable:
            reached = len(np.unique(batch[np.isfinite(log_steps[index])]))
            reason = f"{reached} batch sizes reach this loss, a trade-off needs {MIN_BATCHES}"
            trade_offs.append(_refused(runs, curves, float(loss), log_steps[index], reason))
            continue
        row = readable.index(index)
        judged = _judged(runs, curves, float(loss), log_steps[index], fits, row, drawn[row])
        if judged.status is FitStatus.OK:
            log_critical[index] = drawn[row].log_critical
        trade_offs.append(judged)
    return _SizeResult(tuple(trade_offs), log_critical)


def _targets(curves: Sequence[Descent], batch: Array, count: int) -> Array:
    """Losses that two thirds of the batch sizes reach, three at least; a batch size stands for its best run."""
    best: dict[float, Descent] = {}
    for curve, size in zip(curves, batch, strict=True):
        if size not in best or (len(curve.log_loss) and curve.lowest_loss < best[size].lowest_loss):
            best[size] = curve
    enough = max(MIN_BATCHES, -(-2 * len(best) // 3))
    return common_targets(list(best.values()), count=count, at_least=enough)


def _resample(
    fits: Hyperbolas, log_steps: Array, batch: Array, num_resamples: int, generator: np.random.Generator
) -> list[Hyperbolas]:
    """`num_resamples` refits of each target; a run's deviations at all targets are drawn together.

    Residuals of ln S about the hyperbola hold run-to-run noise and lack of fit. Their covariance over targets is pooled
    over runs, its scale is drawn from its own sampling distribution, as decision 0011 does for curves: a handful of
    runs drawn with replacement would give two thirds of the variance.
    """
    predicted = fits.predicted(batch)
    residual = np.where(np.isfinite(log_steps), log_steps - predicted, 0.0)
    present = np.isfinite(log_steps).astype(float)
    counts = present @ present.T
    freedom = max(int(np.isfinite(log_steps).sum(axis=1).max()) - 2, 1)
    covariance = residual @ residual.T / np.maximum(counts - 2.0, 1.0)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    scale = np.sqrt(freedom / generator.chisquare(freedom, size=(num_resamples, 1, 1)))
    noise = scale * (generator.standard_normal((num_resamples, len(batch), len(root))) @ root.T)
    return [
        fit_hyperbolas(np.where(np.isfinite(log_steps[row]), predicted[row] + noise[:, :, row], np.nan), batch)
        for row in range(len(log_steps))
    ]


def _points(runs: Sequence[RunRecord], curves: Sequence[Descent], log_steps: Array) -> tuple[BatchPoint, ...]:
    return tuple(
        BatchPoint(
            run_id=run.run_id,
            batch_tokens=run.batch_tokens,
            seed=run.seed,
            steps=float(np.exp(value)) if np.isfinite(value) else None,
            steps_spent=curve.last_step,
        )
        for run, curve, value in zip(runs, curves, log_steps, strict=True)
    )


def _refused(
    runs: Sequence[RunRecord], curves: Sequence[Descent], loss: float, log_steps: Array, reason: str
) -> BatchTradeOff:
    points = _points(runs, curves, log_steps)
    return BatchTradeOff(runs[0].non_embedding_params, loss, FitStatus.TOO_FEW_POINTS, reason, points)


def _judged(
    runs: Sequence[RunRecord],
    curves: Sequence[Descent],
    loss: float,
    log_steps: Array,
    fits: Hyperbolas,
    row: int,
    drawn: Hyperbolas,
) -> BatchTradeOff:
    """The trade-off at one target, or why it may not be read."""
    free = max(int(np.isfinite(log_steps).sum()) - 2, 1)
    blank = BatchTradeOff(
        runs[0].non_embedding_params,
        loss,
        FitStatus.OK,
        "",
        _points(runs, curves, log_steps),
        residual_std=float(np.sqrt(fits.squares[row] / free)),
    )
    critical, steps_min = float(fits.log_critical[row]), float(fits.log_steps_min[row])
    if fits.at_bound[row]:
        side = "above" if critical > np.mean(fits.bounds) else "below"
        reason = f"B_crit lies far {side} every batch that was tried"
        return replace(blank, status=FitStatus.BOUND_HIT, reason=reason)
    low, high = percentile_ends(drawn.log_critical)
    if low < fits.bounds[0] + 0.01 or high > fits.bounds[1] - 0.01:
        side = "above" if high > fits.bounds[1] - 0.01 else "below"
        reason = f"the batches that were tried do not bound B_crit from {side}"
        return replace(blank, status=FitStatus.NOT_IDENTIFIABLE, reason=reason)
    return replace(
        blank,
        steps_min=exp_interval(steps_min, drawn.log_steps_min),
        tokens_min=exp_interval(steps_min + critical, drawn.log_steps_min + drawn.log_critical),
        critical_batch_tokens=exp_interval(critical, drawn.log_critical),
    )


def _law(found: Sequence[_SizeResult]) -> tuple[FitResult, BatchSamples | None]:
    """B_crit(L) through every target that may be read, of all sizes: Kaplan et al. found no dependence on N."""
    read = [(one.trade_offs[index], drawn) for one in found for index, drawn in sorted(one.log_critical.items())]
    losses = np.array([trade_off.loss_nats for trade_off, _ in read])
    critical = np.array([_value(trade_off) for trade_off, _ in read])
    clusters = [f"{trade_off.non_embedding_params}/{number}" for number, (trade_off, _) in enumerate(read)]
    fit = fit_law(CriticalBatch(), {"L": losses}, critical, delta=LEAST_SQUARES, clusters=clusters)
    refused = sum(trade_off.status is not FitStatus.OK for one in found for trade_off in one.trade_offs)
    result = replace(fit.result, left_out={**fit.result.left_out, **({"target refused": refused} if refused else {})})
    if len(read) < MIN_BATCHES:
        reason = f"{len(read)} targets have a B_crit, the law needs {MIN_BATCHES}"
        return replace(result, status=FitStatus.TOO_FEW_POINTS, reason=reason, params={}, intervals={}), None
    if not {"alpha_B", "B_star"} <= result.params.keys():
        return replace(result, params={}, intervals={}), None
    fitted = (1.0 / result.params["alpha_B"], float(np.log(result.params["B_star"])))
    samples = _lines(np.log(losses), np.stack([drawn for _, drawn in read], axis=1), fitted)
    return _with_intervals(result, samples)


def _value(trade_off: BatchTradeOff) -> float:
    assert trade_off.critical_batch_tokens is not None, "only trade-offs that may be read get here"
    return trade_off.critical_batch_tokens.value


def _lines(log_losses: Array, log_critical: Array, fitted: tuple[float, float]) -> BatchSamples:
    """Least squares of ln B_crit on ln L in every resample."""
    centred = log_losses - log_losses.mean()
    slope = -(log_critical @ centred) / float((centred**2).sum())
    level = log_critical.mean(axis=1) + slope * log_losses.mean()
    return BatchSamples(log_losses, log_critical, slope, level, fitted)


def _with_intervals(result: FitResult, samples: BatchSamples) -> tuple[FitResult, BatchSamples | None]:
    """The law judged by its resamples: neighbouring targets share runs, so standard errors of points say nothing."""
    low, high = percentile_ends(samples.slope)
    note = "targets share runs: intervals are from resamples of runs"
    if low <= 0.0:
        reason = f"1/alpha_B lies between {low:.2g} and {high:.2g}: B_crit need not change with the loss"
        refused = replace(result, status=FitStatus.NOT_IDENTIFIABLE, reason=reason, params={}, intervals={})
        return refused, None
    levels = np.exp(percentile_ends(samples.level))
    intervals = {
        "alpha_B": Interval(result.params["alpha_B"], 1.0 / float(high), 1.0 / float(low), method=METHOD),
        "B_star": Interval(result.params["B_star"], float(levels[0]), float(levels[1]), method=METHOD),
    }
    judged = replace(result, status=FitStatus.OK, reason="", intervals=intervals, notes=(*result.notes, note))
    return judged, samples


def _notes(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    notes = ["B, E and B_crit count input tokens; S counts steps after which a loss was first reached"]
    schedules = {_schedule(run) for run in runs} - {"", "constant"}
    if schedules:
        notes.append(
            f"the schedule is {', '.join(sorted(schedules))}, so that losses before the end are mid-schedule: a run "
            "planned to end there would be lower"
        )
    return tuple(notes)


def _schedule(run: RunRecord) -> str:
    """The kind of learning-rate schedule; empty where the record does not say."""
    training = run.details.get("identity", {}).get("training", {})
    return str(training.get("schedule", {}).get("kind", ""))
