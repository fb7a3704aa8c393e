"""Every size at every budget of compute (Hoffmann et al. 2022, approach 2)."""

from collections.abc import Iterator
from dataclasses import replace

from archbench.scans.planned_run import PlannedRun
from archbench.scans.studies.ground import StudyGround
from archbench.spec.studies import IsoflopStudy


def isoflop(study: IsoflopStudy, ground: StudyGround) -> Iterator[PlannedRun]:
    """One run a budget, size and seed, on as many tokens as the budget allows: C/6N, or C over executed FLOPs."""
    planner = ground.planner(study.text)
    for index, budget in enumerate(study.budgets):
        for rung in ground.rungs(study.sizes):
            _, facts = planner.shape(rung.size_index, rung.size)
            per_token = facts.kaplan_flops_per_token if study.axis == "kaplan" else facts.exact_flops_per_token
            for seed in range(study.seeds):
                yield ground.plan(
                    study.text,
                    replace(
                        ground.request(rung, seed, budget / per_token, "budgets", index),
                        schedule=study.schedule,
                        labels={"budget_flops": f"{budget:g}", "axis": study.axis},
                    ),
                )
