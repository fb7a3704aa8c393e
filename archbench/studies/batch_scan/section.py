"""The section of critical batches and gradient noise."""

from pathlib import Path
from typing import ClassVar, Literal

from archbench.contracts.report import ReportSection, ScanResults
from archbench.display import folded
from archbench.report.plotting import save
from archbench.report.study_tables import study_table_name
from archbench.studies.batch_scan.results import BatchStudy, NoiseScaleStudy
from archbench.studies.sections import joined, results_of, saved, under_contenders


class BatchSection(ReportSection):
    """B_crit by batch scan and by gradient noise."""

    kind: Literal["study_batch"] = "study_batch"
    title: str = "Critical batch"
    order: int = 340
    summary: ClassVar[str] = "Steps against tokens at equal loss, B_crit against loss, gradient noise scale beside it"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """B_crit against loss of all contenders, then each one's trade-offs and noise."""
        from archbench.studies.batch_scan import figures
        from archbench.studies.batch_scan.noise_scale import AGREEMENT_FACTOR
        from archbench.studies.batch_scan.text import agreement_text, noise_table, trade_off_table
        from archbench.studies.text import comparisons_table, laws_table, notes_text

        scans, noises = list(results_of(results, BatchStudy)), list(results_of(results, NoiseScaleStudy))
        if not scans and not noises:
            return None
        parts = []
        if any(map(figures.has_critical_batch, scans)) or any(map(figures.has_critical_batch, noises)):
            alt = "Critical batch against loss of each contender with its law, the gradient noise scale beside it."
            tables = [study_table_name(one.study, "trade_offs") for one in scans]
            tables += [study_table_name(one.study, "windows") for one in noises]
            drawn = figures.critical_batches(scans, noises)
            parts.append(save(drawn, figures_dir, "critical_batch", alt, tuple(dict.fromkeys(tables))))
        laws = [(f"{one.contender}: B_crit, batch scan", one.law) for one in scans]
        laws += [(f"{one.contender}: noise scale", one.law) for one in noises]
        parts += [laws_table(laws), comparisons_table([pair for one in scans for pair in one.comparisons])]
        parts += [agreement_text(one, AGREEMENT_FACTOR) for one in noises]
        parts += under_contenders(scans, lambda study: [self._trade_offs(study, figures_dir), trade_off_table(study)])
        for noise in noises:
            parts.append(
                folded(
                    f"{noise.contender}: every window of gradient noise",
                    f"{noise_table(noise)}\n\n{notes_text(noise)}",
                )
            )
        return joined(parts)

    def _trade_offs(self, study: BatchStudy, figures_dir: Path) -> str:
        from archbench.studies.batch_scan.figures import trade_offs

        drawn = trade_offs(study) if study.trade_offs else None
        alt = "steps against tokens to the same loss at each batch, with the fitted hyperbolas"
        return saved(drawn, figures_dir, "trade_offs", study, alt, "trade_offs_points", "trade_offs")
