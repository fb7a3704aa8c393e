"""L(N,S) from learning curves at constant batch, and the best use of compute (Kaplan et al. 2020, sections 5 and 6).

Legend: N parameters without embeddings, S steps, S_min steps at a batch far above critical, B batch (tokens), C compute
6·N·B·S (FLOPs), C_min compute at a batch far below critical, L loss (nats), B_crit critical batch (tokens); alpha_N,
alpha_S, alpha_B, alpha_C exponents; R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.fitting.huber import LEAST_SQUARES, minimise
from archbench.analysis.fitting.points import clean_points
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.residual_bootstrap import METHOD, redrawn_responses, refit_to, with_residual_intervals
from archbench.analysis.intervals import percentile_interval, percentile_intervals
from archbench.analysis.laws.kaplan import KaplanSizeSteps, minimal_compute, minimal_steps
from archbench.analysis.laws.single import ComputeLaw
from archbench.analysis.planning.isoflop import efficient_points
from archbench.results.fits import FitResult, FitStatus, Interval
from archbench.results.runs import CostAxis, RunRecord
from archbench.results.studies import StudyPoint
from archbench.studies.batch_scan.analysis import BatchSamples
from archbench.studies.learning_curves.results import AllocationCheck, LearningCurveStudy
from archbench.studies.points import about, column, fit_study, study_point, usable
from archbench.studies.settings import MIN_SIZES
from archbench.units import counted

MAX_CURVE_POINTS = 24
"""Of one run: neighbouring points of a long curve say the same."""
NUM_RESAMPLES = 400
"""Each with a B_crit(L) of its own, hence with S_min of its own and a fit by itself."""


@dataclass(frozen=True, slots=True)
class Correction:
    """The B_crit(L) that turns steps into S_min."""

    law: FitResult
    samples: BatchSamples
    source: str


def study_steps(
    study: str,
    contender: str,
    runs: Sequence[RunRecord],
    correction: Correction | None,
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> LearningCurveStudy:
    """L(N,S_min), L(C), L(C_min) and the exponents of the best allocation.

    Without a correction S stands for S_min and nothing that rests on C_min is given: the notes say so.
    """
    kept = usable(runs)
    points = [point for run in kept.runs for point in _curve(run, correction)]
    law, drawn = _step_law(points, correction, num_resamples, seed)
    naive, _ = _compute_law(points, "kaplan_flops", seed)
    minimal, measured = (naive, None) if correction is None else _compute_law(points, "kaplan_flops_min", seed)
    if correction is None:
        minimal = replace(
            naive,
            status=FitStatus.INVALID_DATA,
            reason="C_min needs B_crit: add a batch_scan, or measure the noise scale",
            params={},
            intervals={},
        )
    return LearningCurveStudy(
        **about(
            study, contender, runs, used=len(kept.runs), left_out=kept.left_out, notes=_notes(kept.runs, correction)
        ),
        points=tuple(points),
        critical_batch=correction.law if correction else None,
        critical_batch_source=correction.source if correction else "",
        law=law.result,
        naive_compute_law=naive,
        compute_law=minimal,
        allocation=_allocation(law, drawn, correction, measured),
    )


def _curve(run: RunRecord, correction: Correction | None) -> list[StudyPoint]:
    """The run after warm-up, evenly spaced in the logarithm of steps, with what the correction makes of it."""
    points = [point for point in run.curve if point.step > 0 and not point.in_warmup and point.validation_loss_nats > 0]
    if len(points) > MAX_CURVE_POINTS:
        logs = np.log([point.step for point in points])
        wanted = np.linspace(logs[0], logs[-1], MAX_CURVE_POINTS)
        points = [points[index] for index in np.unique(np.abs(logs[:, None] - wanted[None, :]).argmin(axis=0))]
    found = [study_point(run, point) for point in points]
    if correction is None or not found:
        return found
    critical = np.exp(correction.samples.estimate_at(np.log(column(found, "loss_nats"))))
    batch = np.full(len(found), float(run.batch_tokens))
    steps = minimal_steps(column(found, "steps"), batch, critical)
    flops = minimal_compute(column(found, "kaplan_flops"), batch, critical)
    return [
        replace(point, steps_min=float(s), kaplan_flops_min=float(c))
        for point, s, c in zip(found, steps, flops, strict=True)
    ]


def _step_law(
    points: Sequence[StudyPoint], correction: Correction | None, num_resamples: int, seed: int
) -> tuple[LawFit, dict[str, Array]]:
    """L(N,S_min) with intervals that hold the runs' deviations and what is not known about B_crit."""
    law = KaplanSizeSteps()
    steps = column(points, "steps") if correction is None else column(points, "steps_min")
    fit = fit_study(law, {"N": column(points, "non_embedding_params"), "S": steps}, points, "none")
    sizes = len({point.non_embedding_params for point in points})
    if sizes < MIN_SIZES:
        return fit.refused(FitStatus.TOO_FEW_SIZES, f"{counted(sizes, 'size')}; L(N,S) needs at least {MIN_SIZES}"), {}
    if not fit.ok:
        return fit, {}
    observed = redrawn_responses(fit, num_resamples, np.random.default_rng((seed, 3)))
    if observed is None:
        return fit.with_intervals({}, ["as many parameters as runs: nothing is left to tell the noise"]), {}
    if correction is None:
        params = refit_to(fit, observed).params()
    else:
        params = _refit_with_drawn_batches(fit, observed, points, correction.samples)
    return fit.with_intervals(percentile_intervals(fit.result.params, params, method=METHOD)), params


def _refit_with_drawn_batches(
    fit: LawFit, observed: Array, points: Sequence[StudyPoint], samples: BatchSamples
) -> dict[str, Array]:
    """Each resample corrects its steps by its own B_crit(L) and its own losses."""
    size, steps, batch = (column(points, name) for name in ("non_embedding_params", "steps", "batch_tokens"))
    lower, upper = fit.law.bounds()
    drawn: dict[str, list[float]] = {name: [] for name in fit.result.params}
    for row, log_loss in enumerate(observed):
        which = row % len(samples.slope)
        critical = np.exp(samples.level[which] - samples.slope[which] * log_loss)
        variables = {"N": size, "S": minimal_steps(steps, batch, critical)}
        # The response is fit anew, so that S_min and the loss it is made from belong together.
        cleaned = clean_points(fit.law, variables, np.exp(log_loss))
        end = minimise(
            fit.law.design(cleaned.logs),
            cleaned.observed,
            np.ones((1, len(cleaned.observed))),
            fit.law.internal(fit.result.params, cleaned.centre)[None, :],
            delta=LEAST_SQUARES,
            lower=lower,
            upper=upper,
            tolerance=1e-9,
        )
        for name, value in fit.law.public(end.theta, cleaned.centre).items():
            drawn[name].append(float(value[0]))
    return {name: np.array(values) for name, values in drawn.items()}


def _compute_law(points: Sequence[StudyPoint], cost: str, seed: int) -> tuple[FitResult, Interval | None]:
    """L(C) through the points that no cheaper one undercuts; a size is one cluster, as on frontiers."""
    flops = column(points, cost)
    chosen = efficient_points(flops, column(points, "loss_nats"))
    sizes = [points[index].non_embedding_params for index in chosen]
    fit = fit_law(
        ComputeLaw(),
        {"C": flops[chosen]},
        column(points, "loss_nats")[chosen],
        floor="none",
        delta=LEAST_SQUARES,
        clusters=sizes,
        cost_axis=CostAxis.KAPLAN,
        param_convention="non_embedding",
    )
    if len(set(sizes)) < MIN_SIZES:
        reason = f"{counted(len(set(sizes)), 'size')} ever compute-efficient; the law needs {MIN_SIZES}"
        return fit.refused(FitStatus.TOO_FEW_SIZES, reason).result, None
    judged, _ = with_residual_intervals(fit, seed=seed)
    return judged.result, judged.result.intervals.get("alpha_C")


def _allocation(
    law: LawFit, drawn: dict[str, Array], correction: Correction | None, measured: Interval | None
) -> AllocationCheck | None:
    """Kaplan et al. 2020, eq 6.2 to 6.4; None where one of the three exponents is not known."""
    if correction is None or not drawn or not law.ok:
        return None
    count = len(drawn["alpha_N"])
    slopes = correction.samples.slope[np.arange(count) % len(correction.samples.slope)]
    values = _exponents(*(np.array([x]) for x in _estimates(law, correction)))
    samples = _exponents(drawn["alpha_N"], drawn["alpha_S"], slopes)
    found = [
        percentile_interval(float(value[0]), sample, method=METHOD)
        for value, sample in zip(values, samples, strict=True)
    ]
    return AllocationCheck(found[0], measured, found[1], found[2], found[3])


def _estimates(law: LawFit, correction: Correction) -> tuple[float, float, float]:
    return law.result.params["alpha_N"], law.result.params["alpha_S"], correction.samples.estimate[0]


def _exponents(alpha_n: Array, alpha_s: Array, inverse_alpha_b: Array) -> tuple[Array, Array, Array, Array]:
    """alpha_C, and the exponents of N, B and S against C_min."""
    alpha_c = 1.0 / (1.0 / alpha_n + inverse_alpha_b + 1.0 / alpha_s)
    return alpha_c, alpha_c / alpha_n, alpha_c * inverse_alpha_b, alpha_c / alpha_s


def _notes(runs: Sequence[RunRecord], correction: Correction | None) -> tuple[str, ...]:
    notes = []
    if correction is None:
        notes.append("steps are not corrected to S_min: nothing says what B_crit is")
    else:
        notes.append(f"steps corrected to S_min by the B_crit(L) of {correction.source}")
        losses = [point.validation_loss_nats for run in runs for point in run.curve if not point.in_warmup]
        low, high = np.exp([correction.samples.log_losses.min(), correction.samples.log_losses.max()])
        outside = sum(not low <= loss <= high for loss in losses)
        if outside:
            notes.append(
                f"{outside} of {len(losses)} points lie outside the losses at which B_crit was measured "
                f"({low:.3g} to {high:.3g} nats)"
            )
    budgets = sorted({run.batch_tokens for run in runs})
    if len(budgets) > 1:
        notes.append("batches differ between runs; each is corrected by its own")
    return tuple(notes)
