"""`trainer_state.json`, which the Trainer of transformers writes into each checkpoint and at the end."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

from archbench.analysis.tables.text import read_text
from archbench.api import HistoryRow, RunHistory, RunReader, SpecError
from archbench.builtins.readers.files import flat, from_json, listed, mapping

STATE_FILE = "trainer_state.json"
MODEL_CONFIG_FILE = "config.json"

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class HfTrainer(RunReader):
    """Reader `hf-trainer`."""

    kind: Literal["hf-trainer"] = "hf-trainer"
    summary: ClassVar[str] = "trainer_state.json of transformers' Trainer, or a folder that holds it"

    def recognises(self, path: Path) -> bool:
        """See `RunReader.recognises`."""
        return path.name == STATE_FILE or (path.is_dir() and bool(_states_in(path)))

    def read(self, path: Path) -> Iterable[RunHistory]:
        """See `RunReader.read`. A folder of checkpoints is one run, of which the latest checkpoint knows all."""
        states = _states_in(path) if path.is_dir() else [path]
        if not states:
            raise SpecError(f"{path}: holds no {STATE_FILE}, nor do checkpoint-* in it; name the file")
        return [_history(state) for state in states]


def _states_in(folder: Path) -> list[Path]:
    """The state of the run in `folder`, else those of the runs in its folders."""
    if own := _state_of(folder):
        return [own]
    return [state for inner in sorted(folder.iterdir()) if inner.is_dir() and (state := _state_of(inner))]


def _state_of(folder: Path) -> Path | None:
    if (folder / STATE_FILE).is_file():
        return folder / STATE_FILE
    saved = [
        (int(match[1]), inner / STATE_FILE)
        for inner in folder.iterdir()
        if (match := _CHECKPOINT.fullmatch(inner.name)) and (inner / STATE_FILE).is_file()
    ]
    return max(saved)[1] if saved else None


def _history(path: Path) -> RunHistory:
    state = mapping(from_json(read_text(path), str(path)), str(path))
    if "log_history" not in state:
        raise SpecError(f"{path}: has no log_history; is it the {STATE_FILE} of a Trainer?")
    rows = []
    for number, entry in enumerate(listed(state["log_history"], f"{path}: log_history")):
        place = f"log_history[{number}]"
        rows.append(HistoryRow(place, mapping(entry, f"{path}: {place}")))
    folder = path.absolute().parent
    if _CHECKPOINT.fullmatch(folder.name):
        folder = folder.parent
    # Checkpoints of one run are parts of it, whichever of them are named.
    return RunHistory(folder.name, path, rows, _config(path, state), run_id=str(folder))


def _config(path: Path, state: dict[str, Any]) -> dict[str, Any]:
    """What the state says besides its history, and the model's config where it was saved beside it."""
    config = {key: value for key, value in state.items() if isinstance(value, int | float | str)}
    model = path.parent / MODEL_CONFIG_FILE
    if model.is_file():
        config |= dict(flat(mapping(from_json(read_text(model), str(model)), str(model))))
    return config
