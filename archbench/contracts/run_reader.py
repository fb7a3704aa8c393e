"""What reads runs that other tools logged: W&B, TensorBoard, transformers' Trainer, somebody's own files."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archbench.contracts.config import ComponentConfig


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """What a run logged at one moment, under the names that it gave."""

    place: str
    """Where it stands in its file, for messages: `row 5`, `log_history[3]`, `record 12`."""
    values: Mapping[str, Any]
    """Numbers, or texts of numbers; a key that is absent was not logged here, NaN was."""


@dataclass(frozen=True, slots=True)
class RunHistory:
    """One run as its file has it. Nothing in it is checked yet: `archbench import` does that for every format alike."""

    run: str
    """Its name, for people."""
    file: Path
    """What it was read from, for messages."""
    rows: Sequence[HistoryRow]
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings, under the names that the run gave: `lr`, `n_embd`, ... Three have a meaning of their own:
    `params_total` and `params_non_embedding` (counts), `batch_tokens` (tokens per optimiser step); a reader sets them
    only where the format says them without doubt."""
    run_id: str = ""
    """What tells it from runs of the same name, where the format has that; parts of one id are one run."""


class RunReader(ComponentConfig):
    """A format of others' runs. It loads no torch, and what it needs beyond archbench when it reads."""

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether `path`, a file or a folder that exists, is plainly of this format; looks at names and first bytes.

        Raises OSError where it cannot be read.
        """

    @abstractmethod
    def read(self, path: Path) -> Iterable[RunHistory]:
        """The runs in `path`, a file or a folder, in an order that does not change.

        Raises SpecError that names the file and the row or key where something is not as the format has it; OSError
        where a file cannot be read.
        """
