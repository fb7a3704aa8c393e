"""What `fit --law allocation` answers: how N and D of each architecture grow with compute.

Legend: N parameters, D tokens, C compute, a and b of N ~ C^a and D ~ C^b.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archbench.analysis.planning.approaches import AllocationRow, study_allocation
from archbench.answers.outputs.analysis import AllocationOutput, ArchAllocation
from archbench.answers.outputs.gate import gate_output
from archbench.answers.table_options import ALLOCATION, Table, load_tables, stated_params, unstated
from archbench.errors import SpecError
from archbench.results.admission import Admission

_MOST_RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Allocation:
    """How N and D of one architecture grow with compute."""

    arch: str
    rows: tuple[AllocationRow, ...]
    """One for each approach."""
    gate: Admission


def find_allocations(table: Table, options: Mapping[str, Any]) -> list[Allocation]:
    """The exponents of each architecture, in order of name. Raises SpecError where a column is not named."""
    for flag in ("params", "tokens", "compute"):
        if options[flag] is None and not (flag == "params" and options["params_active"]):
            raise SpecError(f"--law {ALLOCATION}: needs N, D and C; name the column by --{flag}")
    return [
        Allocation(
            runs.arch,
            tuple(
                study_allocation(
                    runs,
                    delta=options["delta"],
                    resamples=min(options["resamples"], _MOST_RESAMPLES),
                    seed=options["random_seed"],
                )
            ),
            runs.gate,
        )
        for runs in load_tables(table, options)
    ]


def allocation_output(source: str, found: Sequence[Allocation], options: Mapping[str, Any]) -> AllocationOutput:
    """`found` as JSON prints it."""
    fits = [ArchAllocation(one.arch, list(one.rows), gate_output(one.gate)) for one in found]
    return AllocationOutput(source, fits, list(unstated(options)))


def allocation_head(one: Allocation, options: Mapping[str, Any]) -> Iterator[str]:
    """What the exponents are, what the gate says, and notes."""
    head = f"{one.arch}: " if one.arch else ""
    yield f"{head}N ~ C^a, D ~ C^b (Hoffmann et al. 2022, section 3), N {stated_params(options)}"
    yield from one.gate.lines()
    yield from (f"note: {line}" for line in unstated(options))


def approach_notes(one: Allocation) -> Iterator[str]:
    """What is known of each approach on this table."""
    return (f"{row.approach}: {line}" for row in one.rows for line in row.notes)
