"""A size scan whose learning rates are tuned: which trials and runs can be planned now, and which wait for others.

All is a function of the spec and of the trials that have ended, so that a scan resumes by itself and two commands on
one store plan the same runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archbench.contracts.study import RunRequest
from archbench.contracts.values import MAX_RATE, Loc
from archbench.results.runs import RunState
from archbench.results.tuning import CHECK_LABEL, RUNG_LABEL, TRIAL, Trial, by_merit, optimum, rate_law, survivors
from archbench.scans.planned_run import PendingRuns, PlannedRun
from archbench.scans.run_planner import RunPlanner
from archbench.scans.size_scan import SizeRung, ladder, result_runs
from archbench.spec.models import Spec
from archbench.spec.rates import TunedRate, TuneSettings, given_rate
from archbench.spec.recipe import Recipe

NUM_TUNED_FOR_A_LAW = 2


@dataclass(frozen=True, slots=True)
class Search:
    """The trials of one size as far as they are known."""

    rung: SizeRung
    runs: tuple[PlannedRun, ...]
    last: tuple[Trial, ...]
    """How the trials on all tokens ended; empty while that is open."""
    num_waiting: int
    waiting_tokens: float

    @property
    def rate(self) -> float | None:
        """The chosen rate."""
        return by_merit(self.last)[0].rate if self.last else None

    @property
    def best_rate(self) -> float:
        """Where the parabola through the last rung has its minimum; the chosen rate where there is no parabola."""
        found = optimum(self.last)
        return found.rate if found is not None else by_merit(self.last)[0].rate


def check_tuning(spec: Spec, recipe: Recipe) -> None:
    """Whether the tuning that `recipe` asks for can be done on the ladder of `spec`. Raises SpecError."""
    rate = recipe.section.learning_rate
    if not isinstance(rate, TunedRate):
        return
    tune, num_sizes = rate.tune, len(spec.scan.sizes)
    if isinstance(tune.around, list) and len(tune.around) != num_sizes:
        raise spec.error(
            tune_loc(recipe, "around"), f"has {len(tune.around)} entries for {num_sizes} sizes; give one for each"
        )
    if tune.mode == "per_size":
        if tune.check_size is not None:
            raise spec.error(tune_loc(recipe, "check_size"), "is of mode extrapolate only; leave it out")
        return
    if num_sizes <= NUM_TUNED_FOR_A_LAW:
        raise spec.error(
            tune_loc(recipe, "mode"), f"extrapolate needs at least 3 sizes, scan.sizes has {num_sizes}; choose per_size"
        )
    if tune.check_size is not None and not NUM_TUNED_FOR_A_LAW < tune.check_size <= num_sizes:
        raise spec.error(
            tune_loc(recipe, "check_size"),
            f"got {tune.check_size}, expected a size that follows the law: 3 to {num_sizes}",
        )


def tune_loc(recipe: Recipe, *keys: str) -> Loc:
    """The place of the spec at which `recipe` is told how its rate is tuned."""
    return recipe.loc("learning_rate", "tune", *keys)


def tuned_size_scan(planner: RunPlanner, tune: TuneSettings) -> Iterator[PlannedRun | PendingRuns]:
    """The trials and results of one contender that follow from the trials that have ended. Raises as the planner."""
    rungs = ladder(planner)
    tuned = rungs[:NUM_TUNED_FOR_A_LAW] if tune.mode == "extrapolate" else rungs
    searches = [search(planner, tune, rung) for rung in tuned]
    runs = [run for one in searches for run in one.runs]
    rates = {one.rung.size_index: one.rate for one in searches if one.rate is not None}
    num_trials = sum(one.num_waiting for one in searches)
    flops = sum(one.waiting_tokens * one.rung.facts.exact_flops_per_token for one in searches)
    if tune.mode == "extrapolate":
        checked = _checked_rung(tune, rungs)
        if len(rates) == len(tuned):
            rates |= _extrapolated(planner, searches, rungs)
            runs += _checks(planner, tune, checked, rates[checked.size_index])
        else:
            num_trials += 2
            flops += 2 * checked.budgets[-1][0] * checked.facts.exact_flops_per_token
    waiting = [rung for rung in rungs if rung.size_index not in rates]
    for rung in rungs:
        if rung.size_index in rates:
            runs += result_runs(planner, rung, rates[rung.size_index])
    num_results = 0
    for rung in waiting:
        seeds = planner.spec.scan.seeds.count(rung.size_index)
        # The last trial of a tuned size is its result with seed 0.
        shared = 1 if rung in tuned else 0
        num_results += seeds * len(rung.budgets) - shared
        tokens = seeds * sum(tokens for tokens, _ in rung.budgets) - shared * rung.budgets[-1][0]
        flops += tokens * rung.facts.exact_flops_per_token
    yield from runs
    # Where every result is a trial nothing more is trained, but which trial it is must be known to the plan.
    if num_trials or waiting:
        parts = ((num_trials, "trials"), (num_results, "results"))
        words = " and ".join(f"{number} {name}" for number, name in parts if number) or "results"
        what = f"{planner.contender.name}: {words} at rates that the trials before them decide"
        yield PendingRuns(what, num_trials + num_results, flops)


def search(planner: RunPlanner, tune: TuneSettings, rung: SizeRung) -> Search:
    """Successive halving at one size: the trials of every rung whose predecessors have ended.

    A trial has seed 0 and a schedule that ends at its own budget; those of the last rung have all tokens of the scan's
    largest budget, so that the best one is the scan's own run.
    """
    tokens, budget_loc = rung.budgets[-1]
    rates = tune.grid(_centre(planner, tune, rung))
    halving = tune.halving()
    runs: list[PlannedRun] = []
    ended: list[Trial] = []
    for number, step in enumerate(halving):
        if number:
            rates = survivors(ended, step.count)
        trials = [
            planner.plan(
                RunRequest(
                    size_index=rung.size_index,
                    size=rung.size,
                    tokens=tokens * step.fraction,
                    peak_learning_rate=rate,
                    role=TRIAL,
                    labels={RUNG_LABEL: str(number + 1)},
                    budget_loc=budget_loc,
                )
            )
            for rate in rates
        ]
        runs += trials
        ended = [ending for run in trials if (ending := _ending(planner, run)) is not None]
        if len(ended) < len(trials):
            later = halving[number + 1 :]
            return Search(
                rung,
                tuple(runs),
                (),
                sum(one.count for one in later),
                sum(one.count * one.fraction for one in later) * tokens,
            )
    return Search(rung, tuple(runs), tuple(ended), 0, 0.0)


def _ending(planner: RunPlanner, run: PlannedRun) -> Trial | None:
    """How a trial ended; None while it has not, or where it failed and must be tried again."""
    record = planner.record(run)
    if record is None or record.state not in (RunState.DONE, RunState.DIVERGED):
        return None
    loss = record.final_loss_nats if record.usable else None
    return Trial(run.plan.identity.training.peak_learning_rate, loss)


def _centre(planner: RunPlanner, tune: TuneSettings, rung: SizeRung) -> float:
    num_params = rung.facts.non_embedding_params
    centre = given_rate(tune.around, rung.size_index, num_params)
    if centre <= 0.0 or centre * tune.span > MAX_RATE:
        raise planner.error(
            tune_loc(planner.contender.recipe, "around"),
            f"gives {centre:.3g} at {num_params:,} parameters, and the grid would reach {centre * tune.span:.3g}; "
            f"rates must lie above 0 and not above {MAX_RATE:g}",
        )
    return centre


def _extrapolated(planner: RunPlanner, searches: Sequence[Search], rungs: Sequence[SizeRung]) -> dict[int, float]:
    """The rates of the sizes that were not tuned, by the power law through the optima of those that were."""
    first, second = ((float(one.rung.facts.non_embedding_params), one.best_rate) for one in searches)
    coefficient, exponent = rate_law(first, second)
    rates = {}
    for rung in rungs[len(searches) :]:
        num_params = rung.facts.non_embedding_params
        rate = coefficient * num_params**exponent
        if rate > MAX_RATE:
            raise planner.error(
                tune_loc(planner.contender.recipe),
                f"the law through the two smallest sizes gives a rate of {rate:.3g} at {num_params:,} parameters; "
                "choose mode per_size, or more trials in a narrower span",
            )
        rates[rung.size_index] = rate
    return rates


def _checked_rung(tune: TuneSettings, rungs: Sequence[SizeRung]) -> SizeRung:
    if tune.check_size is not None:
        return rungs[tune.check_size - 1]
    return rungs[(NUM_TUNED_FOR_A_LAW + len(rungs) - 1) // 2]


def _checks(planner: RunPlanner, tune: TuneSettings, rung: SizeRung, rate: float) -> list[PlannedRun]:
    """Runs beside the law's rate, on all tokens; the run at the law's rate itself is the scan's."""
    tokens, budget_loc = rung.budgets[-1]
    return [
        planner.plan(
            RunRequest(
                size_index=rung.size_index,
                size=rung.size,
                tokens=tokens,
                peak_learning_rate=rate * factor,
                role=TRIAL,
                labels={CHECK_LABEL: f"{factor:g}"},
                budget_loc=budget_loc,
            )
        )
        for factor in (1.0 / tune.check_factor, tune.check_factor)
    ]
