"""A table of runs (CSV, TSV, JSON, JSONL, Parquet) of which something is given once: N, the batch, the architecture."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

from archbench.api import HistoryRow, RunHistory, RunReader, SpecError
from archbench.errors import nearest


class Table(RunReader):
    """Reader `table`."""

    kind: Literal["table"] = "table"
    summary: ClassVar[str] = "any table of runs: CSV, TSV, JSON, JSONL, Parquet; flags name its columns"

    columns_of_run: tuple[str, ...] | None = ()
    """Columns that rows of one run share; none: the file is one run; None: every row is a run."""

    def recognises(self, path: Path) -> bool:
        """See `RunReader.recognises`. It is what is left where no other reader knows a file."""
        return False

    def read(self, path: Path) -> Iterable[RunHistory]:
        """See `RunReader.read`. An empty cell is a gap: at that row the run logged no such thing."""
        from archbench.analysis.tables.files import read_table

        frame = read_table(path)
        names = [str(name) for name in frame.columns]
        for column in self.columns_of_run or ():
            if column not in names:
                raise SpecError(f"{path}: there is no column {column!r}{nearest(column, names)}")
        runs: dict[str, list[HistoryRow]] = {}
        for number, row in enumerate(frame.itertuples(index=False, name=None), start=1):
            values = {name: cell for name, cell in zip(names, row, strict=True) if cell is not None and cell == cell}
            if self.columns_of_run is None:
                run = f"{path.stem} row {number}"
            else:
                run = "/".join(str(values.get(column, "")) for column in self.columns_of_run) or path.stem
            runs.setdefault(run, []).append(HistoryRow(f"row {number}", values))
        return [RunHistory(run, path, rows) for run, rows in runs.items()]
