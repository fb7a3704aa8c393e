"""What to train next in a scan: the runs that shrink the standard error of a named quantity most per FLOP.

By the law that the finished runs identify: L(N,D) where they do, else L(C) on the frontier, whose candidates lie on the
trend of the frontier's sizes. Standard errors count runs, not points of curves, and each candidate is one run more. No
candidate is shorter than five times the warm-up, unless a finished run was.

Legend: C compute (FLOPs), N parameters without embeddings, D tokens, L loss (nats).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.run_noise import run_noise
from archbench.analysis.frontier.curves import mean_curves
from archbench.analysis.frontier.frontier import frontier_points
from archbench.analysis.frontier.resamples import CurveStack
from archbench.analysis.frontier.scan_laws import cost_model, finished_runs, frontier_law, joint_law
from archbench.analysis.planning.allocation import CostModel, best_split, compute_exponent
from archbench.analysis.planning.isoflop import power_trend
from archbench.analysis.planning.next_run import greedy_design, standard_error
from archbench.errors import SpecError
from archbench.results.runs import CostAxis, RunRecord

Quantity = Literal["exponent", "loss"]
_REACH = 4.0
"""Candidates reach this factor beyond the largest size and token count that have finished."""
_WARMUPS = 5.0
_MAX_RUNS = 12
_MAX_SEEDS = 3
"""Of one size and token count: what a law says of the place where it is seen best is not worth any number of seeds."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to become more certain."""

    quantity: Quantity
    budget: float | None
    """FLOPs at which the loss is asked for; None for ten times the dearest finished run."""
    spend: float | None
    """FLOPs to spend on new runs; None for as much as the finished runs took."""
    axis: CostAxis = CostAxis.EXACT
    warmup_steps: int = 0
    """Of the spec; what learning curves show is used besides."""


@dataclass(frozen=True, slots=True)
class NextRun:
    """One run to train, `count` times with different seeds."""

    params: float
    tokens: float
    flops: float
    count: int


@dataclass(frozen=True, slots=True)
class NextRuns:
    """The plan for one contender."""

    contender: str
    quantity: str
    """In words."""
    law: str
    points: str
    value: float
    std_now: float
    """Standard error of the quantity by the finished runs."""
    std_after: float
    """What is expected with the runs below."""
    spent: float
    runs: tuple[NextRun, ...]
    """In the order in which they pay."""


def next_runs(records: Sequence[RunRecord], contender: str, question: Question) -> NextRuns:
    """The runs to train next. Raises SpecError where the finished runs identify no law, and says why not."""
    runs = finished_runs(records, contender)
    if not runs:
        raise SpecError(f"{contender}: no run has finished; train the scan first, then ask what comes next")
    cost = cost_model(runs, question.axis)
    dearest = max(float(run.curve[-1].cost(question.axis) or 0.0) for run in runs)
    budget = question.budget or 10.0 * dearest
    purse = question.spend or sum(float(run.curve[-1].cost(question.axis) or 0.0) for run in runs)
    joint, frontier = joint_law(records, contender), frontier_law(records, contender, question.axis)
    by_size = joint.fit.ok and run_noise(joint.fit) is not None
    least = _least_tokens(runs, question.warmup_steps)
    if by_size:
        chosen, found = _joint_candidates(runs, least), joint
        flops = cost.flops(chosen["N"], chosen["D"])
        candidates: Mapping[str, Array] = chosen
    elif frontier.fit.ok:
        chosen = _frontier_candidates(records, runs, contender, question.axis, cost)
        long_enough = chosen["D"] >= least * (1 - 1e-9)
        chosen, found = {name: value[long_enough] for name, value in chosen.items()}, frontier
        flops = chosen["C"]
        candidates = {"C": flops}
    else:
        raise SpecError(
            f"{contender}: {len(runs)} finished runs are too few to say which comes next: {found_words(joint.fit)}; "
            f"{found_words(frontier.fit)}; finish the scan, or add sizes"
        )
    asked = _quantity(question.quantity, budget, cost, joint=by_size, fit=found.fit)
    return _plan(contender, found.fit, found.points, asked, (candidates, chosen, flops), purse)


def found_words(fit: LawFit) -> str:
    """A refused fit in words."""
    return f"{fit.result.law}: {fit.result.reason}"


@dataclass(frozen=True, slots=True)
class _Asked:
    words: str
    of: Callable[[Mapping[str, float]], float]


def _quantity(quantity: Quantity, budget: float, cost: CostModel, *, joint: bool, fit: LawFit) -> _Asked:
    if quantity == "exponent":
        if joint:
            words = "exponent of the loss above its floor against compute, on the best split"
            return _Asked(words, lambda params: compute_exponent(params, cost))
        floor = "above its floor" if fit.result.floor == "free" else "itself"
        return _Asked(f"exponent alpha_C of the loss {floor} against compute", lambda params: params["alpha_C"])
    words = f"loss at {budget:.3g} FLOPs" + (" on the best split" if joint else "")
    if not joint:
        return _Asked(words, lambda params: float(fit.law.predict(params, C=budget)[0]))

    def loss(params: Mapping[str, float]) -> float:
        size, tokens = best_split(params, budget, cost)
        return float(fit.law.predict(params, N=size, D=tokens)[0])

    return _Asked(words, loss)


def _plan(
    contender: str,
    fit: LawFit,
    points: str,
    asked: _Asked,
    offered: tuple[Mapping[str, Array], Mapping[str, Array], ArrayLike],
    purse: float,
) -> NextRuns:
    candidates, described, flops = offered
    cost = np.asarray(flops, dtype=float)
    if not (cost <= purse).any():
        cheapest = f"the cheapest run worth training takes {cost.min():.3g} FLOPs" if len(cost) else "no run is left"
        raise SpecError(f"--spend {purse:.3g}: {cheapest}")
    chosen = greedy_design(fit, asked.of, candidates, cost, budget=purse, max_runs=_MAX_RUNS, max_repeats=_MAX_SEEDS)
    taken = {name: value[list(chosen)] for name, value in candidates.items()}
    runs = tuple(
        NextRun(float(described["N"][index]), float(described["D"][index]), float(cost[index]), count)
        for index, count in Counter(chosen).items()
    )
    return NextRuns(
        contender,
        asked.words,
        fit.result.law,
        points,
        asked.of(fit.result.params),
        standard_error(fit, asked.of),
        standard_error(fit, asked.of, taken),
        float(cost[list(chosen)].sum()),
        runs,
    )


def _ladder(low: float, high: float) -> Array:
    """Doublings from `low` to `high`."""
    return np.asarray(low * 2.0 ** np.arange(int(np.floor(np.log2(high / low) + 1e-9)) + 1))


def _least_tokens(runs: Sequence[RunRecord], warmup_steps: int) -> float:
    """Tokens of the shortest run worth proposing."""
    tokens = [run.curve[-1].tokens for run in runs]
    seen = [point.tokens for run in runs for point in run.curve if point.in_warmup]
    warmup = max([warmup_steps * max(run.batch_tokens for run in runs), *seen])
    return min(max(min(tokens) / _REACH, _WARMUPS * warmup), min(tokens))


def _joint_candidates(runs: Sequence[RunRecord], least: float) -> dict[str, Array]:
    sizes, tokens = [run.non_embedding_params for run in runs], [run.curve[-1].tokens for run in runs]
    size, data = np.meshgrid(_ladder(min(sizes), _REACH * max(sizes)), _ladder(least, _REACH * max(tokens)))
    seen = [count / params for count, params in zip(tokens, sizes, strict=True)]
    # Between the fewest and the most tokens a parameter that were tried: beyond, the law is not known on two sides.
    ratio = data / size
    likely = (ratio >= min(seen) * (1 - 1e-9)) & (ratio <= max(seen) * (1 + 1e-9))
    return {"N": size[likely], "D": data[likely]}


def _frontier_candidates(
    records: Sequence[RunRecord], runs: Sequence[RunRecord], contender: str, axis: CostAxis, cost: CostModel
) -> dict[str, Array]:
    points = frontier_points(CurveStack.of(mean_curves(contender, records, axis)))
    spent = np.array([point.cost for point in points])
    trend = power_trend(spent, np.array([point.non_embedding_params for point in points], dtype=float))
    flops = _ladder(float(spent.min()), _REACH * float(spent.max()))
    sizes = np.array([trend.at(value) for value in flops])
    sizes = np.clip(sizes, min(run.non_embedding_params for run in runs), None)
    tokens = np.array([cost.tokens(size, value) for size, value in zip(sizes, flops, strict=True)])
    return {"C": flops, "N": sizes, "D": tokens}
