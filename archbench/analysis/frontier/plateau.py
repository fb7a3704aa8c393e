"""The plateau gate: what ends on or above the line of pairs enters no multiplier, no law and no tier.

A small model learns single tokens, then pairs, and its loss stays at the line of pairs until it has found what to do
with more context. On that plateau losses of all architectures are alike, and a factor between their costs is one of how
long each stays there.
"""

from dataclasses import replace

from archbench.analysis.frontier.curves import CurveSet
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.results.runs import size_number

_LEARNT = {"bigram": "which token follows which", "neighbours": "which tokens stand beside which"}


def beyond_plateau(curves: CurveSet) -> CurveSet:
    """`curves` without those that end on the plateau."""
    return replace(curves, curves=tuple(curve for curve in curves.curves if not curve.on_plateau))


def ends_on_plateau(curves: CurveSet, size_index: int) -> bool:
    """Whether every curve of a size ends on the plateau."""
    return all(curve.on_plateau for curve in curves.curves if curve.size_index == size_index)


def plateau_note(finished: FinishedRuns) -> str:
    """What of a contender is not read for the plateau, in words; empty where all is."""
    if finished.refusal:
        learnt = _LEARNT[finished.line]
        return (
            f"on_plateau: {finished.refusal}. There no more is learnt than {learnt}: no multiplier, law or tier is "
            "read; longer or larger runs would tell"
        )
    if not finished.aside:
        return ""
    sizes = ", ".join(str(size_number(size)) for size in finished.aside)
    one = len(finished.aside) == 1
    return (
        f"on_plateau: {'size' if one else 'sizes'} {sizes} {'ends' if one else 'end'} on or above the {finished.line} "
        f"line and {'is' if one else 'are'} left out"
    )
