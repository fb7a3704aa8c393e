"""The scan itself: every size with its seeds, at every token budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from archbench.contracts.architecture import ModelDims
from archbench.contracts.study import RunRequest
from archbench.contracts.values import Loc
from archbench.scans.planned_run import PlannedRun
from archbench.scans.run_planner import RunPlanner
from archbench.spec.identity import RunFacts
from archbench.training.schedule import decay_start


@dataclass(frozen=True, slots=True)
class SizeRung:
    """One size of one contender's ladder."""

    size_index: int
    size: float
    """Target number of non-embedding parameters."""
    facts: RunFacts
    budgets: Sequence[tuple[float, Loc]]
    """Tokens of each run, rising, with the place of the spec that asks for them."""


def ladder(planner: RunPlanner) -> list[SizeRung]:
    """The sizes, smallest first. Raises SpecError where two of them have one shape, and as `RunPlanner.shape`."""
    spec = planner.spec
    shapes: dict[ModelDims, float] = {}
    rungs = []
    for size_index, size in enumerate(spec.scan.sizes):
        dims, facts = planner.shape(size_index, size)
        if dims in shapes:
            raise spec.error(
                ("scan", "sizes", size_index),
                f"{size:g} gives {planner.contender.name!r} the same shape as {shapes[dims]:g}; leave one of them out",
            )
        shapes[dims] = size
        rungs.append(SizeRung(size_index, size, facts, spec.scan.budgets(facts.non_embedding_params, size)))
    return rungs


def size_scan(planner: RunPlanner) -> Iterator[PlannedRun]:
    """One run for each size, token budget and seed, smallest first. Raises as `RunPlanner.plan`."""
    for rung in ladder(planner):
        yield from result_runs(planner, rung)


def result_runs(planner: RunPlanner, rung: SizeRung, peak_learning_rate: float | None = None) -> Iterator[PlannedRun]:
    """The runs of one size; at the rate that the spec gives to it unless another one is named."""
    for number in range(planner.spec.scan.seeds.count(rung.size_index)):
        runs = [
            planner.plan(
                RunRequest(
                    size_index=rung.size_index,
                    size=rung.size,
                    tokens=tokens,
                    seed=planner.contender.first_seed + number,
                    peak_learning_rate=peak_learning_rate,
                    budget_loc=budget_loc,
                )
            )
            for tokens, budget_loc in rung.budgets
        ]
        several = len(runs) > 1
        yield from with_branches([replace(run, one_of_budgets=several) for run in runs])


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
