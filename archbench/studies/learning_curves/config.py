"""Learning curves of all sizes on one batch: what L(N,S) is fitted to."""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Literal

from archbench.contracts.report import ReportSection
from archbench.contracts.study import RunRequest, StudyAnalysis, StudyLadder, StudyRuns, too_few
from archbench.contracts.values import BatchTokens, Tokens
from archbench.studies.learning_curves.section import StepSection
from archbench.studies.settings import MIN_SIZES, NoiseScaleSettings, TextStudyConfig


class LearningCurvesConfig(TextStudyConfig, NoiseScaleSettings):
    """L(N,S): learning curves of all sizes on one batch."""

    analysis_order: ClassVar[int] = 600
    """After batch scans, whose B_crit corrects the steps."""
    sections: ClassVar[tuple[type[ReportSection], ...]] = (StepSection,)
    summary: ClassVar[str] = "L(N,S) and the best use of compute, from learning curves on one batch"

    kind: Literal["learning_curves"] = "learning_curves"
    tokens: Tokens
    """Seen by each run."""
    batch_tokens: BatchTokens | None = None
    """The same for all sizes; `training.batch_tokens` if none is given."""

    def shortcomings(self, num_sizes: int) -> Iterator[str]:
        """Too few sizes."""
        return too_few(num_sizes, MIN_SIZES, "size", "L(N,S)")

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """One run a size and seed. Raises SpecError where the spec's batch differs between sizes and it has none."""
        if self.batch_tokens is not None:
            ladder.require_rows(self.batch_tokens, "batch_tokens")
        elif not ladder.one_batch:
            raise ladder.error(
                "needs batch_tokens of its own: one batch for all sizes, and training.batch_tokens has several"
            )
        for rung in ladder.rungs(self.sizes):
            for seed in range(self.seeds):
                yield replace(
                    self.asked(ladder, rung, seed, self.tokens, "tokens"),
                    text=self.text,
                    batch_tokens=self.batch_tokens,
                    noise_scale_every=self.noise_scale_every,
                )

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """L(N,S) of each contender, its steps corrected by the B_crit of its batch scan, where it has one."""
        from archbench.studies.batch_scan.contenders import ScannedBatches
        from archbench.studies.learning_curves.analysis import Correction, study_steps
        from archbench.studies.text import law_sentences

        batches = {one.contender: one for one in runs.shared(ScannedBatches)}
        results = []
        for contender, records in runs.by_contender.items():
            scan = batches.get(contender)
            correction = None
            if scan is not None:
                correction = Correction(scan.law, scan.samples, f"the batch scan `{scan.study}`")
            results.append(study_steps(runs.name, contender, records, correction, seed=runs.seed))
        laws = [
            line for one in results for line in law_sentences(one, [("L(N,S)", one.law), ("L(C_min)", one.compute_law)])
        ]
        return StudyAnalysis(tuple(results), tuple(laws))
