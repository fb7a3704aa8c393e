"""What `--json` prints of the leaderboard."""

from dataclasses import dataclass

from archbench.results.fits import FitResult, HeadlineMultiplier, Interval, QuestionAnswer


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a contender stands in a table of the leaderboard, on one cost axis."""

    track: str
    tier: str
    """`laptop`, `accelerator` or `cluster`, by the executed FLOPs of the largest run."""
    dataset: str
    cost_axis: str
    reference_cost: float
    """Of the reference's dearest run."""
    name: str
    whose: str | None
    """`own`, `published`, or `published and own`: the same runs; None on a leaderboard that stands by itself."""
    rank: int | None
    """One plus the number of those that need significantly less compute; None where it is not ranked."""
    unranked: str
    """Why it has no rank; empty where it has one."""
    loss_nats: Interval | None
    """At the reference cost; None where its runs do not reach it."""
    law: FitResult
    """L(C) of the finished runs."""
    multiplier: HeadlineMultiplier | None
    """Over the table's reference, in the table's window; None for the reference itself."""
    answer: QuestionAnswer | None
    """To the question that the specs of all entries ask; None for the reference, and where they ask none or several."""
    control_failed: bool
    """Whether a control of its scan failed, so that no answer may be relied on."""


@dataclass(frozen=True, slots=True)
class LeaderboardOutput:
    """`archbench leaderboard`."""

    changed: list[str]
    """Files that were written anew."""
    problems: list[str]
    """Entries that are left out, and with --check what is out of date."""
    standings: list[Standing]
    """By rank inside each table."""
    verdicts: dict[str, str]
    """Name of a scan of that folder -> its verdict in one sentence, as every output says it."""


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
