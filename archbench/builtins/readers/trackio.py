"""Trackio: a project's SQLite database, and the Parquet files that it exports."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

from archbench.api import HistoryRow, RunHistory, RunReader, SpecError
from archbench.builtins.readers.files import database, first_bytes, flat, from_json, is_sqlite, mapping, tables_of

_PARQUET_MAGIC = b"PAR1"
_OWN_COLUMNS = frozenset({"id", "run_id", "timestamp", "run_name", "log_id", "space_id", "created_at"})
"""Columns of an export that no run logged."""
_SIDECARS = ("_configs", "_system", "_traces")
"""Ends of the names of exported files that hold no metrics."""


class Trackio(RunReader):
    """Reader `trackio`."""

    kind: Literal["trackio"] = "trackio"
    summary: ClassVar[str] = "Trackio: a project's .db, or its exported .parquet (with _configs.parquet beside it)"

    def recognises(self, path: Path) -> bool:
        """See `RunReader.recognises`."""
        return is_sqlite(path) and tables_of(path) >= {"metrics", "configs"}

    def read(self, path: Path) -> Iterable[RunHistory]:
        """See `RunReader.read`. Of a folder, every project in it."""
        if path.is_dir():
            files = sorted(path.glob("*.db"))
            if not files:
                raise SpecError(f"{path}: holds no .db of Trackio; name the folder TRACKIO_DIR, or a project's file")
            return [history for file in files for history in _from_database(file)]
        if is_sqlite(path):
            return _from_database(path)
        if first_bytes(path, len(_PARQUET_MAGIC)) == _PARQUET_MAGIC:
            return _from_parquet(path)
        raise SpecError(f"{path}: is neither an SQLite database nor Parquet, which Trackio writes")


def _from_database(path: Path) -> list[RunHistory]:
    configs: dict[str, dict[str, Any]] = {}
    rows: dict[str, list[HistoryRow]] = {}
    names: dict[str, str] = {}
    with database(path) as connection:
        columns = {str(column[1]) for column in connection.execute("PRAGMA table_info(metrics)")}
        # Projects of the first versions tell runs apart by their name alone.
        run = "run_id" if "run_id" in columns else "run_name"
        for number, key, name, step, metrics in connection.execute(
            f"SELECT id, {run}, run_name, step, metrics FROM metrics ORDER BY id"
        ):
            place = f"metrics id {number}"
            values = mapping(from_json(_text(metrics), f"{path}: {place}"), f"{path}: {place}")
            names[str(key)] = str(name)
            rows.setdefault(str(key), []).append(HistoryRow(place, {**dict(flat(values)), "step": step}))
        for number, key, config in connection.execute(f"SELECT id, {run}, config FROM configs ORDER BY id"):
            place = f"configs id {number}"
            found = mapping(from_json(_text(config), f"{path}: {place}"), f"{path}: {place}")
            configs[str(key)] = _settings(dict(flat(found)))
    return [
        RunHistory(names[key], path, own, configs.get(key, {}), key if run == "run_id" else "")
        for key, own in rows.items()
    ]


def _text(cell: Any) -> str | bytes:
    return cell if isinstance(cell, bytes) else str(cell)


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """Without what Trackio adds (`_Username`, `_Created`, ...)."""
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _from_parquet(path: Path) -> list[RunHistory]:
    if path.stem.endswith(_SIDECARS):
        raise SpecError(
            f"{path}: holds no metrics; name the project's own file, without {path.stem.rpartition('_')[2]}"
        )
    configs_file = path.with_name(f"{path.stem}_configs.parquet")
    if not configs_file.is_file() and path.stem == "metrics":
        configs_file = path.parent / "aux" / "configs.parquet"
    configs = {}
    if configs_file.is_file():
        configs = {_run_key(entry): entry for entry in _parquet_rows(configs_file)}
    rows: dict[str, list[HistoryRow]] = {}
    names: dict[str, str] = {}
    for number, entry in enumerate(_parquet_rows(path), start=1):
        if "run_name" not in entry:
            raise SpecError(f"{path}: has no column run_name; is it exported by Trackio?")
        key = _run_key(entry)
        names[key] = str(entry["run_name"])
        # What a row did not log is NULL; a loss that was no number is NaN.
        values = {name: value for name, value in entry.items() if value is not None and name not in _OWN_COLUMNS}
        rows.setdefault(key, []).append(HistoryRow(f"row {number}", values))
    return [
        RunHistory(
            names[key],
            path,
            own,
            _settings({k: v for k, v in configs.get(key, {}).items() if k not in _OWN_COLUMNS}),
            key if "run_id" in configs.get(key, {}) else "",
        )
        for key, own in rows.items()
    ]


def _run_key(entry: dict[str, Any]) -> str:
    return str(entry.get("run_id") or entry.get("run_name"))


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        lines = str(error).splitlines()
        raise SpecError(f"{path}: cannot be read as Parquet: {lines[0] if lines else type(error).__name__}") from None
    return rows
