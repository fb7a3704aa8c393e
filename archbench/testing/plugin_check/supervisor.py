"""Has plug-ins checked by a process of its own, which may crash or hang: that is then what was found."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archbench.launch_variables import without_launchers
from archbench.testing.plugin_check.findings import Finding, FindingsReader, Outcome
from archbench.testing.plugin_check.places import PluginPlaces
from archbench.testing.plugin_check.target import Target

MAX_PROCESSES = 4
"""Processes that may die, each in another check, before the rest is left unchecked."""

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 1.0
"""How long a process that hangs may take to write down where."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check."""

    findings: tuple[Finding, ...]
    architectures: Mapping[str, bool]
    """Kind -> whether it attends causally, of what can be trained."""


def check_in_child(target: Target, *, limit_seconds: float, scratch: Path, tell: Callable[[Finding], None]) -> Checked:
    """All findings about `target`, each told as it comes. A check that takes longer than the limit has failed."""
    findings: dict[str, Finding] = {}
    architectures: Mapping[str, bool] = {}

    def note(finding: Finding) -> None:
        # A process that takes over from a dead one loads the plug-in once more.
        if finding.check not in findings or finding.problem != findings[finding.check].problem:
            findings[finding.check] = finding
            tell(finding)

    for number in range(MAX_PROCESSES):
        folder = scratch / f"process-{number}"
        folder.mkdir(parents=True)
        process = _Process(target, list(findings), folder, limit_seconds)
        process.follow(note)
        architectures = process.architectures or architectures
        if not process.leaves_something:
            break
    else:
        note(Finding("the remaining checks", Outcome.FAILED, f"not done: {MAX_PROCESSES} processes died before them"))
    return Checked(tuple(findings.values()), architectures)


def environment_of(target: Target) -> dict[str, str]:
    """The environment in which processes see the target, with one thread unless somebody chose otherwise."""
    path = [str(folder) for folder in target.python_path]
    if known := os.environ.get("PYTHONPATH"):
        path.append(known)
    chosen = {"PYTHONPATH": os.pathsep.join(path)} if path else {}
    return {"OMP_NUM_THREADS": "1", **without_launchers(os.environ), **chosen, "PYTHONDONTWRITEBYTECODE": "1"}


class _Process:
    """One process that checks a target."""

    def __init__(self, target: Target, done: Sequence[str], folder: Path, limit_seconds: float) -> None:
        request = {
            "plugins": list(target.plugins),
            "files": [str(file) for file in target.files],
            "done": list(done),
            "scratch": str(folder / "suite"),
        }
        self._limit_seconds = limit_seconds
        self._log = folder / "output.log"
        findings = folder / "findings.jsonl"
        findings.touch()
        self._reader = FindingsReader(findings)
        module = "archbench.testing.plugin_check.child"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, json.dumps(request), str(findings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment_of(target),
                start_new_session=True,
            )

    @property
    def leaves_something(self) -> bool:
        """Whether it ended in one check of many, so that another process can do the others."""
        return self.architectures is not None and self._reader.current is not None and not self._reader.finished

    @property
    def architectures(self) -> Mapping[str, bool] | None:
        """What it found to train, see `Checked`; None where it did not come so far."""
        return self._reader.architectures

    def follow(self, note: Callable[[Finding], None]) -> None:
        """Notes findings until the process ends or hangs."""
        try:
            self._follow(note)
        finally:
            self._kill()
            self._reader.close()

    def _follow(self, note: Callable[[Finding], None]) -> None:
        heard, current = time.monotonic(), self._reader.current
        while True:
            running = self._process.poll() is None
            for finding in self._reader.new():
                note(finding)
                heard = time.monotonic()
            if current != self._reader.current:
                heard, current = time.monotonic(), self._reader.current
            if not running:
                break
            if time.monotonic() - heard > self._limit_seconds:
                note(self._unfinished(f"expected to end, got no end within {self._limit_seconds:g} s", ask=True))
                return
            time.sleep(_POLL_SECONDS)
        if not self._reader.finished:
            note(self._unfinished(f"the process {_end_of(self._process.returncode)}", ask=False))

    def _unfinished(self, problem: str, *, ask: bool) -> Finding:
        if ask:
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(_ANSWER_SECONDS)
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        where = PluginPlaces(self._reader.roots).of_dump("\n".join(lines))
        last = f"; it wrote last: {lines[-1].strip()[:200]}" if lines and not where else ""
        return Finding(self._reader.current or "the check can begin", Outcome.FAILED, problem + last, where)

    def _kill(self) -> None:
        end_group(self._process.pid)
        self._process.wait()


def end_group(pid: int) -> None:
    """Kills the process `pid`, which leads a session of its own, and what is left of those that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _end_of(returncode: int) -> str:
    if returncode < 0:
        return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended by itself with exit code {returncode}"
