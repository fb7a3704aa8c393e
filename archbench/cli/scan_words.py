"""The state of a scan's runs in words."""

from collections import Counter
from collections.abc import Iterable, Sequence

from archbench.cli.outputs.runs import RunRow
from archbench.results.runs import RunRecord, RunState
from archbench.units import counted


def unprotected_words(runs: Iterable[RunRecord | RunRow]) -> str:
    """How many of `runs` no digest vouches for, in words; empty where there are none."""
    count = sum(not run.protected for run in runs)
    written = "version 0.1.0, which wrote them, had none"
    return f"{counted(count, 'run')} not protected by a digest: {written}" if count else ""


def counts_words(records: Sequence[RunRecord], num_runs: int) -> str:
    """How many runs are in which state, in words."""
    counts = Counter(record.state for record in records)
    words = [f"{counts[state]} {state.value}" for state in RunState if counts[state]]
    missing = num_runs - len(records)
    return ", ".join([*words, *([f"{missing} missing or unreadable"] if missing else [])]) or "no runs"
