"""The runs of a stored scan that a question is asked of: those of its size scan, of all contenders or of one."""

from collections.abc import Callable

from archbench.errors import SpecError, nearest
from archbench.results.runs import RunRecord, size_scan_contenders, size_scan_results
from archbench.runs.store import RunStore


def size_scan_of(
    store: RunStore, scan: str, contender: str | None, say: Callable[[str], None]
) -> tuple[list[str], tuple[RunRecord, ...]]:
    """The contenders that are asked about, in the scan's order, and the size scan's records of all.

    Runs that cannot be read are told by `say`. Raises SpecError where the scan has no `contender`.
    """
    index = store.scan(scan)
    names = size_scan_contenders(index.runs)
    if contender is not None and contender not in names:
        raise SpecError(f"--contender: {scan!r} has none called {contender!r}{nearest(contender, names)}")
    records, problems = store.records(index)
    for problem in problems:
        say(f"warning: {problem}")
    return [contender] if contender else names, size_scan_results(records)
