"""Normalised learning curves of a scan: how far those of each ladder agree, and what is minded of them."""

from archbench.analysis.frontier.collapse import analyse_collapse
from archbench.contracts.report import ScanResults
from archbench.report.once import once
from archbench.results.controls import Collapse
from archbench.results.runs import size_number


@once
def collapse_of(results: ScanResults) -> tuple[Collapse, ...]:
    """How far the normalised learning curves of every contender's ladder agree."""
    return analyse_collapse(results.records)


def collapse_warnings(results: ScanResults) -> list[str]:
    """A line on each contender with a size whose normalised curve departs from the others'."""
    return [
        f"{one.contender}: the normalised learning curve of size "
        + ", ".join(f"{size_number(rung.size_index)} ({100 * rung.residual:+.1f} %)" for rung in one.flagged)
        + " departs from the other sizes': its learning rate may be off"
        for one in collapse_of(results)
        if one.flagged
    ]
