"""The same size on batches of different size: what B_crit is read from."""

from collections.abc import Iterator
from dataclasses import replace

from archbench.contracts.values import MAX_RATE
from archbench.scans.planned_run import PlannedRun
from archbench.scans.studies.ground import Rung, StudyGround
from archbench.spec.studies import BatchScanStudy

_POWER = {"same": 0.0, "sqrt": 0.5, "linear": 1.0}


def batch_scan(study: BatchScanStudy, ground: StudyGround) -> Iterator[PlannedRun]:
    """One run a size, batch and seed."""
    for index, batch_tokens in enumerate(study.batch_tokens):
        ground.require_rows(batch_tokens, ground.loc("batch_tokens", index))
    for rung in ground.rungs(study.sizes):
        for index, batch_tokens in enumerate(study.batch_tokens):
            place = ("tokens", index) if isinstance(study.tokens, list) else ("tokens",)
            for seed in range(study.seeds):
                yield ground.plan(
                    study.text,
                    replace(
                        ground.request(rung, seed, study.tokens_at(index), *place),
                        batch_tokens=batch_tokens,
                        peak_learning_rate=_rate(study, ground, rung, index),
                        schedule=study.schedule,
                        noise_scale_every=study.noise_scale_every,
                    ),
                )


def _rate(study: BatchScanStudy, ground: StudyGround, rung: Rung, index: int) -> float:
    if isinstance(study.learning_rate, list):
        return study.learning_rate[index]
    planner = ground.planner(study.text)
    _, facts = planner.shape(rung.size_index, rung.size)
    of_spec = planner.learning_rate(rung.size_index, facts.non_embedding_params)
    ratio = study.batch_tokens[index] / planner.batch_tokens(rung.size_index, rung.size)
    rate = of_spec * float(ratio ** _POWER[study.learning_rate])
    if rate > MAX_RATE:
        raise ground.error(
            ground.loc("learning_rate"),
            f"gives {rate:.3g} at a batch of {study.batch_tokens[index]:,} tokens, expected at most {MAX_RATE:g}; "
            "choose same, or list a rate for each batch",
        )
    return rate
