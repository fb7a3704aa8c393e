"""Tables of anybody's runs: CSV, JSONL or Parquet, columns mapped by name, units stated and never guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.planning.isoflop import efficient_points
from archbench.analysis.tables.contenders import Finished, Meant, refuse_other_units, suspicions_between
from archbench.analysis.tables.curves import complementary
from archbench.analysis.tables.gate import Admitted, admit
from archbench.analysis.tables.quantities import (
    QUANTITIES,
    Contenders,
    Treatment,
    check_units,
    column_of,
    converted,
    flag_of,
    numbers_of,
)
from archbench.analysis.tables.run_table import Columns, RunTable
from archbench.analysis.tables.settings import as_text, is_index
from archbench.analysis.tables.sieve import Rows
from archbench.errors import SpecError
from archbench.names import natural_order
from archbench.results.admission import Admission, LeftOut, Suspicion
from archbench.units import FLOPS_PER_PF_DAY

COMPUTE_UNITS: Mapping[str, float] = {"flops": 1.0, "pf-days": FLOPS_PER_PF_DAY, "seconds": 1.0, "gpu-hours": 3600.0}
"""Unit of a compute column -> factor to FLOPs, or to seconds."""
SIX_N_D = "6ND"
"""In place of a compute column: 6·N·D of the columns given."""
PLAIN = Treatment()
"""Plain counts, losses in nats per token, no sweep."""
POINTS = ("all", "final", "efficient")


def run_tables(
    frame: pd.DataFrame,
    columns: Columns,
    *,
    source: str,
    compute_unit: str | None = None,
    points: str = "all",
    treatment: Treatment = PLAIN,
) -> list[RunTable]:
    """One table for each architecture, in order of name, of the rows that the gate let in, which may be none.

    Points of one run share arch, params, seed (and run), if `--step` says that there are several. Raises SpecError for
    a column that is missing or no number, for units that cannot be meant, of all architectures or of one, and for a
    sweep that nobody said what to do with.
    """
    _check_columns(frame, columns, treatment, source)
    whole = _Whole.of(frame, columns, treatment, source)
    frame = whole.frame
    if not len(frame):
        raise SpecError(f"{source}: no row is left: " + "; ".join(one.reason for one in whole.left_out))
    contenders = Contenders(columns.arch, _labels_of(frame, columns.arch)) if columns.arch else None
    values = _row_values(frame, columns, source, compute_unit, treatment, contenders)
    tables = []
    for arch in whole.archs:
        chosen = np.ones(len(frame), dtype=bool) if contenders is None else np.asarray(contenders.names == arch)
        rows = _admitted_rows(frame, chosen, values, columns, treatment, f"{source}: {arch}" if arch else source)
        tables.append(_run_table(arch, rows, admit(rows, treatment), whole, source, treatment))
    meant = Meant(source, _numbered(columns), contenders, compute_unit, frozenset({*treatment.scale, *treatment.log10}))
    return [_choose(table, points) for table in _held_apart(tables, meant)]


def _held_apart(tables: Sequence[RunTable], meant: Meant) -> list[RunTable]:
    """The same with what looks wrong beside the others. Raises SpecError where one is in another unit than they."""
    finished = [_finished(table) for table in tables]
    refuse_other_units(finished, meant)
    between = suspicions_between(finished)
    return [
        replace(table, gate=replace(table.gate, suspicions=(*table.gate.suspicions, *between[table.arch])))
        for table in tables
    ]


def _finished(table: RunTable) -> Finished:
    last = table.take(table.finished)
    return Finished(table.arch, np.zeros(0) if last.rows is None else last.rows, last.values)


@dataclass(frozen=True, slots=True)
class _Whole:
    """The table before it is parted by architecture: rows joined, rows of nobody left out."""

    frame: pd.DataFrame
    """Its index is each row's place in the file, from 1."""
    whose: pd.Series
    """Architecture of each row of the file, by its place: empty where the table is of one, None where its cell is."""
    archs: tuple[str, ...]
    """Those that were asked for, in order of name, though no row of them is left."""
    left_out: tuple[LeftOut, ...]
    suspicions: tuple[Suspicion, ...]

    def left_out_of(self, arch: str) -> tuple[LeftOut, ...]:
        """What was left out of its rows, and of those that are nobody's."""
        own = (replace(one, rows=self._own(arch, one.rows)) for one in self.left_out)
        return tuple(one for one in own if one.rows)

    def suspicions_of(self, arch: str) -> tuple[Suspicion, ...]:
        """What is suspicious of its rows."""
        own = (replace(one, rows=self._own(arch, one.rows)) for one in self.suspicions)
        return tuple(one for one in own if one.rows)

    def _own(self, arch: str, rows: tuple[int, ...]) -> tuple[int, ...]:
        whose = self.whose.loc[list(rows)]
        return tuple(row for row, name in zip(rows, whose, strict=True) if name is None or name == arch)

    @classmethod
    def of(cls, frame: pd.DataFrame, columns: Columns, treatment: Treatment, source: str) -> "_Whole":
        attrs = dict(frame.attrs)
        frame = frame.set_axis(np.arange(1, len(frame) + 1), axis=0)
        left: list[LeftOut] = []
        found: list[Suspicion] = []
        whose = _whose(frame, columns, source)
        not_asked: set[str] = set()
        for column, value in treatment.where:
            cells = as_text(frame[column_of(frame, column, "--where", source)])
            other = ~cells.map(lambda cell, value=value: _same_value(cell, value)).to_numpy(dtype=bool)
            if other.all():
                known = ", ".join(list(dict.fromkeys(cells))[:8])
                raise SpecError(f"{source}: --where {column}={value}: no row has it; column {column!r} holds {known}")
            if column == columns.arch:
                not_asked |= {name for name in whose.loc[frame.index[other]] if name is not None}
            frame = _without(frame, other, left, "not_asked", f"column {column!r} is not {value!r} (--where)")
        for name in ("arch", "run", "seed"):
            if column := getattr(columns, name):
                empty = frame[column_of(frame, column, flag_of(name), source)].isna().to_numpy()
                frame = _without(frame, empty, left, "no_label", f"no value in column {column!r} ({flag_of(name)})")
        frame, joined = _joined(frame, columns)
        if joined:
            words = "a row of the same run and step holds what is empty here: read as one"
            found.append(Suspicion("joined", joined, (), words))
        frame.attrs.update(attrs)
        archs = sorted({name for name in whose if name is not None} - not_asked, key=natural_order)
        return cls(frame, whose, tuple(archs), tuple(left), tuple(found))


def _whose(frame: pd.DataFrame, columns: Columns, source: str) -> pd.Series:
    if columns.arch is None:
        return pd.Series("", index=frame.index, dtype=object)
    cells = frame[column_of(frame, columns.arch, flag_of("arch"), source)]
    return as_text(cells).where(cells.notna(), None)


def _same_value(cell: str, value: str) -> bool:
    """Whether a cell is what was asked for: the same text, or the same number as 0.001 and 1e-3 are."""
    try:
        return cell == value or float(cell) == float(value)
    except ValueError:
        return False


def _without(frame: pd.DataFrame, out: np.ndarray, left: list[LeftOut], kind: str, reason: str) -> pd.DataFrame:
    if out.any():
        left.append(LeftOut(kind, tuple(int(row) for row in frame.index[out]), (), reason))
    return frame[~out]


def _joined(frame: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, tuple[int, ...]]:
    """The table with complementary rows of one run and step as one, and which rows went into others."""
    keys = [name for name in _identity(columns) if name is not None]
    if not columns.step or not keys or not len(frame):
        return frame, ()
    keys.append(columns.step)
    names = {getattr(columns, one.name) for one in fields(columns)} - {None, SIX_N_D, *keys}
    into = complementary(frame, keys, sorted(names))
    if into is None:
        return frame, ()
    joined = frame.index[into != np.arange(len(frame))]
    whole = frame.groupby(into, sort=False).first().set_axis(frame.index[pd.unique(into)], axis=0)
    return whole, tuple(int(row) for row in joined)


def _identity(columns: Columns) -> list[str | None]:
    return [columns.run] if columns.run else [columns.arch, columns.params, columns.seed]


def _check_columns(frame: pd.DataFrame, columns: Columns, treatment: Treatment, source: str) -> None:
    """Every column that is named is there once; two quantities may share one."""
    for one in fields(columns):
        column = getattr(columns, one.name)
        if column is not None and not (one.name == "compute" and column == SIX_N_D):
            column_of(frame, column, flag_of(one.name), source)
    for column in treatment.best_of:
        column_of(frame, column, "--best-of", source)
    mapped = {one.name for one in fields(columns) if getattr(columns, one.name)}
    for flag, names in (("--scale", treatment.scale), ("--log10", treatment.log10)):
        for name in names:
            if name not in mapped or name not in QUANTITIES:
                raise SpecError(f"{flag} {name}: {flag_of(name)} names no column; name one, or leave {flag} {name} out")


def _numbered(columns: Columns) -> dict[str, str]:
    """Field -> name of its column, of those that the file has numbers for."""
    mapped = {name: getattr(columns, name) for name in QUANTITIES if getattr(columns, name)}
    if mapped.get("compute") == SIX_N_D:
        del mapped["compute"]
    return mapped


def _row_values(
    frame: pd.DataFrame,
    columns: Columns,
    source: str,
    compute_unit: str | None,
    treatment: Treatment,
    contenders: Contenders | None,
) -> dict[str, Array]:
    mapped = _numbered(columns)
    values = {
        QUANTITIES[name]: converted(numbers_of(frame, column, flag_of(name), source), name, treatment)
        for name, column in mapped.items()
    }
    check_units(mapped, values, treatment, source, contenders)
    if columns.compute == SIX_N_D:
        if "N" not in values or "D" not in values:
            raise SpecError(f"--compute {SIX_N_D}: needs --params and --tokens")
        values["C"] = 6.0 * values["N"] * values["D"]
    elif columns.compute and compute_unit:
        values["C"] = values["C"] * COMPUTE_UNITS[compute_unit]
    return values


def _labels_of(frame: pd.DataFrame, column: str) -> np.ndarray:
    known = {str(name): name for name in frame.columns}
    return as_text(frame[known[column]]).to_numpy(dtype=object)


def _admitted_rows(
    frame: pd.DataFrame,
    chosen: np.ndarray,
    values: Mapping[str, Array],
    columns: Columns,
    treatment: Treatment,
    head: str,
) -> Rows:
    own = frame[chosen]
    taken = {str(column) for one in fields(columns) if (column := getattr(columns, one.name))}
    text = pd.DataFrame(
        {
            str(name): as_text(own[name]).to_numpy(dtype=object)
            for name in dict.fromkeys(own.columns)
            if not isinstance(own[name], pd.DataFrame) and not is_index(str(name), own[name])
        },
        index=range(len(own)),
    )
    keep = [name for name in text.columns if name not in taken or name == columns.step or name in treatment.best_of]
    named = {QUANTITIES[name]: getattr(columns, name) for name in QUANTITIES if getattr(columns, name)}
    flags = {letter: flag_of(name) for name, letter in QUANTITIES.items()}
    names = {letter: f"column {column!r} ({flags[letter]})" for letter, column in named.items()}
    if columns.compute == SIX_N_D:
        names["C"] = "6·N·D"
    return Rows(
        numbers=own.index.to_numpy(),
        values={letter: value[chosen] for letter, value in values.items()},
        names=names,
        labels=_labels(own, columns, treatment),
        seeds=_labels_of(own, columns.seed) if columns.seed else None,
        others=text[keep].drop(columns=[columns.step] if columns.step and "D" not in values else []),
        same=np.asarray(text.groupby(list(text.columns), sort=False).ngroup() if len(text.columns) else own.index),
        curves=bool(columns.run or columns.step),
        named=bool(columns.run),
        head=head,
        per_token=treatment.loss_in == "nats per token",
    )


def _labels(frame: pd.DataFrame, columns: Columns, treatment: Treatment) -> np.ndarray:
    """What tells runs apart; a swept setting tells runs apart that are named by nothing else."""
    if not columns.run and not columns.step:
        return np.array([str(row) for row in frame.index], dtype=object)
    names = [column for column in _identity(columns) if column]
    names += [] if columns.run else [column for column in treatment.best_of if column not in names]
    if not names:
        return np.full(len(frame), "one run", dtype=object)
    texts = [_labels_of(frame, column) for column in names]
    return np.array(["/".join(parts) for parts in zip(*texts, strict=True)], dtype=object)


def _run_table(arch: str, rows: Rows, admitted: Admitted, whole: _Whole, source: str, treatment: Treatment) -> RunTable:
    kept = admitted.rows
    values = {name: value[kept] for name, value in rows.values.items()}
    values |= {"seed": admitted.seeds, "settings_tried": admitted.settings_tried}
    outside = whole.left_out_of(arch)
    gate = Admission(
        source=source,
        rows_read=len(rows.numbers) + sum(len(one.rows) for one in outside),
        rows_used=len(kept),
        loss_unit=treatment.loss_in,
        left_out=(*outside, *admitted.left_out),
        suspicions=(*whole.suspicions_of(arch), *admitted.suspicions),
    )
    clusters = admitted.clusters
    last = _last_of_each(clusters, values.get("S", values.get("D") if rows.curves else None))
    return RunTable(arch, values, clusters, last, gate, rows.numbers[kept])


def _last_of_each(clusters: np.ndarray, length: Array | None) -> np.ndarray:
    finished = np.ones(len(clusters), dtype=bool)
    if length is not None and len(clusters):
        finished = np.asarray(length == pd.Series(length).groupby(clusters).transform("max"))
    return finished


def _choose(table: RunTable, points: str) -> RunTable:
    if not len(table):
        return table
    if points == "final":
        return table.take(table.finished)
    if points == "efficient":
        if "C" not in table.values:
            raise SpecError("--points efficient: needs --compute, which says what a point costs")
        return table.take(efficient_points(table.values["C"], table.values["L"]))
    return table
