"""What `--json` prints of the leaderboard."""

from dataclasses import dataclass

from archbench.results.fits import FitResult, Interval, MultiplierPoint


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a contender stands in a table of the leaderboard, on one cost axis."""

    track: str
    tier: str
    """`laptop`, `accelerator` or `cluster`, by the executed FLOPs of the largest run."""
    dataset: str
    cost_axis: str
    reference_cost: float
    """The largest cost that all contenders of the table reach."""
    name: str
    rank: tuple[int, int]
    """First and last place that its interval allows."""
    loss_nats: Interval
    """At the reference cost."""
    law: FitResult
    """L(C) on the frontier."""
    multiplier: MultiplierPoint | None
    """Over the table's baseline; None for the baseline itself."""


@dataclass(frozen=True, slots=True)
class LeaderboardOutput:
    """`archbench leaderboard`."""

    changed: list[str]
    """Files that were written anew."""
    problems: list[str]
    """Entries that are left out, and with --check what is out of date."""
    standings: list[Standing]
    """By rank inside each table."""


@dataclass(frozen=True, slots=True)
class CheckedEntry:
    """What checking one entry of the leaderboard showed."""

    path: str
    problems: list[str]
    """Why it is refused; empty where it is good."""
    unchecked: list[str]
    """What could not be checked here, and why."""


@dataclass(frozen=True, slots=True)
class SubmissionOutput:
    """`archbench leaderboard check`."""

    entries: list[CheckedEntry]
