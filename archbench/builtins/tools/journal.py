"""A journal of what was finished on this machine: one JSON line for each run and each scan, newest last."""

import json
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

from archbench.contracts.report import ScanResults
from archbench.display import terminal_text
from archbench.errors import DataError
from archbench.results.runs import RunRecord
from archbench.user_folders import state_folder


def journal_file() -> Path:
    """`archbench/journal.jsonl` in the user's state folder (XDG base directories). Raises DataError without any."""
    return state_folder() / "journal.jsonl"


def note_run(record: RunRecord) -> None:
    """Appends one line about a run that has ended."""
    last = record.curve[-1] if record.curve else None
    _append(
        {
            "event": "run",
            "run_id": record.run_id,
            "contender": record.contender,
            "non_embedding_params": record.non_embedding_params,
            "seed": record.seed,
            "state": record.state.value,
            "reason": record.reason,
            "tokens": last.tokens if last else 0,
            "validation_loss_nats": record.final_loss_nats,
        }
    )


def note_scan(results: ScanResults) -> None:
    """Appends one line about a scan that was analysed."""
    _append(
        {
            "event": "scan",
            "name": results.name,
            "runs": len(results.records),
            "usable": sum(record.usable for record in results.records),
        }
    )


@click.command("journal")
@click.option("--last", "count", type=click.IntRange(min=1), default=20, show_default=True, help="Lines to show.")
def journal(count: int) -> None:
    """Show what was finished on this machine last."""
    for entry in read_journal()[-count:]:
        what = (
            f"run {entry['run_id'][:16]} {entry['contender']} {entry['non_embedding_params']:,} parameters "
            f"seed {entry['seed']}: {entry['state']}"
            if entry["event"] == "run"
            else f"scan {entry['name']}: {entry['usable']} of {entry['runs']} runs usable"
        )
        click.echo(terminal_text(f"{entry['time']}  {what}"))


def read_journal() -> list[Mapping[str, Any]]:
    """All whole lines of the journal, oldest first; a line torn by a crash is passed over."""
    entries: list[Mapping[str, Any]] = []
    try:
        lines = journal_file().read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return entries
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries


def _append(entry: Mapping[str, Any]) -> None:
    """Adds a line; where the journal cannot be written, that is said once, and nothing depends on it."""
    stamped = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **entry}
    try:
        path = journal_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        # One write of one line: appends of several drivers do not mix.
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(stamped, ensure_ascii=False) + "\n")
    except (OSError, DataError) as error:
        _tell_once(f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error))


@lru_cache
def _tell_once(problem: str) -> None:
    said = f"the journal of finished runs is not kept: {problem}; $XDG_STATE_HOME names another folder for it"
    click.echo(terminal_text(said), err=True)
