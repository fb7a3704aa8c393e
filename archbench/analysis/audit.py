"""The sensitivity table of a law: what becomes of its parameters when one convention of the fit is changed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting import HOFFMANN_DELTA, Floor, LawFit, fit_law
from archbench.analysis.laws.base import Law
from archbench.analysis.power_sum import Array
from archbench.analysis.tables import RunTable
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
    delta: float = HOFFMANN_DELTA,
    alternatives: Mapping[str, Mapping[str, Array]] | None = None,
) -> tuple[AuditRow, ...]:
    """`law` fitted to `table` as asked, and with one thing changed at a time.

    alternatives: label -> variables that replace those of the table, for example `N with embeddings` or `exact FLOPs`.
    """
    variables, response = table.inputs(law)

    def row(variant: str, chosen: np.ndarray | None = None, **changes: object) -> AuditRow:
        rows = np.ones(len(table), dtype=bool) if chosen is None else chosen
        options: dict[str, object] = {"floor": floor, "delta": delta, "variables": variables} | changes
        inputs = options.pop("variables")
        assert isinstance(inputs, Mapping)
        fit = fit_law(
            law,
            {name: inputs[name][rows] for name in law.variables},
            response[rows],
            floor=options["floor"],  # type: ignore[arg-type]
            delta=float(str(options["delta"])),
            clusters=table.clusters[rows],
        )
        return AuditRow(variant, fit.result)

    rows = [row("as fitted")]
    if law.floor is not None:
        rows += [row("floor free", floor="free"), row("no floor", floor="none")]
        free = rows[1].result
        if free.status is FitStatus.OK:
            rows += [row(f"floor pinned {share:+.0%}", floor=free.params["E"] * (1 + share)) for share in (-0.1, 0.1)]
    rows += [row("least squares", delta=float("inf")), row("huber delta 1e-4", delta=1e-4)]
    if not table.finished.all():
        rows.append(row("finished points only", chosen=table.finished))
    sizes = table.values.get("N", variables[law.variables[0]])
    rows.append(row("without the largest size", chosen=sizes < np.nanmax(sizes)))
    rows.append(row("without the smallest size", chosen=sizes > np.nanmin(sizes)))
    for label, other in (alternatives or {}).items():
        rows.append(row(label, variables=variables | dict(other)))
    return tuple(rows)


def ordering_of(fit: LawFit) -> Array:
    """What the back-test holds out by: the logarithm of the law's first variable, at each kept point."""
    logs = fit.points.logs + fit.points.centre[:, None]
    return np.asarray(np.round(logs[0], 9))
