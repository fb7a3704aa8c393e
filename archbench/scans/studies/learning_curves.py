"""Learning curves of all sizes on one batch: what L(N,S) is fitted to."""

from collections.abc import Iterator
from dataclasses import replace

from archbench.scans.planned_run import PlannedRun
from archbench.scans.studies.ground import StudyGround
from archbench.spec.studies import LearningCurvesStudy


def learning_curves(study: LearningCurvesStudy, ground: StudyGround) -> Iterator[PlannedRun]:
    """One run a size and seed. Raises SpecError where the spec's batch differs between sizes and the study has none."""
    if study.batch_tokens is None and not isinstance(ground.spec.training.batch_tokens, int):
        raise ground.spec.error(
            ground.loc(),
            "needs batch_tokens of its own: one batch for all sizes, and training.batch_tokens has several",
        )
    if study.batch_tokens is not None:
        ground.require_rows(study.batch_tokens, ground.loc("batch_tokens"))
    for rung in ground.rungs(study.sizes):
        for seed in range(study.seeds):
            yield ground.plan(
                study.text,
                replace(
                    ground.request(rung, seed, study.tokens, "tokens"),
                    batch_tokens=study.batch_tokens,
                    schedule=study.schedule,
                    noise_scale_every=study.noise_scale_every,
                ),
            )
