"""The sections of L(D) and L(N,D)."""

from pathlib import Path
from typing import ClassVar, Literal

from archbench.contracts.report import ReportSection, ScanResults
from archbench.studies.sections import joined, results_of, saved, single_laws, under_contenders
from archbench.studies.subsets.results import DataStudy, GridStudy


class DataSection(ReportSection):
    """L(D) by early stopping on nested subsets."""

    kind: Literal["study_data"] = "study_data"
    title: str = "Loss against data, L(D)"
    order: int = 320
    summary: ClassVar[str] = "Lowest loss against different tokens, with L(D) of Kaplan et al. 2020"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Figure, laws and comparisons."""
        return single_laws(results, list(results_of(results, DataStudy)), figures_dir)


class GridSection(ReportSection):
    """L(N,D) and overfitting."""

    kind: Literal["study_grid"] = "study_grid"
    title: str = "Size and data together, L(N,D)"
    order: int = 330
    summary: ClassVar[str] = "Contours of L(N,D), what too little data costs, how data must grow with size"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A figure, two laws and the rule of each contender."""
        from archbench.studies.subsets import figures
        from archbench.studies.subsets.text import overfitting_text
        from archbench.studies.text import comparisons_table, laws_table

        def parts(study: GridStudy) -> list[str]:
            figure = figures.overfitting(study) if study.points else None
            alt = "contours of L(N,D) with the runs on them, and the excess over infinite data against N^r/D"
            return [
                saved(figure, figures_dir, "grid", study, alt, "points"),
                overfitting_text(study),
                laws_table([(study.law.law, study.law), (study.law_with_floor.law, study.law_with_floor)]),
                comparisons_table(study.comparisons),
            ]

        return joined(under_contenders(results_of(results, GridStudy), parts))
