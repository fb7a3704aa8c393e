"""Where a loss stands between the reference lines of its run, and how long a run stayed on the plateau of pairs.

Lines are losses of n-gram models of the text that the run saw (`archbench.data.ngrams`). A model above the line of
pairs has learnt no more than which token follows which: no multiplier and no tier is read there (`on_plateau`). For a
masked objective the line of both neighbours takes that part.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from archbench.results.runs import RunRecord

UNKNOWN = "unknown"
"""Said of runs that noted no lines: imported ones, those of older versions, objectives that have none."""

_CAUSAL = {"unigram": "single tokens", "bigram": "pairs", "trigram": "triples"}
_MASKED = {"unigram": "single tokens", "neighbours": "both neighbours"}
_PLATEAU = ("bigram", "neighbours")
"""The line above which a loss is on the plateau, of either kind."""
BAND = 0.1
"""Half of the width of the band about the plateau's line, as a share of the step to it from the line of single tokens:
0.06 nats where single tokens reach 3.4 and pairs 2.8."""


def lines_problem(lines: Mapping[str, object]) -> str | None:
    """What is wrong with stored lines, in words; None where they are all of one kind, or none."""
    if lines and set(lines) not in (set(_CAUSAL), set(_MASKED)):
        expected = " or ".join(", ".join(names) for names in (_CAUSAL, _MASKED))
        return f"reference_lines: got {', '.join(map(str, lines))}, expected {expected}"
    for name, value in lines.items():
        if type(value) is not float or not math.isfinite(value) or value < 0.0:
            return f"reference_lines: {name} is {value!r}, expected nats per token"
    return None


def plateau_line(lines: Mapping[str, float]) -> tuple[str, float] | None:
    """Name and loss in nats of the line above which nothing is read; None where lines are not known."""
    return next(((name, lines[name]) for name in _PLATEAU if name in lines), None)


def is_on_plateau(loss_nats: float, lines: Mapping[str, float]) -> bool | None:
    """Whether the loss lies on or above the plateau's line; None where lines are not known."""
    found = plateau_line(lines)
    return None if found is None else loss_nats >= found[1]


def mean_lines(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each line over those of `several` that are known; empty where none is, or where they differ in kind.

    Runs that differ in the seed alone have the same lines, unless one of them stopped early.
    """
    known = [lines for lines in several if lines]
    if not known or any(lines.keys() != known[0].keys() for lines in known):
        return {}
    return {name: sum(lines[name] for lines in known) / len(known) for name in known[0]}


def place_words(loss_nats: float, lines: Mapping[str, float]) -> str:
    """`24 % of the way from pairs to triples`, `past triples`, `unknown`: where a loss stands between its lines."""
    if not lines:
        return UNKNOWN
    steps = _steps(lines)
    if loss_nats > steps[0][1]:
        return f"not yet at {steps[0][0]}"
    for (before, high), (after, low) in pairwise(steps):
        if loss_nats > low:
            return f"{100.0 * (high - loss_nats) / (high - low):.0f} % of the way from {before} to {after}"
    return f"past {steps[-1][0]}"


def _steps(lines: Mapping[str, float]) -> list[tuple[str, float]]:
    """What each line is a model of, and its loss; of a line that lies above one before it, as of little text, that."""
    names, lowest = (_MASKED if "neighbours" in lines else _CAUSAL), math.inf
    steps = []
    for name, words in names.items():
        lowest = min(lowest, lines[name])
        steps.append((words, lowest))
    return steps


def plateau_share(run: RunRecord) -> float | None:
    """Share of a run's tokens in which its loss lay within a band about the plateau's line; None where not known.

    The band reaches `BAND` of the step from single tokens to that line to either side. Between two evaluations the
    loss is taken to be linear in tokens: a hump shorter than the distance of two evaluations is not seen. Lines are of
    the text that the final loss is of; a curve of less text is scaled to end at that loss.
    """
    curve, lines = run.curve, run.reference_lines
    found = plateau_line(lines)
    if found is None or len(curve) < 2 or curve[-1].tokens <= curve[0].tokens:
        return None
    half = BAND * max(lines["unigram"] - found[1], 0.0)
    low, high = found[1] - half, found[1] + half
    scale = (run.final_loss_nats or 0.0) / curve[-1].validation_loss_nats
    inside = sum(
        (end.tokens - start.tokens)
        * _share_inside(scale * start.validation_loss_nats, scale * end.validation_loss_nats, low, high)
        for start, end in pairwise(curve)
    )
    return inside / (curve[-1].tokens - curve[0].tokens)


def _share_inside(start: float, end: float, low: float, high: float) -> float:
    """Share of the straight way from `start` to `end` that lies between `low` and `high`."""
    if start == end:
        return float(low <= start <= high)
    bottom, top = min(start, end), max(start, end)
    return max(0.0, min(top, high) - max(bottom, low)) / (top - bottom)


def end_place(run: RunRecord) -> str:
    """`place_words` of a run's final loss; a dash for a run without one."""
    loss = run.final_loss_nats
    return "-" if loss is None else place_words(loss, run.reference_lines)


def share_words(share: float | None) -> str:
    """`12 % of its tokens on the plateau`; empty where it is not known."""
    return "" if share is None else f"{100.0 * share:.0f} % of its tokens on the plateau"
