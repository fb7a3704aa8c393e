"""The law of the envelope of learning curves: a slope of learning, most of whose points are mid-schedule.

It stands beside the law of finished runs, named for what it is; the multiplier is not read from it.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.fitting.common_floor import FlooredLines
from archbench.analysis.frontier.compute_law import fit_compute_law
from archbench.analysis.frontier.curves import CurveSet
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.frontier import frontier_points
from archbench.analysis.frontier.plateau import points_beyond_plateau
from archbench.analysis.frontier.reading import Form, LineFrontier, Reading
from archbench.analysis.frontier.resampled_laws import PowerLaws, fit_lines
from archbench.analysis.frontier.resamples import CurveStack, Draws, EnvelopeSample
from archbench.analysis.significance import spread_interval
from archbench.results.fits import FitResult, FitStatus

_RESAMPLES = 250
"""Of an interval that nothing is tested by; resampling envelopes takes most of a study's time."""


@dataclass(frozen=True, slots=True)
class LearningLaw:
    """L(C) without floor of one envelope of learning curves."""

    result: FitResult
    lines: PowerLaws
    """[R]: that of each resample."""
    span: tuple[float, float]
    """ln C of the first and of the last point that it was read from."""


def learning_law(stack: CurveStack, draws: Draws, finished: FinishedRuns) -> LearningLaw:
    """The law of the envelope of a contender's learning curves, `stack`, whose runs ended as `finished`.

    What lies on the plateau is left out: curves that end there, and of the others the points on the way. Refused where
    finished runs are, for the plateau.
    """
    stack, draws = _beyond_plateau(stack, draws, finished)
    points = frontier_points(stack)
    law = fit_compute_law(
        np.array([point.cost for point in points]),
        np.array([point.loss_nats for point in points]),
        floor="none",
        clusters=np.array([point.size_index for point in points]),
        cost_axis=finished.axis,
    )
    sample = EnvelopeSample.of(stack, draws.first(_RESAMPLES))
    lines = fit_lines(sample.log_cost, sample.log_loss, sample.weights)
    span = (float(np.log(points[0].cost)), float(np.log(points[-1].cost)))
    if reason := finished.law_refusal:
        law = replace(law, status=FitStatus.ON_PLATEAU, reason=reason, params={}, intervals={})
    if law.status is not FitStatus.OK:
        return LearningLaw(law, lines, span)
    known = 1.0 if np.isfinite(lines.alpha).any() else 0.0
    interval = spread_interval(law.params["alpha_C"], lines.alpha, known)
    return LearningLaw(replace(law, intervals={"alpha_C": interval}), lines, span)


def _beyond_plateau(stack: CurveStack, draws: Draws, finished: FinishedRuns) -> tuple[CurveStack, Draws]:
    """The curves beyond the plateau with their draws; all where none is, of which nothing is read then."""
    cut = [points_beyond_plateau(curve) for curve in stack.curves]
    kept = [number for number, curve in enumerate(cut) if curve is not None]
    if not kept or all(map(operator.is_, cut, stack.curves)):
        return stack, draws
    curves = CurveSet(finished.contender, finished.axis, tuple(curve for curve in cut if curve is not None))
    return CurveStack.of(curves), Draws(draws.log_shift[:, kept], draws.counts[:, kept], draws.method)


def learning_reading(names: Sequence[str], laws: Sequence[LearningLaw]) -> Reading | None:
    """Contenders by the laws of their learning curves; None where one may not be read."""
    if any(one.result.status is not FitStatus.OK for one in laws):
        return None
    frontiers, exponents = [], []
    for one in laws:
        alpha = np.append(one.result.params["alpha_C"], one.lines.alpha)[:, None]
        amplitude = np.append(one.result.params["ln_A"], one.lines.log_amplitude)[:, None]
        nothing = np.zeros(len(alpha))
        frontiers.append(LineFrontier(FlooredLines(amplitude, alpha, nothing, nothing), 0))
        exponents.append(alpha)
    freedom = float(min(one.result.points_used for one in laws))
    return Reading(
        Form.LEARNING_CURVES,
        "",
        tuple(names),
        tuple(frontiers),
        tuple(one.span for one in laws),
        freedom,
        exponents=np.concatenate(exponents, axis=1),
    )
