"""The study that every scan of sizes is: its section of the spec is `scan`, its runs are the scan's own."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from archbench.contracts.report import ReportSection
from archbench.contracts.study import RunRequest, StudyAnalysis, StudyConfig, StudyLadder, StudyRuns
from archbench.results.runs import SIZE_SCAN
from archbench.studies.size_scan.section import SizeSection


class SizeScanConfig(StudyConfig):
    """L(N): the loss at the end of training against size."""

    analysis_order: ClassVar[int] = 100
    in_specs: ClassVar[bool] = False
    sections: ClassVar[tuple[type[ReportSection], ...]] = (SizeSection,)
    summary: ClassVar[str] = "L(N) of the scan of sizes"

    kind: Literal["size_scan"] = "size_scan"

    @classmethod
    def implied_by(cls, spec: Mapping[str, Any]) -> Mapping[str, Self]:
        """Every spec's `scan`."""
        return {SIZE_SCAN: cls()}

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """None: the section `scan` asks for the runs."""
        return iter(())

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """L(N) of each contender, and its exponent over the baseline's."""
        from archbench.studies.single_law import analyse_contenders
        from archbench.studies.size_scan.analysis import study_sizes
        from archbench.studies.size_scan.text import sentences

        return analyse_contenders(runs, study_sizes, ("alpha_N",), sentences)
