"""The verdict on a scan whose runs have all ended: `python -m archbench.view.answer RUNS SCAN [PLUGIN]...`

It takes seconds to minutes, and the server would stand still meanwhile; so it is computed in a process of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from archbench.cli.common import host_with
from archbench.contracts.report import ScanResults
from archbench.errors import ArchbenchError
from archbench.runs.store import RunStore

Answer = dict[str, Any]
"""`sentence`, and what stands below it: `columns` of the ranked table, `basis`, `mind` and `detail`; or `problem`."""


def answer_of(runs_dir: Path, name: str, plugin_files: Sequence[Path] = ()) -> Answer:
    """What `archbench report` says of the scan, by the same functions; `problem` where it cannot say anything."""
    # Imported now: the server, which computes none, starts without the libraries of analysis.
    from archbench.cli.finish import scan_results

    try:
        store = RunStore(runs_dir)
        index = store.scan(name)
        records, _ = store.records(index)
        if not any(record.usable for record in records):
            return {"problem": ["no run is usable, so there is nothing to analyse"]}
        return answer_from(scan_results(index, records, host_with(plugin_files)))
    except ArchbenchError as error:
        return {"problem": list(error.problems)}


def answer_from(results: ScanResults) -> Answer:
    """The parts of a report's opening."""
    from archbench.report.answer import answer_sentence
    from archbench.report.ranked import GIVEN_UP, ColumnKind, basis, ranked_table
    from archbench.report.verdict import details, reservations

    table = ranked_table(results)
    columns = [
        {
            "title": column.title,
            "cells": [cell.strip("`") for cell in column.cells],
            "drawn": column.kind is ColumnKind.DRAWING,
            "minor": column.kind in GIVEN_UP,
        }
        for column in (table.columns if table is not None else ())
    ]
    return {
        "sentence": answer_sentence(results),
        "columns": columns,
        "basis": basis(results),
        "mind": reservations(results),
        "detail": details(results),
    }


class Answers:
    """Verdicts by scan, each computed once for each state of it, one at a time."""

    def __init__(self, runs_dir: Path, plugin_files: Sequence[Path] = ()) -> None:
        self._runs_dir, self._plugin_files = runs_dir, tuple(plugin_files)
        self._threads = ThreadPoolExecutor(1, "verdict")
        self._asked: dict[str, tuple[str, Future[Answer]]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._lock = Lock()

    def of(self, name: str, version: str, timeout_s: float | None = None) -> Answer | None:
        """The verdict on the scan in this `version` of it; None where it is not known within `timeout_s`."""
        with self._lock:
            asked = self._asked.get(name)
            if asked is None or asked[0] != version:
                asked = (version, self._threads.submit(self._ask, name))
                self._asked[name] = asked
        try:
            return asked[1].result(timeout_s)
        except TimeoutError:
            return None

    def close(self) -> None:
        """Ends what is being computed; it is lost."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
        self._threads.shutdown(cancel_futures=True)

    def _ask(self, name: str) -> Answer:
        command = [sys.executable, "-m", __name__, str(self._runs_dir), name, *map(str, self._plugin_files)]
        with self._lock:
            if self._closed:
                return {"problem": ["the page was closed"]}
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        with self._process as process:
            said, _ = process.communicate()
        if process.returncode:
            return {"problem": [f"the scan could not be analysed; `archbench report {name}` says why"]}
        answer: Answer = json.loads(said)
        return answer


if __name__ == "__main__":
    os.nice(10)  # who looks at the page, and the runs that still train, go first
    words = sys.argv[1:]
    print(json.dumps(answer_of(Path(words[0]), words[1], [Path(word) for word in words[2:]])))
