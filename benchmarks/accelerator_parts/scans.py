"""Real scans by `archbench run`, in a process of their own, within a time."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from archbench.results.runs import RunRecord
from archbench.runs.store import RunStore
from archbench.workers.processes import end_processes

EXIT_INTERRUPTED = 130
"""Of `archbench run`."""
ENDING_SECONDS = 5.0
"""What is kept for the end of a scan that ran out of time."""


class Scan:
    """`archbench run` of one spec, and the runs of it that have ended."""

    def __init__(self, spec: str, folder: Path, name: str, options: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        spec_file = folder / f"{name}.yaml"
        spec_file.write_text(spec)
        self._name = name
        self._store = RunStore(folder / "runs")
        self.report = folder / "reports" / name / "report.html"
        places = [f"--{place}={folder / place}" for place in ("runs", "reports", "leaderboard")]
        command = [sys.executable, "-m", "archbench.cli.main", "run", str(spec_file), *options, *places]
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, f"--cache={folder.parent / 'cache'}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._said: set[str] = set()

    def records(self, until: float) -> Iterator[RunRecord]:
        """Runs as they end, until the monotonic time `until`; the scan is then told to stop."""
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(0.5)
            yield from self._ended()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                # With its workers, which would go on writing for a while.
                end_processes(self._process.pid)
                self._process.wait()
        sys.stderr.write(self._log.read_text(errors="replace"))
        yield from self._ended()

    @property
    def problem(self) -> str | None:
        """How it ended, with its last line, where it ended by itself and not well."""
        code = self._process.poll()
        if not code or code == EXIT_INTERRUPTED:
            return None
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return f"archbench run ended with exit code {code}: {lines[-1] if lines else 'it said nothing'}"

    def _ended(self) -> Iterator[RunRecord]:
        if self._name not in self._store.scan_names():
            return
        for run in self._store.scan(self._name).runs:
            record = None if run.run_id in self._said else self._store.record(run)
            # Timings are written before the record is.
            if record is not None and record.state.ended:
                self._said.add(run.run_id)
                yield record


def figures(record: RunRecord) -> dict[str, Any]:
    """Of a run that has ended."""
    timings = record.details.get("timings", {})
    last = record.curve[-1] if record.curve else None
    return {
        "status": "measured" if record.usable else f"{record.state.value}: {record.reason}",
        "non_embedding_params": record.non_embedding_params,
        "tokens": record.planned_tokens,
        "validation_loss_nats": None if last is None else round(last.validation_loss_nats, 4),
        "bits_per_byte": None if last is None or last.bits_per_byte is None else round(last.bits_per_byte, 4),
        "training_seconds": timings.get("training_seconds"),
        "tokens_per_s": timings.get("tokens_per_second"),
        "share_of_measured_peak": timings.get("model_flop_utilisation"),
        "peak_memory_bytes": timings.get("peak_memory_bytes"),
        "ranks": timings.get("nproc"),
        "zero_stage": timings.get("zero_stage"),
    }
