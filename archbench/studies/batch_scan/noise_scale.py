"""The gradient noise scale of runs that measured it, beside B_crit of a batch scan.

Legend: G gradient without noise, Sigma covariance of the gradient of one token, B_simple = tr Sigma/|G|² (tokens),
L validation loss (nats per predicted token).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtrit

from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.fitting.huber import LEAST_SQUARES
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.residual_bootstrap import with_residual_intervals
from archbench.analysis.laws.kaplan import CriticalBatch
from archbench.results.fits import FitResult, FitStatus, Interval
from archbench.results.runs import NoiseMeasurement, RunRecord
from archbench.results.studies import StudyComparison
from archbench.studies.batch_scan.analysis import BatchSamples
from archbench.studies.batch_scan.results import NoiseScaleStudy, NoiseScaleWindow
from archbench.studies.points import about
from archbench.studies.single_law import compared

WINDOWS = 8
"""Of one run at most."""
MIN_MEASUREMENTS = 4
"""In a window: a ratio of two means needs an idea of their spread."""
AGREEMENT_FACTOR = 3.0
"""Noise scale and batch scan are said to agree within this factor, set before any was measured: McCandlish et al. 2018
find B_simple within an order of magnitude of B_crit, Kaplan et al. 2020 (figure 10) about within a factor of three."""
METHOD_RATIO = "fieller-t"
_NOTES = (
    "B_simple takes the curvature to be the same in all directions; it need not equal B_crit",
    f"said to agree within a factor of {AGREEMENT_FACTOR:g}",
)


def study_noise(
    contender: str, runs: Sequence[RunRecord], batch: BatchSamples | None = None, *, seed: int = 0
) -> NoiseScaleStudy:
    """Windows of all runs of `contender` that measured their noise, and B_simple(L) through them."""
    measured = sorted(
        (run for run in runs if run.usable and run.noise_scale),
        key=lambda run: (run.non_embedding_params, run.batch_tokens, run.seed, run.run_id),
    )
    # A run that several studies share is one run.
    unique = list({run.run_id: run for run in measured}.values())
    windows = tuple(window for run in unique for window in noise_windows(run))
    law = _law(windows, seed)
    return NoiseScaleStudy(
        **about("noise_scale", contender, runs, used=len(unique), left_out={}, notes=_NOTES),
        windows=windows,
        law=law,
        agreement=_agreement(contender, windows, batch, np.random.default_rng((seed, 4))),
    )


def noise_windows(run: RunRecord) -> list[NoiseScaleWindow]:
    """Neighbouring measurements of `run` after warm-up, in windows evenly spaced in the logarithm of tokens."""
    warm = [point.step for point in run.curve if point.in_warmup]
    kept = [one for one in run.noise_scale if one.step > max(warm, default=0)]
    if not kept:
        return []
    count = min(WINDOWS, max(1, len(kept) // MIN_MEASUREMENTS))
    logs = np.log([one.tokens for one in kept])
    edges = np.linspace(logs[0], logs[-1], count + 1)[1:-1]
    groups: list[list[NoiseMeasurement]] = [[] for _ in range(count)]
    for one, index in zip(kept, np.searchsorted(edges, logs, side="right"), strict=True):
        groups[int(index)].append(one)
    return [_window(run, group) for group in _merged(groups)]


def _merged(groups: Sequence[list[NoiseMeasurement]]) -> list[list[NoiseMeasurement]]:
    """Groups joined with the next one until each holds enough; what is left at the end joins the last."""
    result: list[list[NoiseMeasurement]] = []
    waiting: list[NoiseMeasurement] = []
    for group in groups:
        waiting = [*waiting, *group]
        if len(waiting) >= MIN_MEASUREMENTS:
            result.append(waiting)
            waiting = []
    if waiting and result:
        result[-1] = [*result[-1], *waiting]
    elif waiting:
        result.append(waiting)
    return result


def _window(run: RunRecord, group: Sequence[NoiseMeasurement]) -> NoiseScaleWindow:
    squared = np.array([one.gradient_squared for one in group])
    trace = np.array([one.trace_covariance for one in group])
    tokens = float(np.exp(np.log([one.tokens for one in group]).mean()))
    blank = NoiseScaleWindow(
        run_id=run.run_id,
        non_embedding_params=run.non_embedding_params,
        batch_tokens=run.batch_tokens,
        tokens=tokens,
        loss_nats=_loss_at(run, tokens),
        gradient_squared=float(squared.mean()),
        trace_covariance=float(trace.mean()),
        measurements=len(group),
        status=FitStatus.OK,
        reason="",
    )
    if len(group) < MIN_MEASUREMENTS:
        reason = f"{len(group)} measurements; a window needs {MIN_MEASUREMENTS}"
        return replace(blank, status=FitStatus.TOO_FEW_POINTS, reason=reason)
    interval = ratio_interval(trace, squared)
    if interval is None:
        reason = "|G|² is not told from 0: the noise hides the gradient; measure more often, or at a larger batch"
        return replace(blank, status=FitStatus.NOT_IDENTIFIABLE, reason=reason)
    return replace(blank, noise_scale_tokens=interval)


def ratio_interval(above: Array, below: Array, level: float = 0.95) -> Interval | None:
    """Mean of `above` over mean of `below`, paired, with Fieller's interval (1954); None where `below` may be 0.

    A ratio of means is skewed where the lower mean is uncertain, which the interval of its logarithm would not show.
    """
    count = len(above)
    quantile = float(stdtrit(count - 1, 0.5 + level / 2))
    top, bottom = float(above.mean()), float(below.mean())
    covariance = np.cov(above, below) / count
    square = quantile**2
    a = bottom**2 - square * covariance[1, 1]
    b = top * bottom - square * covariance[0, 1]
    c = top**2 - square * covariance[0, 0]
    root = b * b - a * c
    if a <= 0.0 or bottom <= 0.0 or top <= 0.0 or root < 0.0:
        return None
    low, high = (b - np.sqrt(root)) / a, (b + np.sqrt(root)) / a
    return Interval(top / bottom, float(max(low, 0.0)), float(high), level, METHOD_RATIO)


def _loss_at(run: RunRecord, tokens: float) -> float:
    points = [point for point in run.curve if point.tokens > 0 and point.validation_loss_nats > 0]
    return float(
        np.exp(
            np.interp(
                np.log(tokens),
                np.log([point.tokens for point in points]),
                np.log([point.validation_loss_nats for point in points]),
            )
        )
    )


def _law(windows: Sequence[NoiseScaleWindow], seed: int) -> FitResult:
    """B_simple(L) by least squares on ln B: windows do not share measurements, so each is one observation."""
    read = [window for window in windows if window.noise_scale_tokens is not None]
    losses = np.array([window.loss_nats for window in read])
    values = np.array([window.noise_scale_tokens.value for window in read if window.noise_scale_tokens is not None])
    fit = fit_law(CriticalBatch(), {"L": losses}, values, delta=LEAST_SQUARES)
    judged, _ = with_residual_intervals(fit, seed=seed)
    refused = len(windows) - len(read)
    left_out = {**judged.result.left_out, **({"window refused": refused} if refused else {})}
    return replace(judged.result, left_out=left_out)


def _agreement(
    contender: str,
    windows: Sequence[NoiseScaleWindow],
    batch: BatchSamples | None,
    generator: np.random.Generator,
) -> StudyComparison | None:
    """Geometric mean of B_simple over the scan's B_crit(L) in the windows at losses that the scan covers.

    None without two such windows. The interval holds the windows' spread about the mean and the scan's resamples.
    """
    if batch is None:
        return None
    low, high = batch.log_losses.min(), batch.log_losses.max()
    read = [
        (float(np.log(window.loss_nats)), float(np.log(window.noise_scale_tokens.value)))
        for window in windows
        if window.noise_scale_tokens is not None and low <= np.log(window.loss_nats) <= high
    ]
    if len(read) < 2:
        return None
    log_loss, log_scale = np.array(read).T
    ratios = log_scale - batch.estimate_at(log_loss)
    error = float(ratios.std(ddof=1)) / np.sqrt(len(ratios))
    scan = batch.log_critical_at(log_loss).mean(axis=1)
    drawn = log_scale.mean() - scan + error * generator.standard_t(len(ratios) - 1, len(scan))
    losses = np.exp([log_loss.min(), log_loss.max()])
    at = f"{losses[0]:.3g} to {losses[1]:.3g} nats"
    scan_name, quantity = "B_crit of the batch scan", "noise scale over B_crit"
    return compared(scan_name, contender, quantity, at, float(ratios.mean()), drawn)
