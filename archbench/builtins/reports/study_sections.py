"""The sections of the studies of Kaplan et al. 2020: loss against N and D, L(N,D), isoFLOP, batches, L(N,S)."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from archbench.contracts.report import ReportSection, ScanResults
from archbench.display import folded, markdown_heading, markdown_text
from archbench.names import file_stem
from archbench.report.labels import labels_of
from archbench.report.plotting import save
from archbench.report.study_tables import study_table_name
from archbench.results.studies import (
    BatchStudy,
    DataStudy,
    GridStudy,
    IsoflopStudy,
    LearningCurveStudy,
    NoiseScaleStudy,
    SizeStudy,
    StudyOfContender,
)

if TYPE_CHECKING:
    # Figures are imported where they are drawn: registering sections must stay cheap.
    from matplotlib.figure import Figure

S = TypeVar("S", bound=StudyOfContender)


class SizeSection(ReportSection):
    """L(N) of the size scan."""

    kind: Literal["study_size"] = "study_size"
    title: str = "Loss against size, L(N)"
    order: int = 310
    summary: ClassVar[str] = "Loss at the end of training against N, with L(N) of Kaplan et al. 2020"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Figure, laws and comparisons."""
        return _single_laws(results, list(_studies(results, SizeStudy)), figures_dir)


class DataSection(ReportSection):
    """L(D) by early stopping on nested subsets."""

    kind: Literal["study_data"] = "study_data"
    title: str = "Loss against data, L(D)"
    order: int = 320
    summary: ClassVar[str] = "Lowest loss against different tokens, with L(D) of Kaplan et al. 2020"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Figure, laws and comparisons."""
        return _single_laws(results, list(_studies(results, DataStudy)), figures_dir)


class GridSection(ReportSection):
    """L(N,D) and overfitting."""

    kind: Literal["study_grid"] = "study_grid"
    title: str = "Size and data together, L(N,D)"
    order: int = 330
    summary: ClassVar[str] = "Contours of L(N,D), what too little data costs, how data must grow with size"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A figure, two laws and the rule of each contender."""
        from archbench.report import study_figures as figures
        from archbench.report.study_text import comparisons_table, laws_table, overfitting_text

        def parts(study: GridStudy) -> list[str]:
            figure = figures.overfitting(study) if study.points else None
            alt = "contours of L(N,D) with the runs on them, and the excess over infinite data against N^r/D"
            return [
                _saved(figure, figures_dir, "grid", study, alt, "points"),
                overfitting_text(study),
                laws_table([(study.law.law, study.law), (study.law_with_floor.law, study.law_with_floor)]),
                comparisons_table(study.comparisons),
            ]

        return _joined(_by_contender(_studies(results, GridStudy), parts))


class IsoflopSection(ReportSection):
    """Best size at each budget."""

    kind: Literal["study_isoflop"] = "study_isoflop"
    title: str = "Best size at equal compute"
    order: int = 335
    summary: ClassVar[str] = "isoFLOP parabolas with their bias named, and the allocation by every approach"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A figure and two tables of each contender."""
        from archbench.report import study_figures as figures
        from archbench.report.study_text import isoflop_table

        def parts(study: IsoflopStudy) -> list[str]:
            figure = figures.isoflop(study) if study.budgets else None
            alt = "parabolas of loss in ln N at each budget, and best size and data against compute"
            return [_saved(figure, figures_dir, "isoflop", study, alt, "budgets_points"), isoflop_table(study)]

        return _joined(_by_contender(_studies(results, IsoflopStudy), parts))


class BatchSection(ReportSection):
    """B_crit by batch scan and by gradient noise."""

    kind: Literal["study_batch"] = "study_batch"
    title: str = "Critical batch"
    order: int = 340
    summary: ClassVar[str] = "Steps against tokens at equal loss, B_crit against loss, gradient noise scale beside it"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """B_crit against loss of all contenders, then each one's trade-offs and noise."""
        from archbench.analysis.noise_study import AGREEMENT_FACTOR
        from archbench.report import batch_figures as figures
        from archbench.report.study_text import (
            agreement_text,
            comparisons_table,
            laws_table,
            noise_table,
            notes_text,
            trade_off_table,
        )

        scans, noises = list(_studies(results, BatchStudy)), list(_studies(results, NoiseScaleStudy))
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
        parts += _by_contender(scans, lambda study: [self._trade_offs(study, figures_dir), trade_off_table(study)])
        for noise in noises:
            parts.append(
                folded(
                    f"{noise.contender}: every window of gradient noise",
                    f"{noise_table(noise)}\n\n{notes_text(noise)}",
                )
            )
        return _joined(parts)

    def _trade_offs(self, study: BatchStudy, figures_dir: Path) -> str:
        from archbench.report.batch_figures import trade_offs

        drawn = trade_offs(study) if study.trade_offs else None
        alt = "steps against tokens to the same loss at each batch, with the fitted hyperbolas"
        return _saved(drawn, figures_dir, "trade_offs", study, alt, "trade_offs_points", "trade_offs")


class StepSection(ReportSection):
    """L(N,S), L(C_min) and the best use of compute."""

    kind: Literal["study_steps"] = "study_steps"
    title: str = "Size and steps together, L(N,S)"
    order: int = 345
    summary: ClassVar[str] = "Learning curves collapsed by S_min, L(C_min), exponents of the best allocation"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Two figures, three laws and the identity of the exponents of each contender."""
        from archbench.report import study_figures as figures
        from archbench.report.study_text import allocation_text, laws_table

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
                _saved(steps, figures_dir, "steps", study, collapsed, "points"),
                _saved(compute, figures_dir, "least_compute", study, against, "points"),
                allocation_text(study),
                laws_table(laws),
            ]

        return _joined(_by_contender(_studies(results, LearningCurveStudy), parts))


def _single_laws(results: ScanResults, studies: list[SizeStudy] | list[DataStudy], figures_dir: Path) -> str | None:
    """One figure a study and track, a table of laws, the comparisons and each contender's notes."""
    from archbench.report import study_figures as figures
    from archbench.report.contenders import drawn_of, few_drawn
    from archbench.report.study_text import comparisons_table, laws_table, notes_text

    parts = []
    for name, track in dict.fromkeys((one.study, one.track) for one in studies):
        members = [one for one in studies if (one.study, one.track) == (name, track) and one.points]
        if not members:
            continue
        if len({(one.study, one.track) for one in studies}) > 1:
            parts.append(markdown_heading(3, f"{name}, {track} track"))
        against = "size" if isinstance(members[0], SizeStudy) else "different tokens"
        names = drawn_of(results, [one.contender for one in members])
        alt = f"Loss against {against} of {', '.join(names)}, each with its law."
        drawn = figures.single_law([one for one in members if one.contender in names], labels_of(results.records))
        figure = f"{members[0].kind}_{file_stem(name, track)}"
        parts.append(save(drawn, figures_dir, figure, alt, (study_table_name(name, "points"),)))
        parts += few_drawn(len(names), len(members))
        laws = [
            (f"{one.contender}, {words}", law)
            for one in members
            for words, law in (("no floor", one.law), ("floor free", one.law_with_floor))
        ]
        parts += [
            laws_table(laws),
            comparisons_table([pair for one in members for pair in one.comparisons]),
            *(f"{markdown_text(one.contender)}:\n\n{notes_text(one)}" for one in members),
        ]
    return _joined(parts)


def _studies(results: ScanResults, kind: type[S]) -> Iterator[S]:
    """All results of one kind, in the order of the spec."""
    for found in results.studies.values():
        if isinstance(found, tuple):
            yield from (one for one in found if isinstance(one, kind))


def _by_contender(studies: Iterable[S], parts: Callable[[S], list[str]]) -> list[str]:
    """The `parts` of each study under its contender's name, and its notes behind them."""
    from archbench.report.study_text import notes_text

    return [
        part for study in studies for part in (markdown_heading(3, study.contender), *parts(study), notes_text(study))
    ]


def _saved(
    figure: "Figure | None", figures_dir: Path, prefix: str, study: StudyOfContender, alt: str, *sorts: str
) -> str:
    """The Markdown of a figure of one study, whose numbers are its rows of these `sorts`; empty without a figure."""
    if figure is None:
        return ""
    tables = tuple(study_table_name(study.study, sort) for sort in sorts)
    name = f"{prefix}_{file_stem(study.study, study.contender)}"
    return save(figure, figures_dir, name, f"{study.contender}: {alt}.", tables)


def _joined(parts: list[str]) -> str | None:
    return "\n\n".join(part for part in parts if part) or None
