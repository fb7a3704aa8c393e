"""The laws of transfer fitted to a study's cells: D_T(D_F,N), the unified law, and their intervals.

D_T is fitted by least squares on ln D_T, each point weighted by the inverse variance that run-to-run noise gives it:
the error of D_T = D_E - D_F is a few per cent where D_E is large, and unbounded where D_E is near D_F. Intervals repeat
the fit on resamples of that noise, in which neighbouring points share the curve from scratch; they are widened by the
square root of chi² per degree of freedom where that is above 1, as particle physics does (Birge 1932), so that a law
which does not describe the points well is not called certain.

Legend: D_F fine-tuning tokens, D_E effective data, D_T = D_E - D_F, N parameters, L loss, R resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from archbench.analysis.fitting.bootstrap import bootstrap_law
from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.fitting.huber import LEAST_SQUARES
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.intervals import percentile_intervals
from archbench.analysis.laws.transfer import DataTransferred, UnifiedTransfer
from archbench.analysis.laws.transfer_given_scratch import TransferGivenScratch
from archbench.results.fits import FitStatus
from archbench.studies.transfer.cells import Cell
from archbench.studies.transfer.effective_data import METHOD, Effective
from archbench.studies.transfer.results import Censoring
from archbench.studies.transfer.weighted_fit import fit_cells

_LEAST_CERTAIN = 2.0
"""A point enters where D_T is at least so many standard deviations above 0: below, its logarithm says nothing."""
_OUTSIDE = "outside the low-data regime"


def fit_transfer_law(cells: Sequence[Effective], is_low: Callable[[Cell], bool] | None) -> tuple[LawFit, Array]:
    """D_T = k·D_F^alpha·N^beta on the cells in the low-data regime, and theta of each resample, [R, 3].

    is_low: None takes every cell. Censored cells, those without transfer and those outside the regime are counted.
    """
    left_out: dict[str, int] = {}
    used = []
    for one in cells:
        reason = _why_left_out(one, is_low)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            used.append(one)
    errors = np.array([_log_error(one) for one in used])
    known = bool(len(used)) and bool(np.isfinite(errors).all()) and bool((errors > 0).all())
    weights = errors.min() ** 2 / errors**2 if known else np.ones(len(used))
    tokens = np.array([one.cell.tokens for one in used], dtype=float)
    fit = fit_law(
        DataTransferred(),
        {"D_F": tokens, "N": [one.cell.non_embedding_params for one in used]},
        [float(np.exp(one.log_effective)) - one.cell.tokens for one in used],
        delta=LEAST_SQUARES,
        weights=weights,
        clusters=list(range(len(used))),
        param_convention="non_embedding",
    )
    result = replace(fit.result, left_out={**fit.result.left_out, **left_out})
    fit = replace(fit, result=result)
    if not used and left_out:
        words = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        return fit.refused(FitStatus.TOO_FEW_POINTS, f"no point may enter: {words}"), np.empty((0, 3))
    if not fit.ok:
        return fit, np.empty((0, 3))
    if not known:
        return fit.with_intervals({}, ["run-to-run noise is not known: no intervals"]), np.empty((0, 3))
    return _with_intervals(fit, used, errors)


def _why_left_out(one: Effective, is_low: Callable[[Cell], bool] | None) -> str:
    if is_low is not None and not is_low(one.cell):
        return _OUTSIDE
    if one.censored is not Censoring.NONE:
        return f"D_E censored {one.censored.value}"
    if one.log_multiplier <= 0:
        return "D_T not positive"
    certain = one.draws is None or _log_error(one) * _LEAST_CERTAIN <= 1.0  # an error without end is not certain
    return "" if certain else "D_T not told from 0"


def _log_error(one: Effective) -> float:
    """Standard deviation of ln D_T by run-to-run noise, NaN or infinite where that is not known.

    From the quartiles of the draws of ln D_E, which censored draws do not move, by the delta method.
    """
    if one.draws is None:
        return float("nan")
    low, high = np.quantile(one.draws, [0.1587, 0.8413], method="inverted_cdf")
    share = 1.0 - float(np.exp(-one.log_multiplier))
    if not share > 0:
        return float("inf")
    return float((high - low) / 2.0 / share)


def _with_intervals(fit: LawFit, used: Sequence[Effective], errors: Array) -> tuple[LawFit, Array]:
    theta = _refits(fit, used)
    freedom = len(used) - fit.num_free
    chi2 = float(((fit.residuals() / errors) ** 2).sum())
    widening = float(np.sqrt(max(1.0, chi2 / freedom))) if freedom > 0 else 1.0
    theta = fit.theta + widening * (theta - fit.theta)
    drawn = fit.law.public(theta, fit.points.centre)
    notes = [f"chi² per degree of freedom {chi2 / freedom:.2g}" if freedom > 0 else "as many points as parameters"]
    if widening > 1.0:
        notes.append(f"the law misses its points by more than run-to-run noise: intervals widened {widening:.2g}-fold")
    intervals = percentile_intervals(fit.result.params, drawn, method=METHOD)
    return fit.with_intervals(intervals, notes), theta


def _refits(fit: LawFit, used: Sequence[Effective]) -> Array:
    """Weighted least squares in logarithms on each resample, [R, 3]; points that it censors or turns round drop out."""
    log_tokens = np.log([one.cell.tokens for one in used])
    drawn = np.stack([one.draws for one in used if one.draws is not None], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = drawn + np.log1p(-np.exp(log_tokens - drawn))
    good = np.isfinite(observed)
    design = fit.law.terms(fit.points.logs)[0]
    weights = np.where(good, fit.points.weights, 0.0)
    gram = np.einsum("rn,np,nq->rpq", weights, design, design)
    right = np.einsum("rn,np,rn->rp", weights, design, np.where(good, observed, 0.0))
    theta = np.full((len(drawn), 3), np.nan)
    solvable = np.linalg.cond(gram) < 1e12
    theta[solvable] = np.linalg.solve(gram[solvable], right[solvable][:, :, None])[:, :, 0]
    return theta


def fit_unified_law(cells: Sequence[Cell], is_low: Callable[[Cell], bool] | None, seed: int, resamples: int) -> LawFit:
    """The unified law of Hernandez et al. 2021, eq 4.1, on the losses of fine-tuned cells in the low-data regime."""
    used = [cell for cell in cells if is_low is None or is_low(cell)]
    fit = fit_cells(UnifiedTransfer(), used, tokens="D_F")
    return with_bootstrap(_without_outside(fit, len(cells) - len(used)), seed, resamples)


def fit_given_scratch(
    cells: Sequence[Cell], joint: LawFit, is_low: Callable[[Cell], bool], seed: int, resamples: int
) -> LawFit | None:
    """k, alpha and beta of the unified law with L(N,D) from scratch as it was fitted; None where that was refused.

    Intervals resample the fine-tuned cells alone: they hold no error of L(N,D).
    """
    used = [cell for cell in cells if is_low(cell)]
    if not joint.ok or not used:
        return None
    scratch = joint.result.params
    centre = float(np.log([cell.non_embedding_params for cell in used]).mean())
    fit = fit_cells(TransferGivenScratch(scratch, centre), used, tokens="D_F", root=scratch["alpha_D"])
    return with_bootstrap(_without_outside(fit, len(cells) - len(used)), seed, resamples)


def _without_outside(fit: LawFit, num_outside: int) -> LawFit:
    """`fit`, with the cells outside the low-data regime that it never saw counted as left out."""
    if not num_outside:
        return fit
    left_out = {**fit.result.left_out, _OUTSIDE: num_outside}
    return replace(fit, result=replace(fit.result, left_out=left_out))


def with_bootstrap(fit: LawFit, seed: int, resamples: int) -> LawFit:
    """`fit` with percentile intervals from a bootstrap over its cells, where it may be read."""
    if fit.result.status is not FitStatus.OK:
        return fit
    samples = bootstrap_law(fit, num_resamples=resamples, seed=seed)
    return fit.with_intervals(percentile_intervals(fit.result.params, samples.params()))
