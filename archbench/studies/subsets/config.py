"""Runs on nested subsets of a text, stopped when they no longer improve: L(D), and with all sizes L(N,D)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from archbench.contracts.report import ReportSection
from archbench.contracts.study import (
    RisingTokens,
    Rung,
    RunRequest,
    StudyAnalysis,
    StudyLadder,
    StudyRuns,
    too_few,
)
from archbench.studies.settings import MIN_POINTS, MIN_SIZES, RepeatedTextSettings, TextStudyConfig
from archbench.studies.subsets.section import DataSection, GridSection


class SubsetStudyConfig(TextStudyConfig, RepeatedTextSettings):
    """Sizes on subsets of the text."""

    unique_tokens: RisingTokens
    """The first so many tokens of the training text, so that smaller subsets lie inside larger ones."""

    def on_subsets(self, ladder: StudyLadder, rungs: list[Rung]) -> Iterator[RunRequest]:
        """Each of `rungs` on every subset."""
        for rung in rungs:
            for index, unique_tokens in enumerate(self.unique_tokens):
                for seed in range(self.seeds):
                    yield replace(
                        self.asked(ladder, rung, seed, self.tokens_on(unique_tokens), "unique_tokens", index),
                        text=self.text,
                        subset_tokens=round(unique_tokens),
                        early_stopping=self.early_stopping,
                        spacing="linear",
                    )


class DataScanConfig(SubsetStudyConfig):
    """L(D): the loss of one size, or several, against the different tokens there are to learn from.

    Without `sizes` it takes the largest (Kaplan et al. 2020, section 4.1: one large model).
    """

    sections: ClassVar[tuple[type[ReportSection], ...]] = (DataSection,)
    summary: ClassVar[str] = "L(D): loss against the different tokens there are to learn from"

    kind: Literal["data_scan"] = "data_scan"

    def shortcomings(self, num_sizes: int) -> Iterator[str]:
        """Too few subsets."""
        return too_few(len(self.unique_tokens), MIN_POINTS, "amount of text", "L(D)")

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """The largest size, or the sizes named, on every subset."""
        rungs = ladder.rungs(self.sizes)
        return self.on_subsets(ladder, rungs if self.sizes else rungs[-1:])

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """L(D) of each contender, and its exponent over the baseline's."""
        from archbench.studies.single_law import analyse_contenders
        from archbench.studies.subsets.analysis import study_data
        from archbench.studies.subsets.text import data_sentences

        return analyse_contenders(runs, study_data, ("alpha_D",), data_sentences)


class GridConfig(SubsetStudyConfig):
    """L(N,D): every size on every subset of the text."""

    sections: ClassVar[tuple[type[ReportSection], ...]] = (GridSection,)
    summary: ClassVar[str] = "L(N,D): every size on every subset of the text"

    kind: Literal["grid"] = "grid"

    def shortcomings(self, num_sizes: int) -> Iterator[str]:
        """Too few sizes or subsets."""
        yield from too_few(num_sizes, MIN_SIZES, "size", "L(N,D)")
        yield from too_few(len(self.unique_tokens), MIN_SIZES, "amount of text", "L(N,D)")

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """Every size on every subset."""
        return self.on_subsets(ladder, ladder.rungs(self.sizes))

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """L(N,D) of each contender, and its exponents over the baseline's."""
        from archbench.studies.single_law import analyse_contenders
        from archbench.studies.subsets.analysis import study_grid
        from archbench.studies.subsets.text import grid_sentences

        return analyse_contenders(runs, study_grid, ("alpha_N", "alpha_D"), grid_sentences)
