"""A contender's frontier under another law or objective: the same points and resamples, fitted again."""

from collections.abc import Sequence
from dataclasses import replace

from archbench.analysis.comparison.compare import Contender, centred_interval
from archbench.analysis.fitting.fit import HOFFMANN_DELTA, Floor
from archbench.analysis.fitting.huber import LEAST_SQUARES
from archbench.analysis.frontier.compute_law import fit_compute_law
from archbench.analysis.frontier.resampled_laws import PowerLaws, fit_floors, fit_huber_lines
from archbench.analysis.frontier.resamples import Sample
from archbench.results.fits import FitResult, FitStatus


def _with_law(one: Contender, law: FitResult, lines: PowerLaws) -> Contender:
    """`one` as if `law` were its law and `lines` the same law of each resample."""
    if law.status is FitStatus.OK:
        found = centred_interval(law.params["alpha_C"], lines.alpha, method=one.draws.method)
        law = replace(law, intervals={"alpha_C": found})
    return replace(one, result=replace(one.result, law=law), lines=lines)


def _refitted(one: Contender, *, floor: Floor = "none", delta: float = LEAST_SQUARES) -> FitResult:
    """The law of one's frontier points by other conventions; the study's refusals stand."""
    stated = one.result.law
    if stated.status is FitStatus.TOO_FEW_SIZES:
        return stated
    points = one.result.points
    fit = fit_compute_law(
        [point.cost for point in points],
        [point.loss_nats for point in points],
        floor=floor,
        clusters=[point.size_index for point in points],
        cost_axis=stated.cost_axis,
        delta=delta,
    )
    return replace(fit, left_out={**one.curves.left_out, **fit.left_out})


def with_floor(one: Contender, floor: Floor) -> Contender:
    """`one` with the law L = E + (C_c/C)^alpha_C, its floor free or pinned at a number of nats."""
    stated = one.result.law_with_floor
    if floor == "free" and stated.floor == "free" and stated.status is not FitStatus.TOO_FEW_SIZES:
        # The study has fitted it already.
        return _with_law(one, stated, one.floors or one.lines)
    law = _refitted(one, floor=floor)
    if law.status is not FitStatus.OK:
        return _with_law(one, law, one.lines)
    sample = Sample.of(one.frontiers, one.draws)
    lines = fit_floors(
        sample.log_cost,
        sample.log_loss,
        sample.weights,
        alpha=law.params["alpha_C"],
        log_amplitude=law.params["ln_A"],
        floor_nats=law.params["E"],
        floor="free" if floor == "free" else "pinned",
    )
    return _with_law(one, law, lines)


def with_pinned_floors(base: Sequence[Contender], free: Sequence[Contender], share: float) -> list[Contender]:
    """Each contender with its floor pinned at 1 + `share` times its free one; refused where that is not identified."""
    made = []
    for one, floored in zip(base, free, strict=True):
        law = floored.result.law
        if law.status is not FitStatus.OK:
            refused = replace(law, reason="there is no free floor to pin it at", params={}, intervals={})
            made.append(_with_law(one, refused, one.lines))
            continue
        pinned = law.params["E"] * (1 + share)
        lowest = min(point.loss_nats for point in one.result.points)
        if pinned >= lowest:
            reason = f"a floor of {pinned:.4g} nats lies above the lowest loss, {lowest:.4g} nats"
            refused = replace(law, status=FitStatus.NOT_IDENTIFIABLE, reason=reason, params={}, intervals={})
            made.append(_with_law(one, refused, one.lines))
            continue
        made.append(with_floor(one, pinned))
    return made


def with_huber(one: Contender) -> Contender:
    """`one` fitted by Huber's loss with the delta of Hoffmann et al. 2022."""
    law = _refitted(one, delta=HOFFMANN_DELTA)
    sample = Sample.of(one.frontiers, one.draws)
    lines = fit_huber_lines(sample.log_cost, sample.log_loss, sample.weights, delta=HOFFMANN_DELTA)
    return _with_law(one, law, lines)
