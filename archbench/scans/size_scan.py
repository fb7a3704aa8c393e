"""The scan itself: every size with its seeds, at every token budget."""

from collections.abc import Iterator

from archbench.contracts.architecture import ModelDims
from archbench.scans.run_planner import PendingRuns, PlannedRun, RunPlanner, RunRequest
from archbench.training.schedule import decay_start


def size_scan(planner: RunPlanner) -> Iterator[PlannedRun | PendingRuns]:
    """One run for each size, token budget and seed, smallest first. Raises as `RunPlanner.plan`."""
    spec = planner.spec
    shapes: dict[ModelDims, float] = {}
    for size_index, size in enumerate(spec.scan.sizes):
        dims, facts = planner.shape(size_index, size)
        if dims in shapes:
            raise spec.error(
                ("scan", "sizes", size_index),
                f"{size:g} gives {planner.contender.name!r} the same shape as {shapes[dims]:g}; leave one of them out",
            )
        shapes[dims] = size
        for seed in range(spec.scan.seeds.count(size_index)):
            runs = [
                planner.plan(
                    RunRequest(size_index=size_index, size=size, tokens=tokens, seed=seed, budget_loc=budget_loc)
                )
                for tokens, budget_loc in spec.scan.budgets(facts.non_embedding_params)
            ]
            yield from with_branches(runs)


def with_branches(runs: list[PlannedRun]) -> list[PlannedRun]:
    """`runs`, which differ in their length alone; under `warmup_stable_decay` the shorter ones branch off the longest.

    They have its first steps in common, bit for bit, so that these are trained once.
    """
    schedule = runs[0].plan.identity.training.schedule
    if schedule.kind != "warmup_stable_decay" or len(runs) == 1:
        return runs
    trunk = max(runs, key=lambda run: run.tokens)
    steps = {
        run.run_id: decay_start(schedule, run.plan.identity.training.total_steps)
        for run in runs
        if run.run_id != trunk.run_id
    }
    trunk_ends = decay_start(schedule, trunk.plan.identity.training.total_steps)
    shared = {run_id: step for run_id, step in steps.items() if schedule.warmup_steps < step <= trunk_ends}
    return [
        run.branching_off(trunk, shared[run.run_id])
        if run.run_id in shared
        else (run.keeping(tuple(sorted(set(shared.values())))) if run is trunk else run)
        for run in runs
    ]
