"""The section of L(N,S) and L(C_min)."""

from pathlib import Path
from typing import ClassVar, Literal

from archbench.contracts.report import ReportSection, ScanResults
from archbench.studies.learning_curves.results import LearningCurveStudy
from archbench.studies.sections import joined, results_of, saved, under_contenders


class StepSection(ReportSection):
    """L(N,S), L(C_min) and the best use of compute."""

    kind: Literal["study_steps"] = "study_steps"
    title: str = "Size and steps together, L(N,S)"
    order: int = 345
    summary: ClassVar[str] = "Learning curves collapsed by S_min, L(C_min), exponents of the best allocation"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Two figures, three laws and the identity of the exponents of each contender."""
        from archbench.studies.learning_curves import figures
        from archbench.studies.learning_curves.text import allocation_text
        from archbench.studies.text import laws_table

        def parts(study: LearningCurveStudy) -> list[str]:
            laws = [
                ("L(N,S_min)" if study.critical_batch else "L(N,S), S not corrected", study.law),
                ("L(C), C as spent", study.naive_compute_law),
                ("L(C_min)", study.compute_law),
            ]
            steps, compute = figures.steps(study) if study.points else None, figures.least_compute(study)
            collapsed = "learning curves at constant batch, and what is left above L(N) against S_min"
            against = "loss against compute as spent, and against C_min, each with its law"
            return [
                saved(steps, figures_dir, "steps", study, collapsed, "points"),
                saved(compute, figures_dir, "least_compute", study, against, "points"),
                allocation_text(study),
                laws_table(laws),
            ]

        return joined(under_contenders(results_of(results, LearningCurveStudy), parts))
