"""Laws of one contender of a scan, ready to forecast and to plan by: L(C) on its frontier, L(N,D) on its runs.

Legend: C compute (FLOPs), N parameters without embeddings, D tokens, L loss (nats).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.fit import Floor, LawFit, fit_law
from archbench.analysis.frontier.curves import log_spaced, mean_curves
from archbench.analysis.frontier.finished import MIN_SIZES, FinishedRuns
from archbench.analysis.frontier.plateau import runs_beyond_plateau
from archbench.analysis.laws.base import Law
from archbench.analysis.laws.chinchilla import Chinchilla, SharedExponent
from archbench.analysis.laws.single import ComputeLaw
from archbench.analysis.planning.allocation import SIX_N_D, CostModel
from archbench.results.fits import FitStatus
from archbench.results.reference_lines import is_on_plateau
from archbench.results.runs import CostAxis, RunRecord
from archbench.units import counted

FINISHED = "finished runs"
"""What a law was fitted to where no point in mid-schedule is among them."""
_CURVE_POINTS = 64
"""Of one run in L(N,D): neighbouring points of a long curve say the same."""


@dataclass(frozen=True, slots=True)
class ScanFit:
    """A law of one contender."""

    fit: LawFit
    floor: Floor
    points: str
    """Which points it was fitted to, in words."""


def cost_model(records: Sequence[RunRecord], axis: CostAxis) -> CostModel:
    """A token's cost at each size: 6·N on the `kaplan` axis; on `exact` a power of N through the runs' own FLOPs."""
    sizes = np.array([record.non_embedding_params for record in records], dtype=float)
    if axis is CostAxis.KAPLAN or len(np.unique(sizes)) < 2:
        return SIX_N_D
    per_token = np.array([record.curve[-1].exact_flops / record.curve[-1].tokens for record in records])
    power, level = np.polyfit(np.log(sizes), np.log(per_token), 1)
    return CostModel(float(np.exp(level)), float(power))


def finished_runs(records: Sequence[RunRecord], contender: str) -> tuple[RunRecord, ...]:
    """The contender's runs that may enter a fit."""
    return tuple(
        record for record in records if record.contender == contender and record.usable and record.curve[-1].tokens > 0
    )


def frontier_law(records: Sequence[RunRecord], contender: str, axis: CostAxis) -> ScanFit:
    """L(C) of the finished runs that reports read it from, with a floor where their own test finds one in the data."""
    curves = mean_curves(contender, records, axis)
    finished = FinishedRuns.of(curves)
    cells = finished.on_frontier()[0]
    cost = np.exp(np.repeat(cells.log_cost, cells.num_runs))
    loss = np.exp(np.concatenate([np.empty(0), *cells.losses]))

    def fitted(floor: Floor) -> LawFit:
        fit = fit_law(ComputeLaw(), {"C": cost}, loss, floor=floor, cost_axis=axis)
        if finished.law_refusal:
            return fit.refused(FitStatus.ON_PLATEAU, finished.law_refusal)
        if curves.num_sizes < MIN_SIZES:
            reason = f"{counted(curves.num_sizes, 'size')} finished; a frontier needs at least {MIN_SIZES}"
            return fit.refused(FitStatus.TOO_FEW_SIZES, reason)
        return fit

    words = f"{counted(len(loss), 'finished run')} on the frontier"
    free = fitted("free")
    return ScanFit(free, "free", words) if free.ok else ScanFit(fitted("none"), "none", words)


def is_grid(records: Sequence[RunRecord], contender: str, axis: CostAxis) -> bool:
    """Whether the contender's finished runs have several budgets a size, or several sizes a budget."""
    curves = mean_curves(contender, records, axis)
    return bool(curves.curves) and FinishedRuns.of(curves).is_grid


def joint_law(records: Sequence[RunRecord], contender: str) -> ScanFit:
    """L(N,D): the first of four fits that may be read, else the one that came nearest to it.

    Finished runs are asked before learning curves, whose points are in mid-schedule, and the law with two exponents
    before the one with a shared exponent. The points of one curve together weigh as one run. What ends on the
    plateau is left out, and so is what the curves of others have there.
    """
    runs = finished_runs(records, contender)
    beyond = runs_beyond_plateau(runs, [run.final_loss_nats or 0.0 for run in runs])
    tried = [
        ScanFit(_joint(law, beyond, len(runs) - len(beyond), finished_only=finished), "free", words)
        for finished, words in ((True, FINISHED), (False, "learning curves, mid-schedule points among them"))
        for law in (Chinchilla(), SharedExponent())
    ]
    return next((one for one in tried if one.fit.ok), tried[2])


def _joint(law: Law, runs: Sequence[RunRecord], on_plateau: int, *, finished_only: bool) -> LawFit:
    """`law` of `runs`, of which `on_plateau` more are left out."""
    rows = [
        (number, run.non_embedding_params, tokens, loss)
        for number, run in enumerate(runs)
        for tokens, loss in (_end(run) if finished_only else _on_the_way(run))
    ]
    number, size, tokens, loss = np.array(rows, dtype=float).reshape(-1, 4).T
    weights = 1.0 / np.bincount(number.astype(int), minlength=1)[number.astype(int)]
    variables = {"N": size, "D": tokens}
    conventions = {str(run.details.get("param_convention", "non_embedding")) for run in runs}
    fit = fit_law(law, variables, loss, weights=weights, clusters=number, param_convention=", ".join(conventions))
    if (sizes := len(np.unique(size))) < MIN_SIZES and on_plateau:
        reason = f"{counted(sizes, 'size')} beyond the plateau; the law needs at least {MIN_SIZES}"
        return fit.refused(FitStatus.ON_PLATEAU, reason)
    if sizes < MIN_SIZES:
        return fit.refused(
            FitStatus.TOO_FEW_SIZES, f"{counted(sizes, 'size')} finished; the law needs at least {MIN_SIZES}"
        )
    return fit


def _end(run: RunRecord) -> list[tuple[int, float]]:
    """Tokens and loss of the finished run."""
    loss = run.final_loss_nats
    return [] if loss is None else [(run.curve[-1].tokens, loss)]


def _on_the_way(run: RunRecord) -> list[tuple[int, float]]:
    """Tokens and loss on the curve's own text after warm-up, at most `_CURVE_POINTS`, log-spaced, with the last.

    What lies on the plateau is left out: lines are of the final loss' text, where the curve is scaled to end.
    """
    scale = (run.final_loss_nats or 0.0) / run.curve[-1].validation_loss_nats
    kept = [
        (point.tokens, point.validation_loss_nats)
        for point in run.curve
        if point.tokens > 0
        and not point.in_warmup
        and not is_on_plateau(scale * point.validation_loss_nats, run.reference_lines)
    ]
    return [kept[index] for index in log_spaced([tokens for tokens, _ in kept], _CURVE_POINTS)]
