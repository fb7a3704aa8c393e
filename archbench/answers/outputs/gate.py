"""What `--json` prints of the gate before a fit."""

from dataclasses import dataclass

from archbench.results.admission import Admission, LeftOut, Suspicion


@dataclass(frozen=True, slots=True)
class GateOutput:
    """Which rows of the table were used, which were left out and why, and what is suspicious."""

    rows_read: int
    rows_used: int
    loss_unit: str
    """What losses are in, after conversion."""
    left_out: list[LeftOut]
    suspicions: list[Suspicion]
    lines: list[str]
    """The same as sentences, as the terminal and reports print them."""


def gate_output(gate: Admission) -> GateOutput:
    """`gate` as JSON prints it."""
    return GateOutput(
        gate.rows_read,
        gate.rows_used,
        gate.loss_unit,
        list(gate.left_out),
        list(gate.suspicions),
        list(gate.lines()),
    )
