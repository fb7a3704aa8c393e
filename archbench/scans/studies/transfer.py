"""Pre-training on one text, fine-tuning on subsets of another, and training from scratch on subsets of that.

Roles and labels are those that `results/transfer.py` names. Runs that directions have in common are asked for once.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from archbench.results.transfer import FINETUNE, PRETRAINING, RATE_FACTOR, SCRATCH, SOURCE, TARGET
from archbench.scans.planned_run import PlannedRun
from archbench.scans.run_planner import RunRequest
from archbench.scans.studies.ground import Rung, StudyGround
from archbench.spec.studies import TransferStudy

SubsetKey = Literal["scratch_tokens", "finetune_tokens"]


def transfer(study: TransferStudy, ground: StudyGround) -> Iterator[PlannedRun]:
    """For each size: models of every source, on every subset of every target, and fine-tuned in every direction."""
    pairs = study.pairs()
    _check_pairs(study, ground)
    for rung in ground.rungs(study.sizes):
        for seed in range(study.seeds):
            pretrained = {source: _pretraining(study, ground, rung, seed, source) for source, _ in pairs}
            yield from pretrained.values()
            for target in dict.fromkeys(target for _, target in pairs):
                scratch = _on_target(study, ground, rung, seed, SCRATCH)
                yield from _cells(
                    study, ground, target, "scratch_tokens", replace(scratch, labels={TARGET: target}, fresh=True)
                )
            for source, target in pairs:
                finetune = replace(
                    _on_target(study, ground, rung, seed, FINETUNE),
                    labels={SOURCE: source, TARGET: target},
                    start=pretrained[source],
                    also_validated=(ground.planner(source).corpus,) if study.forgetting else (),
                )
                yield from _cells(study, ground, target, "finetune_tokens", finetune)


def _pretraining(study: TransferStudy, ground: StudyGround, rung: Rung, seed: int, source: str) -> PlannedRun:
    return ground.plan(
        source,
        replace(
            ground.request(rung, seed, study.pretraining_tokens, "pretraining_tokens"),
            keep_weights=True,
            role=PRETRAINING,
            labels={SOURCE: source},
        ),
    )


def _on_target(study: TransferStudy, ground: StudyGround, rung: Rung, seed: int, role: str) -> RunRequest:
    """What the cells of `role` have in common; their tokens are still to be set."""
    return replace(
        ground.request(rung, seed, 0.0),
        early_stopping=study.early_stopping,
        spacing="linear",
        schedule=study.schedule,
        role=role,
    )


def _cells(
    study: TransferStudy, ground: StudyGround, target: str, key: SubsetKey, request: RunRequest
) -> Iterator[PlannedRun]:
    """`request` on each subset of `target` that the study lists under `key`, at each of its rates."""
    planner = ground.planner(target)
    _, facts = planner.shape(request.size_index, request.size)
    rate = planner.learning_rate(request.size_index, facts.non_embedding_params)
    factors = study.factors(request.role)
    several = len(factors) > 1
    for index, unique_tokens in enumerate(getattr(study, key)):
        for factor in factors:
            yield ground.plan(
                target,
                replace(
                    request,
                    tokens=study.tokens_on(unique_tokens),
                    subset_tokens=round(unique_tokens),
                    peak_learning_rate=rate * factor,
                    labels={**request.labels, RATE_FACTOR: f"{factor:g}"} if several else request.labels,
                    budget_loc=ground.loc(key, index),
                ),
            )


def _check_pairs(study: TransferStudy, ground: StudyGround) -> None:
    for number, section in enumerate(study.directions):
        for source, target in section.pairs():
            if source == target:
                raise ground.spec.error(
                    ground.loc("directions", number), f"source and target are both {source!r}; name two texts"
                )
