"""What the gate before a fit said of a table: rows left out and why, and what is suspicious. Frozen values.

Rows are counted from 1, the first below the header.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_MOST_SPANS = 8
"""Spans of rows that a sentence lists; JSON has them all."""
_MOST_RUNS = 4


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that enter no analysis, for one reason."""

    kind: str
    """`no_number`, `not_positive`, `other_unit`, `no_label`, `repeated`, `superseded`, `diverged`, `not_best` or
    `not_asked`."""
    rows: tuple[int, ...]
    runs: tuple[str, ...]
    """Names of the runs concerned, where rows belong to runs of several; empty otherwise."""
    reason: str
    """In words, with the column and its flag."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Rows that were kept, and that a reader should look at."""

    kind: str
    """`outlier`, `rising`, `ends_without_loss`, `taken_as_seeds`, `sweep_reduced`, `sweep_edge`, `equal_losses`,
    `odd_seed`, `cut_short`, `steps_go_back`, `joined`, `compute_unit`, `no_seconds`, `several_points_a_run`; against
    another contender `losses_of_another` or `bits_beside_nats`."""
    rows: tuple[int, ...]
    runs: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Admission:
    """Which rows of a table were used."""

    source: str = ""
    """The file; empty for runs that came from no table."""
    rows_read: int = 0
    rows_used: int = 0
    loss_unit: str = "nats per token"
    """What the losses of the table are in, after conversion: `nats per token`, `bits per byte` or `nats per byte`."""
    left_out: tuple[LeftOut, ...] = ()
    suspicions: tuple[Suspicion, ...] = ()

    def left_out_counts(self) -> dict[str, int]:
        """Kind of reason -> number of rows left out for it."""
        counts: dict[str, int] = {}
        for one in self.left_out:
            counts[one.kind] = counts.get(one.kind, 0) + len(one.rows)
        return counts

    def lines(self) -> tuple[str, ...]:
        """The same sentences for terminal, JSON and report: what was used, what not and why, what is suspicious."""
        if not self.source:
            return ()
        used = f"{self.rows_used:,} of {self.rows_read:,} rows used"
        if not self.rows_used:
            used += ": left out altogether"
        if self.loss_unit != "nats per token":
            used += f"; loss in {self.loss_unit}"
        return (
            used,
            *(f"left out: {place_text(one.rows, one.runs)}: {one.reason}" for one in self.left_out),
            *(f"suspicious: {place_text(one.rows, one.runs)}: {one.words}" for one in self.suspicions),
        )


def place_text(rows: Iterable[int], runs: Iterable[str] = ()) -> str:
    """`rows 3, 7-9 (run a)`: where in a table something is; long lists are cut and counted."""
    numbers, names = sorted(set(rows)), list(runs)
    spans: list[list[int]] = []
    for row in numbers:
        if spans and row == spans[-1][1] + 1:
            spans[-1][1] = row
        else:
            spans.append([row, row])
    shown = [str(low) if low == high else f"{low}-{high}" for low, high in spans[:_MOST_SPANS]]
    text = f"row{'' if len(numbers) == 1 else 's'} {', '.join(shown)}"
    if len(spans) > _MOST_SPANS:
        text += f", ... ({len(numbers):,} rows)"
    if names:
        more = f" and {len(names) - _MOST_RUNS} more" if len(names) > _MOST_RUNS else ""
        text += f" (run{'' if len(names) == 1 else 's'} {', '.join(names[:_MOST_RUNS])}{more})"
    return text
