"""What `--json` prints of comparisons: compare, report."""

from dataclasses import dataclass, field

from archbench.results.fits import Comparison, ComparisonAt


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
