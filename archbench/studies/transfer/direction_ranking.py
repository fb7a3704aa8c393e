"""Which direction helps more: directions with one end in common, compared on the cells that all of them have.

The figure is the geometric mean of D_E/D_F over cells (size and D_F): it has no unit, so it compares targets whose
tokens hold different numbers of bytes. Two directions are told apart if the interval of the ratio leaves out 1 and
Holm's p-value over all pairs of the ranking is below 0.05.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.frontier.tiers import LEVEL, holm
from archbench.analysis.significance import two_sided_p
from archbench.results.fits import Interval
from archbench.studies.transfer.effective_data import Effective, exponential_interval
from archbench.studies.transfer.results import DirectionPair, DirectionRanking, DirectionScore

Direction = tuple[str, str]
"""(source, target)."""


@dataclass(frozen=True, slots=True)
class _Mean:
    """Mean of ln D_E/D_F over the shared cells of a ranking."""

    direction: Direction
    value: float
    draws: Array | None


def rank_directions(
    contender: str, directions: Mapping[Direction, Sequence[Effective]]
) -> tuple[DirectionRanking, ...]:
    """A ranking of the targets of each source, and of the sources of each target, where there are two or more."""
    found = []
    for end, words in ((0, "from"), (1, "to")):
        for common in dict.fromkeys(direction[end] for direction in directions):
            group = {key: cells for key, cells in directions.items() if key[end] == common}
            if len(group) > 1:
                found.append(_ranking(contender, f"{words} {common}", 1 - end, group))
    return tuple(found)


def mean_multiplier(cells: Sequence[Effective]) -> Interval | None:
    """Geometric mean of D_E/D_F over those of `cells` whose interval lies within the data; None without any."""
    usable = [one for one in cells if one.inside]
    if not usable:
        return None
    mean = _mean(("", ""), usable)
    return exponential_interval(mean.value, mean.draws)


def _ranking(
    contender: str, common: str, other_end: int, group: Mapping[Direction, Sequence[Effective]]
) -> DirectionRanking:
    by_key = {
        direction: {(one.cell.size_index, one.cell.tokens): one for one in cells} for direction, cells in group.items()
    }
    shared = set.intersection(*(set(cells) for cells in by_key.values()))
    usable = sorted(key for key in shared if all(cells[key].inside for cells in by_key.values()))
    if not usable:
        reason = "no order: at no size and D_F do the intervals of all of them lie within the data"
        return DirectionRanking(contender, common, 0, len(shared), (), (), reason)
    means = [_mean(direction, [cells[key] for key in usable]) for direction, cells in by_key.items()]
    means.sort(key=lambda mean: -mean.value)
    pairs = _pairs(means, len(usable))
    return DirectionRanking(
        contender=contender,
        common=common,
        num_cells=len(usable),
        censored_cells=len(shared) - len(usable),
        scores=tuple(DirectionScore(*mean.direction, exponential_interval(mean.value, mean.draws)) for mean in means),
        pairs=pairs,
        statement=_statement(means, pairs, other_end),
    )


def _mean(direction: Direction, cells: Sequence[Effective]) -> _Mean:
    """The few draws that leave the data stand at its edge: a mean of infinities would hide all other cells."""
    value = float(np.mean([one.log_multiplier for one in cells]))
    drawn = [np.clip(one.draws, *one.log_ends) - np.log(one.cell.tokens) for one in cells if one.draws is not None]
    return _Mean(direction, value, np.mean(drawn, axis=0) if len(drawn) == len(cells) else None)


def _pairs(means: Sequence[_Mean], num_cells: int) -> tuple[DirectionPair, ...]:
    chosen = list(combinations(range(len(means)), 2))
    differences = [None if (a := means[i].draws) is None or (b := means[j].draws) is None else a - b for i, j in chosen]
    p_values = [None if draws is None else two_sided_p(draws) for draws in differences]
    corrected = holm({number: p for number, p in enumerate(p_values) if p is not None})
    found = []
    for number, (i, j) in enumerate(chosen):
        ratio = exponential_interval(means[i].value - means[j].value, differences[number])
        p_value = corrected.get(number)
        apart = p_value is not None and p_value < LEVEL and ratio.low > 1.0
        found.append(
            DirectionPair(means[i].direction, means[j].direction, ratio, p_values[number], p_value, num_cells, apart)
        )
    return tuple(found)


def _statement(means: Sequence[_Mean], pairs: Sequence[DirectionPair], other_end: int) -> str:
    apart = {(pair.first, pair.second): pair.told_apart for pair in pairs}
    words = means[0].direction[other_end]
    for better, worse in pairwise(means):
        sign = ">" if apart[(better.direction, worse.direction)] else "~"
        words += f" {sign} {worse.direction[other_end]}"
    return words
