"""A table of somebody's runs as run records, so that analysis treats them like our own; their origin is stated."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.tables.read import RunTable
from archbench.errors import SpecError
from archbench.results.runs import CurvePoint, RunRecord, RunState
from archbench.units import kaplan_train_flops


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What a table does not say by itself."""

    origin: str
    track: str
    param_convention: str
    """`non_embedding` or `total`."""
    compute_unit: str | None
    """`flops` and `pf-days` fill the exact axis, `seconds` and `gpu-hours` device time; None: no compute column."""


def records_of(table: RunTable, seeds: Array | None, settings: ImportSettings) -> Iterator[RunRecord]:
    """One record for each run of `table`; rows whose loss, N or D is not finite and positive are left out."""
    N, D, L = (table.values[name] for name in ("N", "D", "L"))
    good = np.isfinite(N) & np.isfinite(D) & np.isfinite(L) & (N >= 1) & (D >= 1) & (L > 0)
    if not good.any():
        raise SpecError(f"{settings.origin}: {table.arch}: no row has a positive loss, parameters and tokens")
    sizes = sorted({int(value) for value in N[good]})
    for label in dict.fromkeys(table.clusters[good].tolist()):
        rows = np.flatnonzero(good & (table.clusters == label))
        rows = rows[np.argsort(D[rows], kind="stable")]
        if len({int(N[row]) for row in rows}) > 1:
            raise SpecError(f"{settings.origin}: run {label!r} has several sizes; name the runs by --run or --arch")
        params, seed = int(N[rows[0]]), 0 if seeds is None else int(seeds[rows[0]])
        curve = tuple(_point(table, int(row), params, bool(row == rows[-1]), settings) for row in rows)
        batch = int(D[rows[-1]] / curve[-1].step) if "S" in table.values and curve[-1].step else 0
        yield RunRecord(
            run_id="",
            contender=table.arch,
            architecture=table.arch,
            objective="imported",
            track=settings.track,
            size_index=sizes.index(params),
            non_embedding_params=params,
            embedding_params=0,
            seed=seed,
            batch_tokens=batch,
            planned_tokens=int(D[rows[-1]]),
            unique_tokens=int(D[rows[-1]]),
            state=RunState.DONE,
            curve=curve,
            origin=settings.origin,
            details={"param_convention": settings.param_convention, "run": str(label), "unique_tokens_known": False},
        )


def _point(table: RunTable, row: int, params: int, last: bool, settings: ImportSettings) -> CurvePoint:
    tokens, step = int(table.values["D"][row]), table.values.get("S")
    kaplan = kaplan_train_flops(params, tokens)
    measured = float(table.values["C"][row]) if "C" in table.values else float("nan")
    in_flops = settings.compute_unit in ("flops", "pf-days") and np.isfinite(measured)
    in_seconds = settings.compute_unit in ("seconds", "gpu-hours") and np.isfinite(measured)
    return CurvePoint(
        step=int(step[row]) if step is not None and np.isfinite(step[row]) else tokens,
        tokens=tokens,
        kaplan_flops=kaplan,
        # Without a compute column the two axes coincide: nothing better is known of a run made elsewhere.
        exact_flops=measured if in_flops else kaplan,
        train_loss_nats=None,
        validation_loss_nats=float(table.values["L"][row]),
        bits_per_byte=None,
        in_warmup=False,
        finished=last,
        device_seconds=measured if in_seconds else None,
    )
