"""The sensitivity table of a law: what becomes of its parameters when one convention of the fit is changed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.fit import Floor, LawFit, fit_law
from archbench.analysis.fitting.huber import LEAST_SQUARES
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import Law
from archbench.analysis.tables.run_table import RunTable
from archbench.results.fits import FitResult, FitStatus


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One variant of the fit."""

    variant: str
    result: FitResult


def audit_law(
    law: Law,
    table: RunTable,
    *,
    floor: Floor = "free",
    delta: float | None = None,
    log_residuals: bool = True,
    alternatives: Mapping[str, RunTable] | None = None,
) -> tuple[AuditRow, ...]:
    """`law` fitted to `table` as asked, and with one thing changed at a time; nothing is fitted twice.

    alternatives: label -> the same runs by another convention, for example `N with embeddings` or `exact FLOPs`.
    """

    def row(variant: str, source: RunTable = table, *, floor: Floor = floor, delta: float | None = delta) -> AuditRow:
        variables, response = source.inputs(law)
        fit = fit_law(
            law,
            variables,
            response,
            floor=floor,
            delta=delta,
            log_residuals=log_residuals,
            clusters=source.clusters,
        )
        return AuditRow(variant, fit.result)

    rows = [row("as fitted")]
    if law.floor is not None:
        free = rows[0] if floor == "free" else row("floor free", floor="free")
        rows += [] if floor == "free" else [free]
        rows += [] if floor == "none" else [row("no floor", floor="none")]
        if free.result.status is FitStatus.OK:
            level = free.result.params["E"]
            rows += [row(f"floor pinned {share:+.0%}", floor=level * (1 + share)) for share in (-0.1, 0.1)]
    for label, other in (("least squares", LEAST_SQUARES), ("huber delta 1e-3", 1e-3), ("huber delta 1e-4", 1e-4)):
        if other != (law.delta if delta is None else delta):
            rows.append(row(label, delta=other))
    if not table.finished.all():
        rows.append(row("finished points only", table.take(table.finished)))
    variables, _ = table.inputs(law)
    sizes = table.values.get("N", variables[law.variables[0]])
    rows.append(row("without the largest size", table.take(sizes < np.nanmax(sizes))))
    rows.append(row("without the smallest size", table.take(sizes > np.nanmin(sizes))))
    rows += [row(label, other) for label, other in (alternatives or {}).items()]
    return tuple(rows)


def ordering_of(fit: LawFit) -> Array:
    """What the back-test holds out by: the logarithm of the law's first variable, at each kept point."""
    logs = fit.points.logs + fit.points.centre[:, None]
    return np.asarray(np.round(logs[0], 9))
