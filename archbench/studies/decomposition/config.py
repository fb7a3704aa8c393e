"""The account that a spec asks for under `decompose`."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from archbench.contracts.report import ReportSection
from archbench.contracts.study import RunRequest, StudyAnalysis, StudyConfig, StudyLadder, StudyRuns
from archbench.results.runs import size_scan_results
from archbench.studies.decomposition.section import DecompositionSection

DECOMPOSITION = "decompose"
"""Name of the study, which is the section's in the spec."""


class DecompositionConfig(StudyConfig):
    """Contenders each of which differs from the one before in one thing: what each change does."""

    analysis_order: ClassVar[int] = 700
    in_specs: ClassVar[bool] = False
    sections: ClassVar[tuple[type[ReportSection], ...]] = (DecompositionSection,)
    summary: ClassVar[str] = "what each single change between two architectures does"

    kind: Literal["decomposition"] = "decomposition"

    @classmethod
    def implied_by(cls, spec: Mapping[str, Any]) -> Mapping[str, Self]:
        """Where `decompose` asks for it."""
        return {DECOMPOSITION: cls(contenders=spec[DECOMPOSITION])} if spec.get(DECOMPOSITION) else {}

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """None: it is read off the scan of sizes."""
        return iter(())

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """The chain, step by step."""
        from archbench.studies.decomposition.analysis import decompose

        chain = self.contenders or ()
        return StudyAnalysis(decompose(size_scan_results(runs.records), chain, baseline=runs.baseline, seed=runs.seed))
