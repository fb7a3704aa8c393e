"""A table of somebody's runs as run records, so that analysis treats them like our own; their origin is stated."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from archbench.analysis.tables.run_table import RunTable
from archbench.errors import SpecError
from archbench.results.choices import choice_details
from archbench.results.runs import IMPORTED, CurvePoint, RunRecord, RunState
from archbench.units import NATS_PER_BIT, kaplan_train_flops

_SAME_LENGTH = 1e-3
"""Share by which token counts of seeds may differ, as where the last batch is cut."""


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What a table does not say by itself."""

    origin: str
    track: str
    param_convention: str
    """`non_embedding` or `total`."""
    compute_unit: str | None
    """`flops` and `pf-days` fill the exact axis, `seconds` and `gpu-hours` device time; None: no compute column."""
    active: bool = False
    """Whether N counts the parameters of a mixture of experts that are active for one token."""
    best_of: tuple[str, ...] = ()
    """Columns of settings of which the best was kept."""


def records_of(table: RunTable, settings: ImportSettings) -> Iterator[RunRecord]:
    """One record for each run of `table`, all of whose rows the gate let in.

    Raises SpecError where no row is left, or where rows of one run are of several sizes.
    """
    if not len(table):
        reasons = "; ".join(dict.fromkeys(one.reason for one in table.gate.left_out))
        raise SpecError(f"{table.gate.source}: {table.arch}: no row is left: {reasons}")
    N, D = table.values["N"], table.values["D"]
    sizes = sorted({int(value) for value in N})
    lengths: dict[int, list[int]] = {}
    for label in dict.fromkeys(table.clusters.tolist()):
        rows = np.flatnonzero(table.clusters == label)
        rows = rows[np.argsort(D[rows], kind="stable")]
        if len({int(N[row]) for row in rows}) > 1:
            raise SpecError(f"{settings.origin}: run {label!r} has several sizes; name the runs by --run or --arch")
        params = int(N[rows[0]])
        curve = tuple(_point(table, int(row), params, bool(row == rows[-1]), settings) for row in rows)
        batch = int(D[rows[-1]] / curve[-1].step) if "S" in table.values and curve[-1].step else 0
        yield RunRecord(
            run_id="",
            contender=table.arch,
            architecture=table.arch,
            objective=IMPORTED,
            track=settings.track,
            size_index=sizes.index(params),
            non_embedding_params=params,
            embedding_params=0,
            seed=int(table.values["seed"][rows[-1]]),
            batch_tokens=batch,
            planned_tokens=_length(int(D[rows[-1]]), lengths.setdefault(params, [])),
            unique_tokens=int(D[rows[-1]]),
            state=RunState.DONE,
            curve=curve,
            origin=settings.origin,
            details=_details(table, str(label), int(rows[-1]), settings),
        )


def _length(tokens: int, known: list[int]) -> int:
    """The number of tokens that runs as long as this one share: counts that differ by a thousandth are one length."""
    for length in known:
        if abs(tokens - length) <= _SAME_LENGTH * length:
            return length
    known.append(tokens)
    return tokens


def _details(table: RunTable, label: str, row: int, settings: ImportSettings) -> dict[str, object]:
    stated = {
        "param_convention": settings.param_convention,
        "run": label,
        "unique_tokens_known": False,
        "loss_unit": table.gate.loss_unit,
        "compute_stated": settings.compute_unit in ("flops", "pf-days"),
        "params_active": settings.active,
        **choice_details(settings.best_of, int(table.values["settings_tried"][row])),
    }
    if "N_total" in table.values:
        stated["params_total"] = int(table.values["N_total"][row])
    return stated


def _point(table: RunTable, row: int, params: int, last: bool, settings: ImportSettings) -> CurvePoint:
    tokens, step = int(table.values["D"][row]), table.values.get("S")
    kaplan = kaplan_train_flops(params, tokens)
    stated = float(table.values["C"][row]) if "C" in table.values else float("nan")
    in_flops = settings.compute_unit in ("flops", "pf-days")
    seconds = table.values.get("seconds")
    measured = float(seconds[row]) if seconds is not None else float("nan")
    if settings.compute_unit in ("seconds", "gpu-hours"):
        measured = stated
    nats, bits = _loss(float(table.values["L"][row]), table.gate.loss_unit)
    return CurvePoint(
        step=int(step[row]) if step is not None else tokens,
        tokens=tokens,
        kaplan_flops=kaplan,
        # Without a compute column the two axes coincide: nothing better is known of a run made elsewhere.
        exact_flops=stated if in_flops else kaplan,
        train_loss_nats=None,
        validation_loss_nats=nats,
        bits_per_byte=bits,
        in_warmup=False,
        finished=last,
        device_seconds=measured if np.isfinite(measured) and measured >= 0 else None,
    )


def _loss(loss: float, unit: str) -> tuple[float, float | None]:
    """Nats, of a token or of a byte as the unit says, and bits per byte where the unit is of bytes."""
    if unit == "bits per byte":
        return loss * NATS_PER_BIT, loss
    if unit == "nats per byte":
        return loss, loss / NATS_PER_BIT
    return loss, None
