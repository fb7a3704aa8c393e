"""Runs on nested subsets of a text, stopped when they no longer improve: L(D), and with all sizes L(N,D)."""

from collections.abc import Iterator
from dataclasses import replace

from archbench.scans.planned_run import PlannedRun
from archbench.scans.studies.ground import Rung, StudyGround
from archbench.spec.studies import DataScanStudy, GridStudy


def data_scan(study: DataScanStudy, ground: StudyGround) -> Iterator[PlannedRun]:
    """The largest size, or the sizes named, on every subset (Kaplan et al. 2020, section 4.1: one large model)."""
    rungs = ground.rungs(study.sizes)
    yield from _on_subsets(study, ground, rungs if study.sizes else rungs[-1:])


def grid(study: GridStudy, ground: StudyGround) -> Iterator[PlannedRun]:
    """Every size on every subset."""
    yield from _on_subsets(study, ground, ground.rungs(study.sizes))


def _on_subsets(study: DataScanStudy | GridStudy, ground: StudyGround, rungs: list[Rung]) -> Iterator[PlannedRun]:
    for rung in rungs:
        for index, unique_tokens in enumerate(study.unique_tokens):
            for seed in range(study.seeds):
                yield ground.plan(
                    study.text,
                    replace(
                        ground.request(rung, seed, study.tokens_on(unique_tokens), "unique_tokens", index),
                        subset_tokens=round(unique_tokens),
                        early_stopping=study.early_stopping,
                        spacing="linear",
                        schedule=study.schedule,
                    ),
                )
