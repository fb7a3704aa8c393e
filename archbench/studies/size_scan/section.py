"""The section of L(N)."""

from pathlib import Path
from typing import ClassVar, Literal

from archbench.contracts.report import ReportSection, ScanResults
from archbench.studies.sections import results_of, single_laws
from archbench.studies.size_scan.results import SizeStudy


class SizeSection(ReportSection):
    """L(N) of the size scan."""

    kind: Literal["study_size"] = "study_size"
    title: str = "Loss against size, L(N)"
    order: int = 310
    summary: ClassVar[str] = "Loss at the end of training against N, with L(N) of Kaplan et al. 2020"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Figure, laws and comparisons."""
        return single_laws(results, list(results_of(results, SizeStudy)), figures_dir)
