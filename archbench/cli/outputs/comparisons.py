"""What `--json` prints of comparisons: compare, report."""

from dataclasses import dataclass

from archbench.results.fits import Comparison


@dataclass(frozen=True, slots=True)
class CompareOutput:
    """`archbench compare`."""

    scans: list[str]
    comparisons: list[Comparison]
    """One for each cost axis."""
    mind: list[str]
    """What they must be read with: runs that different arithmetic computed."""


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
