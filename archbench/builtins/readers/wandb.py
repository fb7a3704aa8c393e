"""Weights & Biases: its offline `.wandb` files, and the CSV that its pages export."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

from archbench.api import HistoryRow, RunHistory, RunReader, SpecError
from archbench.builtins.readers.files import csv_rows, header_of, json_lines
from archbench.builtins.readers.wandb_file import is_wandb_file, read_wandb_file

_SEPARATOR = " - "
"""Between run and metric in the header of a chart's export."""
_SPREAD = ("__MIN", "__MAX")
"""Ends of the columns that an export adds for the spread within a bin; they are no metrics of the run."""
_RUN_NAME, _RUN_STATE, _RUN_ID = "Name", "State", "ID"


class Wandb(RunReader):
    """Reader `wandb`."""

    kind: Literal["wandb"] = "wandb"
    summary: ClassVar[str] = "Weights & Biases: .wandb files, folders of them, CSV of a chart, of a history or of runs"

    def recognises(self, path: Path) -> bool:
        """See `RunReader.recognises`. A CSV is recognised by the columns that only W&B's exports have."""
        if path.is_dir():
            return bool(_files_in(path))
        if path.suffix == ".wandb":
            return True
        if path.suffix.lower() != ".csv":
            return False
        header = header_of(path)
        return len(header) > 1 and [_SEPARATOR in name for name in header] == [False, *(True for _ in header[1:])]

    def read(self, path: Path) -> Iterable[RunHistory]:
        """See `RunReader.read`."""
        if path.is_dir():
            files = _files_in(path)
            if not files:
                raise SpecError(f"{path}: holds no .wandb file; name the folder `wandb` of your project")
            return [read_wandb_file(file) for file in files]
        if path.suffix == ".wandb" or is_wandb_file(path):
            return [read_wandb_file(path)]
        if path.suffix.lower() == ".jsonl":
            return [RunHistory(path.stem, path, json_lines(path))]
        if path.suffix.lower() != ".csv":
            raise SpecError(f"{path}: reader wandb reads .wandb, .csv and .jsonl; export the chart as CSV")
        return _from_csv(path)


def _files_in(folder: Path) -> list[Path]:
    """Those of a run's folder, of the folder `wandb`, or of a project that holds it; of a link, its target alone."""
    found = {file.resolve(): file for pattern in ("*", "*/*", "wandb/*/*") for file in folder.glob(f"{pattern}.wandb")}
    return sorted(found.values())


def _from_csv(path: Path) -> list[RunHistory]:
    names, rows = csv_rows(path)
    columns = [name for name in names if not name.endswith(_SPREAD)]
    by_run = [name for name in columns if _SEPARATOR in name]
    if by_run:
        return _from_chart(path, columns[0], by_run, rows)
    if _RUN_NAME in names and (_RUN_STATE in names or _RUN_ID in names):
        return _from_runs(path, rows)
    return [RunHistory(path.stem, path, rows)]


def _from_chart(path: Path, step: str, columns: list[str], rows: list[HistoryRow]) -> list[RunHistory]:
    """A chart's export: a column of steps, and one for each run and metric, with gaps where a run logged nothing."""
    if _SEPARATOR in step:
        raise SpecError(f"{path}: the first column is {step!r}, expected Step; export the chart with its x axis")
    if step.startswith("Relative Time") or step == "Wall Time":
        raise SpecError(f"{path}: the x axis is {step!r}; set the chart's x axis to Step, and export it again")
    runs: dict[str, list[tuple[str, str]]] = {}
    for column in columns:
        run, _, metric = column.rpartition(_SEPARATOR)
        runs.setdefault(run, []).append((column, metric))
    histories = []
    for run, own in runs.items():
        points = []
        for row in rows:
            values = {metric: row.values[column] for column, metric in own if column in row.values}
            if values and step not in row.values:
                raise SpecError(f"{path}: {row.place}: has no {step}")
            if values:
                # The x axis is what the export says it is; W&B's own counter is a column of its own beside it.
                values["_step" if step == "Step" else step] = row.values[step]
                points.append(HistoryRow(row.place, values))
        histories.append(RunHistory(run, path, points))
    return histories


def _from_runs(path: Path, rows: list[HistoryRow]) -> list[RunHistory]:
    """The table of runs: one line a run, its settings and its last values side by side."""
    histories = []
    for row in rows:
        if _RUN_NAME not in row.values:
            raise SpecError(f"{path}: {row.place}: has no {_RUN_NAME}")
        name, run_id = str(row.values[_RUN_NAME]), str(row.values.get(_RUN_ID, ""))
        histories.append(RunHistory(name, path, [row], row.values, run_id))
    return histories
