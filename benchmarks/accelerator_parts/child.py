"""The process of one part: `python -m accelerator_parts.child`, driven by `accelerator_parts.driver`.

It reads one JSON line from standard input, the setting, and writes JSON lines to what was standard output when it
started; all else that anything prints goes to standard error, a log. It ends, with all that it started, as soon as
standard input closes: that is how it notices that its driver was killed.
"""

import contextlib
import gc
import importlib
import json
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerator_parts.scale import SCALES, Scale

MARGIN_SECONDS = 1.0
"""Between the end of a part's own time and the driver's patience."""


@dataclass(frozen=True)
class Setting:
    """What a part is told."""

    part: str
    """Its module; `run(setting, records)` carries it out."""
    device: str
    """`cuda` or `cpu`; before that is known also `auto`."""
    seconds: float
    """Until the part is killed."""
    folder: str
    """For all that it writes; it is removed in the end."""
    text: str | None = None
    """Folder of texts that was given."""
    dataset: Mapping[str, Any] = field(default_factory=dict)
    corpus: str = ""
    """Folder of the prepared text."""
    peaks: Mapping[str, float] = field(default_factory=dict)
    """FLOP/s: `measured` by a matrix product, `datasheet` where one is known."""
    num_devices: int = 1
    tokens_per_s: Mapping[str, float] = field(default_factory=dict)
    """Of GPT-2 by its number of parameters without embeddings, as far as an earlier part measured it."""
    begun: tuple[str, ...] = ()
    """What a process before this one began, and is not to be begun again."""

    @property
    def scale(self) -> Scale:
        """The sizes for the device."""
        return SCALES[self.device]


class Retired(Exception):  # noqa: N818  (no error of its own)
    """The process is of no further use; another one goes on."""


class Records:
    """What a part says, as it says it."""

    def __init__(self, descriptor: int, seconds: float) -> None:
        self._stream = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8")
        self._end = time.monotonic() + seconds - MARGIN_SECONDS

    @property
    def seconds_left(self) -> float:
        """Until the part has to be done."""
        return self._end - time.monotonic()

    def say(self, event: str, **content: Any) -> None:
        """One line."""
        self._stream.write(json.dumps({"event": event, **content}) + "\n")

    def conditions(self, **conditions: Any) -> None:
        """How the figures that follow were made; later ones are added to earlier ones."""
        self.say("conditions", conditions=conditions)

    def close(self) -> None:
        """Says nothing more."""
        self._stream.close()

    def plan(self, whats: Iterable[str]) -> None:
        """What is to come, if the time suffices: what is then neither a row nor left out in words, is left out."""
        self.say("plan", whats=list(whats))

    def begin(self, what: str, row: Mapping[str, Any], limit_s: float) -> None:
        """`what` is under way; `row` is all that will be known of it where this process dies of it."""
        self.say("begin", what=what, row=dict(row), limit_s=limit_s)

    def row(self, what: str, row: Mapping[str, Any]) -> None:
        """A row of the part's table; its `status` is `measured`, or why there is no figure."""
        self.say("row", what=what, row=dict(row))

    def left_out(self, what: str, why: str) -> None:
        """What is not in the table, and why."""
        self.say("left_out", what=what, why=why)


@dataclass(frozen=True)
class Cell:
    """One figure to be measured."""

    what: str
    sort: str
    """Cells of one sort take about as long."""
    guess_seconds: float
    """For the first one of a sort."""
    limit_seconds: float
    """Its process is ended after so long: it hangs."""
    row: Mapping[str, Any]
    """What tells it apart in the table."""
    measure: Callable[[], Mapping[str, Any]]


def carry_out(cells: Sequence[Cell], setting: Setting, records: Records) -> None:
    """Measures one cell after another while the time lasts. Raises Retired where the device may be out of order."""
    from archbench.errors import in_one_line
    from archbench.training.memory import is_exhaustion

    records.plan(cell.what for cell in cells)
    longest: dict[str, float] = {}
    for cell in cells:
        if cell.what in setting.begun or records.seconds_left < longest.get(cell.sort, cell.guess_seconds):
            continue
        records.begin(cell.what, cell.row, cell.limit_seconds)
        began, retires = time.monotonic(), False
        try:
            measured = {"status": "measured", **cell.measure()}
        except Exception as error:  # of whatever architecture, driver or compiler
            traceback.print_exc()
            exhausted = is_exhaustion(error)
            measured = {"status": "out of memory" if exhausted else f"failed: {in_one_line(error, 200)}"}
            retires = not exhausted and is_of_device(in_one_line(error, 4000))
        records.row(cell.what, {**cell.row, **measured})
        longest[cell.sort] = max(longest.get(cell.sort, 0.0), time.monotonic() - began)
        if retires:
            # An error of a kernel stays with its process, and would be every later cell's too.
            raise Retired
        gc.collect()


def is_of_device(error: str) -> bool:
    """Whether an error says that the device is out of order for this process."""
    return any(words in error for words in ("CUDA error", "AcceleratorError", "CUBLAS_", "CUDNN_", "NCCL error"))


def main() -> None:
    """Carries out the part."""
    answers = os.dup(1)
    os.dup2(2, 1)
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 1)
        if not read:
            return
        line += read
    content = json.loads(line)
    setting = Setting(**{**content, "begun": tuple(content["begun"])})
    threading.Thread(target=_end_with_driver, daemon=True).start()
    Path(setting.folder).mkdir(parents=True, exist_ok=True)
    records = Records(answers, setting.seconds)
    code = 0
    try:
        importlib.import_module(setting.part).run(setting, records)
        records.say("done")
    except Retired:
        pass
    except Exception as error:
        from archbench.errors import ArchbenchError, in_one_line

        if isinstance(error, ArchbenchError):
            records.say("failed", reason=str(error))
        else:
            traceback.print_exc()
            records.say("failed", reason=f"{in_one_line(error)}; see accelerator.log")
        code = 1
    # Unloading torch and a device takes seconds, and what is there to lose was said.
    os._exit(code)


def _end_with_driver() -> None:
    while os.read(0, 4096):
        pass
    end_all()


def end_all() -> None:
    """Kills what this process started, whatever sessions it is in, and this process."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            process.kill()
    os._exit(1)


if __name__ == "__main__":
    main()
