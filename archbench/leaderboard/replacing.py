"""Whether the entries of a scan may take the place of those that stand on a leaderboard."""

from collections.abc import Callable
from pathlib import Path

from archbench.errors import ArchbenchError, SpecError
from archbench.leaderboard.entry_files import entry_file, read_entry
from archbench.names import free_name
from archbench.results.published import ENTRIES
from archbench.results.runs import RunState, size_scan_contenders, size_scan_results
from archbench.runs.replacing import Restate, difference, same_spec
from archbench.runs.store import ScanIndex
from archbench.units import counted


def require_free_entries(
    directory: Path, index: ScanIndex, *, rename: Callable[[str], str], restate: Restate = lambda spec: spec
) -> None:
    """Raises SpecError where an entry of `index` would replace one of another scan of its name.

    The same spec, and one whose runs hold those of the entry, replace it as they always did: its history keeps what
    it stated. `rename` gives the words that choose a name on the command line. A damaged entry refuses nothing here: it
    is not replaced either.
    """
    published = index.environment.get(ENTRIES, {})
    for contender in size_scan_contenders(run for run in index.runs if run.contender not in published):
        path = entry_file(directory, index.name, contender)
        if not path.is_file():
            continue
        try:
            entry = read_entry(path)
        except ArchbenchError:
            continue
        given = {run.run_id for run in size_scan_results(index.runs) if run.contender == contender}
        lost = sum(run.state is RunState.DONE and run.run_id not in given for run in entry.runs)
        if not lost or same_spec(entry.spec, index.spec, restate):
            continue
        stems = {one.stem.partition("--")[0] for one in path.parent.glob("*--*.json")}
        raise SpecError(
            f"{path}: is the entry of another scan {index.name!r}: {counted(len(entry.runs), 'run')} of {contender}, "
            f"{lost} of which are not in this one{difference(entry.spec, index.spec, restate)}; "
            f"say {rename(free_name(index.name, stems | {index.name}))} to keep both, or --replace"
        )
