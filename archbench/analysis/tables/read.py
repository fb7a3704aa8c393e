"""Tables of anybody's runs: CSV, JSONL or Parquet, columns mapped by name, units stated and never guessed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import Law
from archbench.analysis.planning.isoflop import efficient_points
from archbench.errors import SpecError, nearest
from archbench.units import FLOPS_PER_PF_DAY

COMPUTE_UNITS: Mapping[str, float] = {"flops": 1.0, "pf-days": FLOPS_PER_PF_DAY, "seconds": 1.0, "gpu-hours": 3600.0}
"""Unit of a compute column -> factor to FLOPs, or to seconds."""
SIX_N_D = "6ND"
"""In place of a compute column: 6·N·D of the columns given."""
POINTS = ("all", "final", "efficient")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what; None where a quantity has none."""

    loss: str
    params: str | None = None
    tokens: str | None = None
    compute: str | None = None
    arch: str | None = None
    seed: str | None = None
    step: str | None = None
    run: str | None = None
    critical_batch: str | None = None
    finetune_tokens: str | None = None
    transferred: str | None = None


@dataclass(frozen=True, slots=True)
class RunTable:
    """Runs of one architecture, ready for a law. Arrays are of one length, unlogged."""

    arch: str
    values: Mapping[str, Array]
    """By the law's letters: N, D, C, S, L, B, D_F, D_T, where there is a column."""
    clusters: np.ndarray
    """Label of each point's run."""
    finished: np.ndarray
    """Whether the point is its run's last."""

    def __len__(self) -> int:
        """Number of points."""
        return len(self.clusters)

    def take(self, chosen: np.ndarray) -> "RunTable":
        """The points at `chosen`: indices, or where true."""
        values = {name: value[chosen] for name, value in self.values.items()}
        return RunTable(self.arch, values, self.clusters[chosen], self.finished[chosen])

    def inputs(self, law: Law) -> tuple[dict[str, Array], Array]:
        """The law's variables and response. Raises SpecError naming the column that is not mapped."""
        flags = {"N": "--params", "D": "--tokens", "C": "--compute", "S": "--step", "L": "--loss"}
        flags |= {"B": "--critical-batch", "D_F": "--finetune-tokens", "D_T": "--transferred"}
        for name in (*law.variables, law.response):
            if name not in self.values:
                raise SpecError(f"--law {law.name}: {law.title} needs {name}; name its column by {flags[name]}")
        return {name: self.values[name] for name in law.variables}, self.values[law.response]


def read_table(path: Path) -> pd.DataFrame:
    """The table in `path`. Raises SpecError where it is missing, empty, malformed or of an unknown kind."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": pd.read_csv,
        ".tsv": lambda file: pd.read_csv(file, sep="\t"),
        ".jsonl": lambda file: pd.read_json(file, lines=True),
        ".ndjson": lambda file: pd.read_json(file, lines=True),
        ".json": pd.read_json,
        ".parquet": pd.read_parquet,
    }
    kind = path.suffix.lower()
    if kind not in readers:
        raise SpecError(f"{path}: files of kind {kind or 'without suffix'!r} are not read; use {', '.join(readers)}")
    if not path.is_file():
        raise SpecError(f"{path}: no such file")
    try:
        frame = pd.DataFrame(readers[kind](path))
    except (ValueError, OSError, UnicodeDecodeError) as error:
        lines = str(error).splitlines()
        raise SpecError(
            f"{path}: cannot be read as {kind[1:]}: {lines[0] if lines else type(error).__name__}"
        ) from error
    if not len(frame):
        raise SpecError(f"{path}: holds no rows")
    return frame


def run_tables(
    frame: pd.DataFrame, columns: Columns, *, source: str, compute_unit: str | None = None, points: str = "all"
) -> list[RunTable]:
    """One table for each architecture, in order of name. Raises SpecError for a column that is missing or no number.

    Points of one run share arch, params, seed (and run), if `--step` says that there are several.
    """
    values = _values(frame, columns, source, compute_unit)
    labels = _labels(frame, columns, source)
    archs = frame[_column(frame, columns.arch, "--arch", source)].astype(str) if columns.arch else None
    tables = []
    for arch in sorted(archs.unique()) if archs is not None else [""]:
        rows = np.arange(len(frame)) if archs is None else np.flatnonzero(archs == arch)
        own = {name: value[rows] for name, value in values.items()}
        clusters = labels[rows]
        table = RunTable(arch, own, clusters, _last_of_each(clusters, own.get("S")))
        tables.append(_choose(table, points))
    return tables


def _values(frame: pd.DataFrame, columns: Columns, source: str, compute_unit: str | None) -> dict[str, Array]:
    flags = {
        "N": (columns.params, "--params"),
        "D": (columns.tokens, "--tokens"),
        "S": (columns.step, "--step"),
        "L": (columns.loss, "--loss"),
        "seed": (columns.seed, "--seed"),
        "B": (columns.critical_batch, "--critical-batch"),
        "D_F": (columns.finetune_tokens, "--finetune-tokens"),
        "D_T": (columns.transferred, "--transferred"),
    }
    values = {name: _numbers(frame, column, flag, source) for name, (column, flag) in flags.items() if column}
    if columns.compute == SIX_N_D:
        if "N" not in values or "D" not in values:
            raise SpecError(f"--compute {SIX_N_D}: needs --params and --tokens")
        values["C"] = 6.0 * values["N"] * values["D"]
    elif columns.compute:
        factor = COMPUTE_UNITS[compute_unit] if compute_unit else 1.0
        values["C"] = _numbers(frame, columns.compute, "--compute", source) * factor
    return values


def _numbers(frame: pd.DataFrame, column: str, flag: str, source: str) -> Array:
    name = _column(frame, column, flag, source)
    numbers = pd.to_numeric(frame[name], errors="coerce")
    if (bad := numbers.isna() & frame[name].notna()).any():
        row = int(np.flatnonzero(bad)[0])
        raise SpecError(f"{source}: {flag} {name}: row {row + 1}: got {frame[name].iloc[row]!r}, expected a number")
    return np.asarray(numbers.to_numpy(dtype=float))


def _column(frame: pd.DataFrame, column: str | None, flag: str, source: str) -> Any:
    known = {str(name): name for name in frame.columns}
    if column not in known:
        raise SpecError(f"{source}: {flag}: there is no column {column!r}{nearest(str(column), known)}")
    return known[column]


def _labels(frame: pd.DataFrame, columns: Columns, source: str) -> np.ndarray:
    if columns.run:
        chosen: list[tuple[str | None, str]] = [(columns.run, "--run")]
    elif columns.step:
        chosen = [(columns.arch, "--arch"), (columns.params, "--params"), (columns.seed, "--seed")]
    else:
        return np.array([str(row) for row in range(len(frame))])
    names = [_column(frame, column, flag, source) for column, flag in chosen if column]
    return np.asarray(frame[names].astype(str).agg("/".join, axis=1)) if names else np.full(len(frame), "one run")


def _last_of_each(clusters: np.ndarray, step: Array | None) -> np.ndarray:
    finished = np.ones(len(clusters), dtype=bool)
    if step is not None:
        last = pd.Series(step).groupby(clusters).transform("max")
        finished = np.asarray(step == last)
    return finished


def _choose(table: RunTable, points: str) -> RunTable:
    if points == "final":
        return table.take(table.finished)
    if points == "efficient":
        if "C" not in table.values:
            raise SpecError("--points efficient: needs --compute, which says what a point costs")
        return table.take(efficient_points(table.values["C"], table.values["L"]))
    return table
