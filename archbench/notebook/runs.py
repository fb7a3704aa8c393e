"""Runs for a notebook: of a run store, of an entry of the leaderboard, or of a table."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from archbench.answers.plain import finite
from archbench.answers.stored_sides import whole_scans
from archbench.answers.table_options import Table, table_in
from archbench.errors import SpecError, StoreError, nearest
from archbench.leaderboard.entry_files import read_entry
from archbench.notebook.result import Result, chosen, frame_of, shown
from archbench.report.labels import labels_of
from archbench.report.tables import curves_table, runs_table
from archbench.results.runs import CostAxis, RunRecord, size_scan_contenders, size_scan_results
from archbench.runs.store import RunStore
from archbench.units import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLES = ("runs", "curves")
_LOSS_UNITS = {"nats per token": "nats", "nats per byte": "nats-per-byte", "bits per byte": "nats-per-byte"}
"""What runs state -> the unit that their records are in; bits are nats there."""


@dataclass(frozen=True, slots=True)
class ScanRuns:
    """The runs of one scan's size scan, controls and trials left out."""

    name: str
    records: tuple[RunRecord, ...]

    @property
    def contenders(self) -> list[str]:
        """In the scan's order."""
        return size_scan_contenders(self.records)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Runs(Result):
    """Runs that were read: those of scans, or a table of anybody's."""

    source: str
    """The path that they were read from."""
    scans: tuple[ScanRuns, ...] = ()
    """Empty of a table."""
    table: Table | None = None
    """None of scans."""
    store: RunStore | None = None
    """Where the scans are stored; None of an entry."""
    notes: tuple[str, ...] = ()

    @property
    def records(self) -> tuple[RunRecord, ...]:
        """All runs of all scans."""
        return tuple(run for scan in self.scans for run in scan.records)

    @property
    def contenders(self) -> list[str]:
        """Names of contenders, in the scans' order; empty of a table."""
        return list(dict.fromkeys(name for scan in self.scans for name in scan.contenders))

    def one_scan(self, name: str | None = None) -> ScanRuns:
        """The scan called `name`, or its only one. Raises SpecError where there is none such, or several."""
        names = [scan.name for scan in self.scans]
        if name is not None and name not in names:
            raise SpecError(f"{self.source}: has no scan {name!r}{nearest(name, names)}")
        if name is None and len(names) > 1:
            raise SpecError(f"{self.source}: holds several scans: {', '.join(names)}; choose one by load(..., scan=)")
        return self.scans[0 if name is None else names.index(name)]

    def lines(self) -> Iterator[str]:
        """What there is."""
        if self.table is not None:
            rows, columns = self.table.frame.shape
            yield f"{self.source}: {counted(rows, 'row')} of {counted(columns, 'column')}"
        for scan in self.scans:
            usable = sum(run.usable for run in scan.records)
            names = ", ".join(scan.contenders)
            yield f"{self.source}: scan {scan.name}: {counted(len(scan.records), 'run')}, {usable} done, of {names}"

    def told(self) -> tuple[str, ...]:
        """Runs that could not be read."""
        return self.notes

    def to_frame(self, of: str = "runs") -> pd.DataFrame:
        """A run a row, or a point of a learning curve (of: `runs` or `curves`); a table as it was read.

        Columns are those of `runs` and `curves` in a report's data tables, behind the name of the scan.
        """
        chosen(of, _TABLES)
        if self.table is not None:
            return self.table.frame.copy()
        make = runs_table if of == "runs" else curves_table
        frames = [frame_of(make(scan.records)) for scan in self.scans]
        for frame, scan in zip(frames, self.scans, strict=True):
            frame.insert(0, "scan", scan.name)
        return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]

    def to_dict(self) -> dict[str, Any]:
        """Source and rows."""
        rows: list[dict[str, Any]] = finite(self.to_frame().astype(object).to_dict(orient="records"))
        return {"source": self.source, "rows": rows}

    def plot(self) -> "Figure":
        """The learning curves of each contender of the one scan. Raises SpecError of a table, and where none ended."""
        from archbench.analysis.frontier.scan import StudyOptions, fit_contenders
        from archbench.report.figures import learning_curves

        if self.table is not None:
            raise SpecError(f"{self.source}: a table has no learning curves; draw its law: fit(...).plot()")
        records = self.one_scan().records
        drawn = fit_contenders(records, CostAxis.EXACT, baseline=None, options=StudyOptions(floor="none"))
        if not drawn:
            raise SpecError(f"{self.source}: no run has ended, so that there is nothing to draw")
        return shown(learning_curves(drawn, labels_of(records)))


def load(path: str | os.PathLike[str], *, scan: str | None = None) -> Runs:
    """The runs in a run store (all scans, or `scan`), in an entry of a leaderboard, or in a table file.

    Tables are CSV, TSV, JSON, JSON lines and Parquet, read as `archbench fit` reads them. Raises SpecError for what is
    none of these, StoreError for a store without scans or without `scan`.
    """
    place = Path(path)
    if place.is_dir():
        return _of_store(RunStore(place), scan)
    if scan is not None:
        raise SpecError(f"{place}: is no folder of a run store, and so has no scan {scan!r}")
    if place.suffix.lower() == ".json" and _is_entry(place):
        entry = read_entry(place)
        return Runs(str(place), (ScanRuns(entry.scan, tuple(entry.records())),))
    return Runs(str(place), table=table_in(place))


def fit_table_of(scan: ScanRuns, say: Callable[[str], None]) -> tuple[Table, dict[str, str | None]]:
    """The finished runs of a scan as a table for a law, and what its columns are.

    Runs on the plateau enter no law, as in reports, and are told by `say`.
    """
    usable = [run for run in scan.records if run.usable]
    kept = [run for run in usable if not _on_plateau(run)]
    if not kept:
        raise SpecError(f"scan {scan.name!r}: no run has ended that a law could be fitted to")
    if len(kept) < len(usable):
        say(f"{counted(len(usable) - len(kept), 'run')} on the plateau: left out")
    frame = frame_of(runs_table(kept))
    columns = ["contender", "non_embedding_params", "tokens", "exact_flops", "final_loss_nats", "seed", "run_id"]
    conventions = {str(run.details.get("param_convention", "non_embedding")) for run in kept}
    units = {_LOSS_UNITS.get(str(run.details.get("loss_unit", "nats per token"))) for run in kept}
    meant: dict[str, str | None] = {
        "arch": "contender",
        "params": "non_embedding_params",
        "tokens": "tokens",
        "compute": "exact_flops",
        "compute_unit": "flops",
        "loss": "final_loss_nats",
        "seed": "seed",
        "run": "run_id",
        "param_convention": conventions.pop() if len(conventions) == 1 else None,
        "loss_unit": units.pop() if len(units) == 1 else None,
    }
    return Table(frame[columns], f"scan {scan.name}"), meant


def _on_plateau(run: RunRecord) -> bool:
    from archbench.results.reference_lines import is_on_plateau

    loss = run.final_loss_nats
    return loss is not None and is_on_plateau(loss, run.reference_lines) is True


def _is_entry(path: Path) -> bool:
    """Whether a file of JSON is an object of an entry's keys; tables are lists, or objects of columns."""
    from archbench.runs.files import parse_json, read_bytes

    try:
        content = parse_json(read_bytes(path))
    except (StoreError, ValueError):
        return False
    return isinstance(content, dict) and {"scan", "contender", "runs", "figures"} <= content.keys()


def _of_store(store: RunStore, scan: str | None) -> Runs:
    notes: list[str] = []
    indices = [store.scan(scan)] if scan is not None else whole_scans(store, notes.append)
    if not indices:
        raise StoreError(f"{store.place}: holds no scan; `archbench run SPEC` makes one")
    scans = []
    for index in indices:
        records, problems = store.records(index)
        notes += [f"warning: {problem}" for problem in problems]
        scans.append(ScanRuns(index.name, size_scan_results(records)))
    return Runs(str(store.root), tuple(scans), store=store, notes=tuple(notes))
