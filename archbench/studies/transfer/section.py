"""The section of a transfer study."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from archbench.contracts.report import ReportSection, ScanResults
from archbench.display import folded, markdown_heading, markdown_line
from archbench.names import file_stem
from archbench.report.plotting import save
from archbench.report.study_tables import study_table_name
from archbench.results.runs import CostAxis
from archbench.studies.sections import results_of
from archbench.studies.transfer.results import DirectionResult, TransferResult

# Figures are imported where they are drawn: registering sections must stay cheap.


class TransferSection(ReportSection):
    """Each direction with its figures, cells and laws; then ossification, the order of directions and forgetting."""

    kind: Literal["transfer"] = "transfer"
    title: str = "Transfer"
    order: int = 350
    summary: ClassVar[str] = "Effective data transferred, its law, compute of fine-tuning, ossification, forgetting"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """All transfer studies of the scan; None where there are none."""
        studies = list(results_of(results, TransferResult))
        parts = [self._study(one, figures_dir, len(studies) > 1) for one in studies if one.directions or one.warnings]
        return "\n\n".join(parts) or None

    def _study(self, study: TransferResult, figures_dir: Path, named: bool) -> str:
        from archbench.studies.transfer import figures
        from archbench.studies.transfer.text import ranking_text, warnings_text

        parts = [markdown_heading(3, study.study)] if named else []
        parts.append(warnings_text(study.warnings))
        for contender in dict.fromkeys(one.contender for one in study.directions):
            mine = [one for one in study.directions if one.contender == contender]
            name = file_stem(study.study, contender)
            if len(mine) > 1:
                parts.append(self._matrix(study, mine, figures_dir, name))
            parts += [ranking_text(one) for one in study.rankings if one.contender == contender]
            shown = [one for one in mine if one.cells]
            if shown:
                alt = f"{contender}: D_E/D_F by size and D_F, a map for each direction; above 1, pre-training helps."
                drawn, tables = figures.ossification(shown), (study_table_name(study.study, "cells"),)
                parts.append(save(drawn, figures_dir, f"transfer_ossification_{name}", alt, tables))
                parts.append("`!`: pre-training hurts, `~`: not told apart from no effect, `>` and `<`: bounds.")
            for one in mine:
                parts += self._direction(study, one, figures_dir)
        return "\n\n".join(part for part in parts if part)

    def _matrix(
        self, study: TransferResult, directions: Sequence[DirectionResult], figures_dir: Path, name: str
    ) -> str:
        from archbench.studies.transfer.figures import matrix

        alt = f"{directions[0].contender}: D_E/D_F of each source and target, the geometric mean or what bounds it."
        tables = (study_table_name(study.study, "summary"), study_table_name(study.study, "cells"))
        return save(matrix(directions), figures_dir, f"transfer_matrix_{name}", alt, tables)

    def _direction(self, study: TransferResult, one: DirectionResult, figures_dir: Path) -> list[str]:
        from archbench.studies.transfer import figures
        from archbench.studies.transfer.text import cells_table, headline, laws_table, warnings_text

        name = file_stem(study.study, one.contender, one.source, one.target)
        parts = [
            markdown_heading(4, f"{one.contender}: {one.name}"),
            markdown_line(headline(one)),
            warnings_text(one.warnings),
        ]
        if one.cells:
            alt = f"{one.contender}, {one.name}: losses, effective data transferred with its law, fraction D_F/D_E."
            tables = tuple(study_table_name(study.study, sort) for sort in ("cells", "scratch_points"))
            parts += [
                save(figures.direction(one), figures_dir, f"transfer_direction_{name}", alt, tables),
                laws_table(one),
            ]
        drawn = figures.compute(one, CostAxis.EXACT)
        if drawn is not None:
            alt = f"{one.contender}, {one.name}: loss against compute, from scratch and fine-tuned, by target data."
            tables = (study_table_name(study.study, "frontiers_points"),)
            parts.append(save(drawn, figures_dir, f"transfer_compute_{name}", alt, tables))
        if one.cells:
            parts.append(folded("All cells", cells_table(one)))
        return parts
