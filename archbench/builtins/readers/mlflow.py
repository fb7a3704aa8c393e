"""MLflow: its SQLite database, its folder `mlruns`, and runs exported as CSV or JSON."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from archbench.analysis.tables.text import read_text
from archbench.api import HistoryRow, RunHistory, RunReader, SpecError
from archbench.builtins.readers.files import (
    Point,
    csv_rows,
    database,
    from_json,
    header_of,
    is_sqlite,
    joined_by_step,
    listed,
    mapping,
    tables_of,
)

_META_FILE = "meta.yaml"
_NAME_TAG = "mlflow.runName"
_TABLES = {"runs", "metrics", "params", "experiments"}
_UI_COLUMNS = {"Run ID", "Name", "Source Type"}
_METRIC_COLUMN, _PARAM_COLUMN = "metrics.", "params."


class MlFlow(RunReader):
    """Reader `mlflow`."""

    kind: Literal["mlflow"] = "mlflow"
    summary: ClassVar[str] = "MLflow: mlflow.db, the folder mlruns, search_runs() as CSV, runs/search as JSON"

    def recognises(self, path: Path) -> bool:
        """See `RunReader.recognises`."""
        if path.is_dir():
            return bool(_run_folders(path))
        if is_sqlite(path):
            return tables_of(path) >= _TABLES
        if path.suffix.lower() != ".csv":
            return False
        header = header_of(path)
        return "run_id" in header and any(name.startswith(_METRIC_COLUMN) for name in header)

    def read(self, path: Path) -> Iterable[RunHistory]:
        """See `RunReader.read`. Deleted runs are left out."""
        if path.is_dir():
            folders = _run_folders(path)
            if not folders:
                raise SpecError(f"{path}: holds no run of MLflow ({_META_FILE} with a run_id); name the folder mlruns")
            return [history for folder in folders if (history := _from_folder(folder)) is not None]
        if is_sqlite(path):
            return _from_database(path)
        if path.suffix.lower() == ".csv":
            return _from_csv(path)
        if path.suffix.lower() == ".json":
            return _from_json(path)
        raise SpecError(f"{path}: reader mlflow reads mlflow.db, the folder mlruns, .csv and .json")


def _run_folders(folder: Path) -> list[Path]:
    """A run's folder itself, or those of an experiment, of all experiments, or of what holds `mlruns`."""
    if (folder / _META_FILE).is_file() and (folder / "metrics").is_dir():
        return [folder]
    found = [
        meta.parent
        for depth in ("*", "*/*", "mlruns/*/*")
        for meta in folder.glob(f"{depth}/{_META_FILE}")
        if (meta.parent / "metrics").is_dir() and ".trash" not in meta.parts
    ]
    return sorted(found)


def _from_folder(folder: Path) -> RunHistory | None:
    """A run of the file store: a file for each metric, whose lines are time, value and step."""
    meta = _meta(folder / _META_FILE)
    if meta.get("lifecycle_stage") == "deleted":
        return None
    points: list[Point] = []
    metrics = folder / "metrics"
    for file in sorted(one for one in metrics.rglob("*") if one.is_file()):
        key = file.relative_to(metrics).as_posix()
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            words = line.split(" ")
            if len(words) not in (3, 5):
                raise SpecError(f"{file}: line {number}: has {len(words)} fields, expected time, value and step")
            points.append((key, words[2], words[1]))
    params = folder / "params"
    config = {
        file.relative_to(params).as_posix(): read_text(file) for file in sorted(params.rglob("*")) if file.is_file()
    }
    named = folder / "tags" / _NAME_TAG
    name = read_text(named).strip() if named.is_file() else str(meta.get("run_name") or folder.name)
    return RunHistory(name, folder, joined_by_step(points), config, folder.name)


def _meta(path: Path) -> dict[str, Any]:
    import yaml

    text = read_text(path)
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # A date that is none, such as month 13, is a plain ValueError.
        mark = getattr(error, "problem_mark", None)
        at = f"line {mark.line + 1}: " if mark is not None else ""
        raise SpecError(f"{path}: {at}is no YAML") from None
    return mapping(found, str(path))


def _from_database(path: Path) -> list[RunHistory]:
    with database(path) as connection:
        runs = connection.execute(
            "SELECT run_uuid, name FROM runs WHERE lifecycle_stage = 'active' ORDER BY start_time, run_uuid"
        ).fetchall()
        names = dict(connection.execute("SELECT run_uuid, value FROM tags WHERE key = ?", (_NAME_TAG,)))
        return [
            RunHistory(
                str(name or names.get(run_id) or run_id),
                path,
                joined_by_step(
                    (str(key), step, math.nan if nan else value)
                    for key, value, step, nan in connection.execute(
                        "SELECT key, value, step, is_nan FROM metrics WHERE run_uuid = ? ORDER BY step, timestamp",
                        (run_id,),
                    )
                ),
                dict(connection.execute("SELECT key, value FROM params WHERE run_uuid = ?", (run_id,))),
                str(run_id),
            )
            for run_id, name in runs
        ]


def _from_csv(path: Path) -> list[RunHistory]:
    """`mlflow.search_runs().to_csv()`, or `mlflow experiments csv`: each run's last values."""
    names, rows = csv_rows(path)
    if set(names) >= _UI_COLUMNS:
        return [_of_page(path, row) for row in rows]
    if "run_id" not in names:
        raise SpecError(
            f"{path}: has no column run_id; is it written by mlflow.search_runs() or `mlflow experiments csv`?"
        )
    histories = []
    for row in rows:
        metrics = {key.removeprefix(_METRIC_COLUMN): cell for key, cell in row.values.items() if _METRIC_COLUMN in key}
        config = {
            key.removeprefix(_PARAM_COLUMN): cell for key, cell in row.values.items() if key.startswith(_PARAM_COLUMN)
        }
        run_id = str(row.values.get("run_id", ""))
        name = str(row.values.get(f"tags.{_NAME_TAG}", "") or run_id)
        if not name:
            raise SpecError(f"{path}: {row.place}: has no run_id")
        histories.append(RunHistory(name, path, [HistoryRow(row.place, metrics)], config, run_id))
    return histories


def _of_page(path: Path, row: HistoryRow) -> RunHistory:
    """A line of the CSV that MLflow's page downloads, where params and metrics stand side by side."""
    run_id = str(row.values.get("Run ID", ""))
    if not run_id:
        raise SpecError(f"{path}: {row.place}: has no Run ID")
    return RunHistory(str(row.values.get("Name", run_id)), path, [row], row.values, run_id)


def _from_json(path: Path) -> list[RunHistory]:
    """The answer of `runs/search` or `runs/get`, in which each run has its last values."""
    answer = from_json(read_text(path), str(path))
    if isinstance(answer, dict) and "run" in answer:
        answer = {"runs": [answer["run"]]}
    runs = answer if isinstance(answer, list) else mapping(answer, str(path)).get("runs")
    return [_run_of(path, f"runs[{number}]", run) for number, run in enumerate(listed(runs, f"{path}: runs"))]


def _run_of(path: Path, place: str, run: Any) -> RunHistory:
    where = f"{path}: {place}"
    content = mapping(run, where)
    info = mapping(content.get("info"), f"{where}.info")
    data = mapping(content.get("data"), f"{where}.data")
    points = [(key, str(entry.get("step", 0)), entry.get("value")) for key, entry in _entries(data, "metrics", where)]
    config = {key: entry.get("value") for key, entry in _entries(data, "params", where)}
    tags = {key: entry.get("value") for key, entry in _entries(data, "tags", where)}
    run_id = str(info.get("run_id") or info.get("run_uuid") or "")
    name = str(info.get("run_name") or tags.get(_NAME_TAG) or run_id)
    if not name:
        raise SpecError(f"{where}.info: has neither run_name nor run_id")
    return RunHistory(name, path, joined_by_step(points), config, run_id)


def _entries(data: dict[str, Any], what: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Key and entry of each of `data`'s metrics, params or tags."""
    for number, entry in enumerate(listed(data.get(what, []), f"{where}.data.{what}")):
        content = mapping(entry, f"{where}.data.{what}[{number}]")
        if not isinstance(content.get("key"), str):
            raise SpecError(f"{where}.data.{what}[{number}]: has no key")
        yield content["key"], content
