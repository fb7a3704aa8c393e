"""The section of equal budgets."""

from pathlib import Path
from typing import ClassVar, Literal

from archbench.contracts.report import ReportSection, ScanResults
from archbench.studies.isoflop.results import IsoflopStudy
from archbench.studies.sections import joined, results_of, saved, under_contenders


class IsoflopSection(ReportSection):
    """Best size at each budget."""

    kind: Literal["study_isoflop"] = "study_isoflop"
    title: str = "Best size at equal compute"
    order: int = 335
    summary: ClassVar[str] = "isoFLOP parabolas with their bias named, and the allocation by every approach"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A figure and two tables of each contender."""
        from archbench.studies.isoflop import figures
        from archbench.studies.isoflop.text import isoflop_table

        def parts(study: IsoflopStudy) -> list[str]:
            figure = figures.isoflop(study) if study.budgets else None
            alt = "parabolas of loss in ln N at each budget, and best size and data against compute"
            return [saved(figure, figures_dir, "isoflop", study, alt, "budgets_points"), isoflop_table(study)]

        return joined(under_contenders(results_of(results, IsoflopStudy), parts))
