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
            if not one.powers:
                yield f"  {one.contender}: none can be given: {one.reason}"
                continue
            yield f"  {one.contender}, seed SD {one.seed_std_nats:.2g} nats: {_words(one)}"


def _words(one: "PlannedPower") -> str:
    chances = ", ".join(f"{100 * row.power:.0f} % if truly {row.factor:.3g}x" for row in one.powers)
    return f"{chances}; 80 % takes {', '.join(_takes(row.factor, row.seeds, row.cost) for row in one.powers)}"


def _takes(factor: float, seeds: int | None, cost: float | None) -> str:
    if seeds is None or cost is None:
        return f"more than 1,000 seeds at {factor:.3g}x"
    return f"{counted(seeds, 'seed')} a size ({human_count(cost)} FLOPs) at {factor:.3g}x"


def power_rows(found: Sequence["PlannedPower"]) -> list[PowerRow]:
    """The same for `--json`; a row without a power where none can be given."""
    return [
        PowerRow(
            contender=one.contender,
            margin=one.margin,
            true_multiplier=row.factor if row else None,
            seed_std_nats=one.seed_std_nats,
            power=row.power if row else None,
            seeds_for_80_percent=row.seeds if row else None,
            flops_for_80_percent=row.cost if row else None,
            source=one.source,
            reason=one.reason,
        )
        for one in found
        for row in one.powers or (None,)
    ]
