"""What `archbench plan` says of the question: its power, and what would make it enough."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from archbench.cli.outputs.plans import PowerRow
from archbench.units import counted, human_count

if TYPE_CHECKING:
    from archbench.planning.power import PlannedPower


def power_lines(found: Sequence["PlannedPower"]) -> Iterator[str]:
    """A line on what the power rests on, and one for each contender and noise."""
    for (margin, source), some in groupby(found, key=lambda one: (one.margin, one.source)):
        yield f"question: better by {margin:g}? Power, {source}:"
        for one in some:
            yield f"  {one.contender}, seed SD {one.seed_std_nats:.2g} nats: {_words(one)}"


def _words(one: "PlannedPower") -> str:
    if not one.powers:
        return f"none can be given: {one.reason}"
    chances = ", ".join(f"{100 * row.power:.0f} % if truly {row.factor:.3g}x" for row in one.powers)
    return f"{chances}; 80 % takes {', '.join(_takes(row.factor, row.seeds, row.cost) for row in one.powers)}"


def _takes(factor: float, seeds: int | None, cost: float | None) -> str:
    if seeds is None or cost is None:
        return f"more than 1,000 seeds at {factor:.3g}x"
    return f"{counted(seeds, 'seed')} a size ({human_count(cost)} FLOPs) at {factor:.3g}x"


def power_rows(found: Sequence["PlannedPower"]) -> list[PowerRow]:
    """The same for `--json`."""
    return [
        PowerRow(
            contender=one.contender,
            margin=one.margin,
            true_multiplier=row.factor,
            seed_std_nats=one.seed_std_nats,
            power=row.power,
            seeds_for_80_percent=row.seeds,
            flops_for_80_percent=row.cost,
            source=one.source,
        )
        for one in found
        for row in one.powers
    ]
