"""The law of the envelope of learning curves: a slope of learning, most of whose points are mid-schedule.

It stands beside the law of finished runs, named for what it is; the multiplier is not read from it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from archbench.analysis.fitting.common_floor import FlooredLines
from archbench.analysis.frontier.compute_law import fit_compute_law
from archbench.analysis.frontier.reading import Form, LineFrontier, Reading
from archbench.analysis.frontier.resampled_laws import PowerLaws, fit_lines
from archbench.analysis.frontier.resamples import Draws, Frontiers, Sample
from archbench.analysis.significance import spread_interval
from archbench.results.fits import FitResult, FitStatus, FrontierPoint
from archbench.results.runs import CostAxis

_RESAMPLES = 250
"""Of an interval that nothing is tested by; resampling envelopes takes most of a study's time."""


def learning_law(
    frontiers: Frontiers, points: Sequence[FrontierPoint], draws: Draws, axis: CostAxis
) -> tuple[FitResult, PowerLaws]:
    """L(C) without floor of the envelope's points, and that of each resample [R]."""
    law = fit_compute_law(
        np.array([point.cost for point in points]),
        np.array([point.loss_nats for point in points]),
        floor="none",
        clusters=np.array([point.size_index for point in points]),
        cost_axis=axis,
    )
    sample = Sample.of(frontiers, draws.first(_RESAMPLES))
    lines = fit_lines(sample.log_cost, sample.log_loss, sample.weights)
    if law.status is not FitStatus.OK:
        return law, lines
    known = 1.0 if np.isfinite(lines.alpha).any() else 0.0
    interval = spread_interval(law.params["alpha_C"], lines.alpha, known)
    return replace(law, intervals={"alpha_C": interval}), lines


def learning_reading(
    names: Sequence[str], laws: Sequence[tuple[FitResult, PowerLaws]], spans: Sequence[tuple[float, float]]
) -> Reading | None:
    """Contenders by the laws of their learning curves; None where one may not be read."""
    if any(law.status is not FitStatus.OK for law, _ in laws):
        return None
    frontiers, exponents = [], []
    for law, lines in laws:
        alpha = np.append(law.params["alpha_C"], lines.alpha)[:, None]
        amplitude = np.append(law.params["ln_A"], lines.log_amplitude)[:, None]
        nothing = np.zeros(len(alpha))
        frontiers.append(LineFrontier(FlooredLines(amplitude, alpha, nothing, nothing), 0))
        exponents.append(alpha)
    freedom = float(min(law.points_used for law, _ in laws))
    return Reading(
        Form.LEARNING_CURVES,
        "",
        tuple(names),
        tuple(frontiers),
        tuple(spans),
        freedom,
        exponents=np.concatenate(exponents, axis=1),
    )
