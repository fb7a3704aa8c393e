"""What sections of studies have in common."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from archbench.contracts.report import ScanResults
from archbench.display import markdown_heading, markdown_text
from archbench.names import file_stem
from archbench.report.labels import labels_of
from archbench.report.plotting import save
from archbench.report.study_tables import study_table_name
from archbench.results.studies import StudyOfContender

if TYPE_CHECKING:
    # Figures are imported where they are drawn: registering sections must stay cheap.
    from matplotlib.figure import Figure

    from archbench.studies.results import SingleLawStudy

R = TypeVar("R")
S = TypeVar("S", bound=StudyOfContender)


def results_of(results: ScanResults, kind: type[R]) -> Iterator[R]:
    """All results of one kind, in the order of the spec."""
    for found in results.studies.values():
        yield from (one for one in (found if isinstance(found, tuple) else (found,)) if isinstance(one, kind))


def under_contenders(studies: Iterable[S], parts: Callable[[S], list[str]]) -> list[str]:
    """The `parts` of each study under its contender's name, and its notes behind them."""
    from archbench.studies.text import notes_text

    return [
        part for study in studies for part in (markdown_heading(3, study.contender), *parts(study), notes_text(study))
    ]


def saved(
    figure: "Figure | None", figures_dir: Path, prefix: str, study: StudyOfContender, alt: str, *sorts: str
) -> str:
    """The Markdown of a figure of one study, whose numbers are its rows of these `sorts`; empty without a figure."""
    if figure is None:
        return ""
    tables = tuple(study_table_name(study.study, sort) for sort in sorts)
    name = f"{prefix}_{file_stem(study.study, study.contender)}"
    return save(figure, figures_dir, name, f"{study.contender}: {alt}.", tables)


def joined(parts: list[str]) -> str | None:
    """The parts that say something, as paragraphs; None where none does."""
    return "\n\n".join(part for part in parts if part) or None


def single_laws(results: ScanResults, studies: "Sequence[SingleLawStudy]", figures_dir: Path) -> str | None:
    """One figure a study and track, a table of laws, the comparisons and each contender's notes."""
    from archbench.report.contenders import drawn_of, few_drawn
    from archbench.studies import figures
    from archbench.studies.text import comparisons_table, laws_table, notes_text

    parts = []
    for name, track in dict.fromkeys((one.study, one.track) for one in studies):
        members = [one for one in studies if (one.study, one.track) == (name, track) and one.points]
        if not members:
            continue
        if len({(one.study, one.track) for one in studies}) > 1:
            parts.append(markdown_heading(3, f"{name}, {track} track"))
        names = drawn_of(results, [one.contender for one in members])
        alt = f"Loss against {members[0].against} of {', '.join(names)}, each with its law."
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
    return joined(parts)
