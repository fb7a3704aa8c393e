"""Every size at every budget of compute (Hoffmann et al. 2022, approach 2)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, FiniteFloat

from archbench.contracts.report import ReportSection
from archbench.contracts.study import MAX_CELLS, RunRequest, StudyAnalysis, StudyLadder, StudyRuns, too_few
from archbench.contracts.values import rising
from archbench.results.runs import CostAxis
from archbench.studies.isoflop.section import IsoflopSection
from archbench.studies.settings import MIN_POINTS, MIN_SIZES, TextStudyConfig


class IsoflopConfig(TextStudyConfig):
    """Best size at each of several budgets of compute: every size with as many tokens as the budget allows."""

    sections: ClassVar[tuple[type[ReportSection], ...]] = (IsoflopSection,)
    summary: ClassVar[str] = "best size and data at equal compute"

    kind: Literal["isoflop"] = "isoflop"
    budgets: Annotated[
        list[Annotated[FiniteFloat, Field(gt=0.0)]],
        Field(min_length=1, max_length=MAX_CELLS),
        AfterValidator(rising),
    ]
    """Training FLOPs."""
    axis: Literal["kaplan", "exact"] = "kaplan"
    """Whether FLOPs are 6·N·D, or those that the architecture executes."""

    def shortcomings(self, num_sizes: int) -> Iterator[str]:
        """Too few sizes or budgets."""
        yield from too_few(num_sizes, MIN_POINTS, "size", "a parabola in ln N with an interior minimum")
        yield from too_few(len(self.budgets), MIN_SIZES, "budget", "the exponents of allocation")

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """One run a budget, size and seed, on as many tokens as the budget allows: C/6N, or C over executed FLOPs."""
        for index, budget in enumerate(self.budgets):
            for rung in ladder.rungs(self.sizes):
                tokens = budget / ladder.flops_per_token(rung, CostAxis(self.axis), self.text)
                for seed in range(self.seeds):
                    yield replace(
                        self.asked(ladder, rung, seed, tokens, "budgets", index),
                        text=self.text,
                        labels={"budget_flops": f"{budget:g}", "axis": self.axis},
                    )

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """The parabolas and the exponents of each contender."""
        from archbench.studies.isoflop.analysis import study_isoflop
        from archbench.studies.isoflop.text import sentences

        axis = CostAxis(self.axis)
        results = tuple(
            study_isoflop(runs.name, contender, records, axis=axis, seed=runs.seed)
            for contender, records in runs.by_contender.items()
        )
        return StudyAnalysis(results, tuple(line for one in results for line in sentences(one)))
