"""An offline file of W&B, `run-ID.wandb`: a LevelDB log whose records are protobuf messages.

wandb 0.31 reads such files only in its compiled core, so that there is no function of it to call. The numbers of the
fields are those of wandb's `wandb_internal.proto`.
"""

from pathlib import Path
from typing import Any

from archbench.api import HistoryRow, RunHistory, SpecError
from archbench.builtins.readers import wire
from archbench.builtins.readers.files import first_bytes, flat, from_json
from archbench.builtins.readers.record_logs import leveldb_records

IDENT = b":W&B"
_HEADER_BYTES = 7
_VERSION = 0

_RECORD_HISTORY, _RECORD_SUMMARY, _RECORD_CONFIG, _RECORD_RUN = 2, 3, 5, 17
_HISTORY_ITEM = 1
_ITEM_KEY, _ITEM_NESTED_KEY, _ITEM_VALUE_JSON = 1, 2, 16
_CONFIG_UPDATE, _CONFIG_REMOVE = 1, 2
_RUN_ID, _RUN_CONFIG, _RUN_DISPLAY_NAME = 1, 4, 8


def is_wandb_file(path: Path) -> bool:
    """Whether `path` begins as W&B's files do."""
    return first_bytes(path, len(IDENT)) == IDENT


def read_wandb_file(path: Path) -> RunHistory:
    """The run in `path`. Raises SpecError naming the record that is damaged, or another version of the format."""
    head = first_bytes(path, _HEADER_BYTES)
    if len(head) < _HEADER_BYTES or head[:4] != IDENT:
        raise SpecError(f"{path}: does not begin as a .wandb file does; is it whole?")
    if head[6] != _VERSION:
        raise SpecError(f"{path}: has version {head[6]} of W&B's format, {_VERSION} is read; export the run as CSV")
    rows: list[HistoryRow] = []
    config: dict[str, Any] = {}
    run_id = name = ""
    for number, record in leveldb_records(path, _HEADER_BYTES):
        place = f"record {number}"
        where = f"{path}: {place}"
        try:
            for field, kind, _, message in wire.fields(record):
                if kind != wire.BYTES:
                    continue
                if field == _RECORD_HISTORY:
                    rows.append(HistoryRow(place, dict(flat(_items(wire.parts(message, _HISTORY_ITEM), where)))))
                elif field == _RECORD_CONFIG:
                    _update(config, message, where)
                elif field == _RECORD_RUN:
                    run_id, name = wire.text(message, _RUN_ID), wire.text(message, _RUN_DISPLAY_NAME)
                    for given in wire.parts(message, _RUN_CONFIG):
                        _update(config, given, where)
        except wire.DamagedError as error:
            raise SpecError(f"{where}: is damaged: {error}; copy the file again") from None
    settings = {key: value for key, value in flat(config) if not key.startswith("_wandb")}
    return RunHistory(name or run_id or path.stem.removeprefix("run-"), path, rows, settings, run_id)


def _update(config: dict[str, Any], message: bytes, where: str) -> None:
    config.update(_items(wire.parts(message, _CONFIG_UPDATE), where))
    for item in wire.parts(message, _CONFIG_REMOVE):
        config.pop(_key(item), None)


def _items(items: list[bytes], where: str) -> dict[str, Any]:
    """Key -> value of history or config; a nested value has its keys joined by dots."""
    found = {}
    for item in items:
        key = _key(item)
        found[key] = from_json(wire.part(item, _ITEM_VALUE_JSON) or b"null", f"{where}: {key}")
    return found


def _key(item: bytes) -> str:
    nested = [raw.decode(errors="replace") for raw in wire.parts(item, _ITEM_NESTED_KEY)]
    return ".".join(nested) or wire.text(item, _ITEM_KEY)
