"""What `--json` prints of comparisons: compare, report."""

from dataclasses import dataclass, field

from archbench.results.controls import Collapse, ControlOutcome
from archbench.results.fits import Comparison, ComparisonAt, QuestionAnswer


@dataclass(frozen=True, slots=True)
class CompareOutput:
    """`archbench compare`."""

    scans: list[str]
    comparisons: list[Comparison]
    """One for each cost axis."""
    places: list[ComparisonAt] = field(default_factory=list)
    """What was asked for by --at-cost and --at-loss, on each axis."""
    mind: list[str] = field(default_factory=list)
    """What they must be read with: runs that different arithmetic computed, or the best of unequal sweeps."""
    controls: list[ControlOutcome] = field(default_factory=list)
    """What the controls of the scan's question came to; where one failed, no answer may be relied on."""


@dataclass(frozen=True, slots=True)
class ReportOutput:
    """`archbench report`."""

    report: str
    """Path of the Markdown."""
    page: str
    """Path of the same as one file of HTML."""
    verdict: list[str]
    mind: list[str]
    """What the verdict must be read with."""
    answers: dict[str, QuestionAnswer] = field(default_factory=dict)
    """To the question of the spec, by contender, on the verdict's axis or that of the question."""
    controls: list[ControlOutcome] = field(default_factory=list)
    """What the question's controls came to; where one failed, no answer may be relied on."""
    collapse: list[Collapse] = field(default_factory=list)
    """How far the normalised learning curves of each contender's sizes agree."""
