"""What a check of a plug-in finds, one line of JSON each, so that a check that dies has said what it was doing."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO


class Outcome(StrEnum):
    """How one check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, ended."""

    check: str
    """Its name, unique in one report: `my_arch: output has the promised shape`."""
    outcome: Outcome
    problem: str = ""
    """What was expected and what came instead, or why it was skipped; of a passed check, what was seen."""
    where: str = ""
    """`file:line name` of the place to mend, where one is known."""


class FindingsWriter:
    """Tells another process, line by line, what is checked and what came of it."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def begin(self, check: str) -> None:
        """Says that `check` begins."""
        self._write({"begins": check})

    def end(self, finding: Finding) -> None:
        """Says how a check ended."""
        self._write(asdict(finding))

    def roots(self, roots: Iterable[Path]) -> None:
        """Says where the plug-in's own source is."""
        self._write({"roots": [str(root) for root in roots]})

    def loaded(self, architectures: Mapping[str, bool]) -> None:
        """Says what there is to train: kinds, and whether they attend causally.

        From now on a check in which this process ends can be left out by the next one.
        """
        self._write({"architectures": dict(architectures)})

    def finish(self) -> None:
        """Says that there is nothing more to check."""
        self._write({"finished": True})

    def _write(self, content: Mapping[str, object]) -> None:
        self._stream.write(json.dumps(content) + "\n")
        self._stream.flush()


class FindingsReader:
    """Reads what a `FindingsWriter` in another process has written so far."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open(encoding="utf-8")
        self._rest = ""
        self.current: str | None = None
        """The check that has begun and not ended."""
        self.roots: tuple[Path, ...] = ()
        self.architectures: Mapping[str, bool] | None = None
        """Kind -> whether it attends causally, of what can be trained; None before the plug-ins are loaded."""
        self.finished = False

    def new(self) -> list[Finding]:
        """Findings since the last call; a line that is still being written waits."""
        *lines, self._rest = (self._rest + self._stream.read()).split("\n")
        found = []
        for line in lines:
            content = json.loads(line)
            if "begins" in content:
                self.current = content["begins"]
            elif "roots" in content:
                self.roots = tuple(Path(root) for root in content["roots"])
            elif "architectures" in content:
                self.architectures = content["architectures"]
            elif "finished" in content:
                self.finished = True
            else:
                found.append(Finding(**content | {"outcome": Outcome(content["outcome"])}))
                self.current = None
        return found

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()
