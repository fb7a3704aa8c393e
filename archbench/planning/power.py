"""How likely a planned scan is to answer its question, from what the store knows of such runs or from assumptions."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.comparison.power import (
    Assumed,
    PlannedCell,
    Power,
    lower_bound,
    power_of,
)
from archbench.analysis.comparison.question import Question, asked_question
from archbench.analysis.frontier.curves import mean_curves
from archbench.analysis.frontier.finished import MIN_SIZES, FinishedRuns
from archbench.analysis.frontier.noise import ENOUGH_FREEDOM
from archbench.results.runs import CONTROL, SIZE_SCAN, CostAxis, RunRecord, size_scan_results
from archbench.runs.files import DamagedFile
from archbench.runs.store import RunStore
from archbench.scans.planner import ScanPlan
from archbench.spec.models import Spec

ASSUMED_STD_NATS = (0.01, 0.04)
"""Between seeds, where nothing tells it: .006 to .011 nats at 197 thousand parameters (Gundlach et al. 2025, arXiv
2511.21622), and four times as much for smaller models and shorter runs."""
ASSUMED_EXPONENT = 0.057
"""Of loss against compute as trained (Kaplan et al. 2020, naive L(C))."""
ASSUMED_SHARE = 0.4
"""Loss of small models in parts of ln V, the loss of one that knows nothing: 2.2 nats over bytes, 4.3 over 50 thousand
ids."""
_LEAST_EXPONENT = 0.005


@dataclass(frozen=True, slots=True)
class PlannedPower:
    """The power of a planned scan to call one contender better."""

    contender: str
    margin: float
    seed_std_nats: float
    source: str
    """Where noise and slope of the loss come from, in words."""
    powers: tuple[Power, ...]
    """For several true multipliers; empty where none can be given."""
    reason: str = ""
    """Why none can be given."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What runs of the store say, or what is assumed."""

    exponent: float
    loss_nats: float
    stds_nats: tuple[float, ...]
    source: str
    law_is_known: bool


@dataclass(frozen=True, slots=True)
class _Side:
    """A contender, trained or published."""

    name: str
    architecture: str
    objective: str
    track: str


def planned_power(spec: Spec, plan: ScanPlan, store: RunStore) -> tuple[PlannedPower, ...]:
    """The power for each contender of the baseline's track, or why none can be given.

    Nothing where the spec asks no question of a baseline, or trains no scan of sizes.
    """
    question = asked_question(spec.resolved())
    sides = _sides(spec, plan)
    base = next((one for one in sides if one.name == spec.baseline), None)
    if question is None or base is None or not spec.scan.trained:
        return ()
    axis = _axis(question)
    ladder = _cells(spec, plan, base, axis)
    known = _known(spec, plan, store, base, axis, max(cell.cost for cell in ladder))
    others = [one for one in sides if one is not base and one.track == base.track]
    made: dict[tuple[tuple[float, int], ...], list[PlannedPower]] = {}
    found: list[PlannedPower] = []
    for one in others:
        side = _cells(spec, plan, one, axis)
        # Ladders of one shape have one answer, whoever they are of: costs within some per cent of each other.
        shape = tuple((round(math.log(cell.cost), 1), cell.seeds) for cell in side)
        if shape not in made:
            made[shape] = _of_pair(one.name, (ladder, side), question, known)
        found += [PlannedPower(one.name, *_rest(row)) for row in made[shape]]
    return tuple(found)


def _sides(spec: Spec, plan: ScanPlan) -> list[_Side]:
    """All contenders, in the order of the spec."""
    sides = {run.contender: _Side(run.contender, run.architecture, run.objective, run.track) for run in plan.published}
    for one in spec.contenders:
        sides[one.name] = _Side(one.name, one.architecture.kind, one.objective.kind, one.objective.track)
    return [sides[name] for name in spec.names if name in sides]


def _rest(row: PlannedPower) -> tuple[float, float, str, tuple[Power, ...], str]:
    return row.margin, row.seed_std_nats, row.source, row.powers, row.reason


def _of_pair(
    name: str, sides: tuple[Sequence[PlannedCell], Sequence[PlannedCell]], question: Question, known: _Known
) -> list[PlannedPower]:
    place: Window | float | None = None
    source = known.source
    if question.cost is not None and question.axis is _axis(question):
        place = question.cost
    elif question.window is not None and known.law_is_known:
        place = question.window
    elif question.window is not None or question.cost is not None:
        source += "; over the middle half of the losses, not where it is asked"
    first = known.stds_nats[0]
    bound = lower_bound(sides, Assumed(known.exponent, known.loss_nats, first), place=place)
    if bound is None:
        return [PlannedPower(name, question.margin, first, source, (), _why_none(sides, place))]
    return [
        PlannedPower(
            name, question.margin, std, source, tuple(power_of(sides, question.margin, bound.scaled(std / first)))
        )
        for std in known.stds_nats
    ]


def _why_none(sides: tuple[Sequence[PlannedCell], Sequence[PlannedCell]], place: Window | float | None) -> str:
    if min(len(side) for side in sides) < MIN_SIZES:
        return "fewer than three sizes are planned so far"
    if place is not None:
        return "it is asked beyond the planned runs"
    return "the planned runs of both share too few losses"


def _axis(question: Question) -> CostAxis:
    """The axis that planned ladders stand on: what is measured is not known of them, and executed FLOPs stand in."""
    return CostAxis.EXACT if question.axis is None or question.axis.measured else question.axis


def _cells(spec: Spec, plan: ScanPlan, contender: _Side, axis: CostAxis) -> list[PlannedCell]:
    """The sizes of one contender with their longest budget, whether their rates are known or still to be tuned."""
    cells = _published_cells([run for run in plan.published if run.contender == contender.name], axis)
    for run in plan.runs:
        if run.contender != contender.name or run.study != SIZE_SCAN or run.role == CONTROL:
            continue
        facts = run.plan.facts
        tokens = spec.scan.budgets(facts.non_embedding_params, spec.scan.sizes[run.size_index])[-1][0]
        kaplan = axis is CostAxis.KAPLAN
        per_token = facts.kaplan_flops_per_token if kaplan else facts.exact_flops_per_token
        cells[run.size_index] = PlannedCell(
            size_index=run.size_index,
            num_params=float(facts.non_embedding_params),
            tokens=tokens,
            cost=per_token * tokens,
            seeds=spec.scan.seeds.count(run.size_index),
        )
    return [cells[index] for index in sorted(cells)]


def _published_cells(runs: Sequence[RunRecord], axis: CostAxis) -> dict[int, PlannedCell]:
    """The same of a published contender, by size."""
    cells: dict[int, PlannedCell] = {}
    for size_index in sorted({run.size_index for run in runs if run.usable}):
        of_size = [run for run in runs if run.usable and run.size_index == size_index]
        longest = max(run.planned_tokens for run in of_size)
        seeds = [run for run in of_size if run.planned_tokens == longest]
        cells[size_index] = PlannedCell(
            size_index=size_index,
            num_params=float(seeds[0].non_embedding_params),
            tokens=float(longest),
            cost=seeds[0].curve[-1].cost(axis) or 0.0,
            seeds=len(seeds),
        )
    return cells


def _known(spec: Spec, plan: ScanPlan, store: RunStore, base: _Side, axis: CostAxis, end: float) -> _Known:
    """Noise and slope of the loss: from finished runs of the baseline's architecture on that text, else assumed.

    end: the cost on `axis` at which the loss is told.
    """
    corpus = plan.corpora[spec.data.name]
    ladders = _stored(store, corpus.corpus_hash, base, axis, plan.published)
    whose = "its published runs" if base.name in spec.published else "runs of the store"
    law = _stored_law(ladders, end)
    if law is not None:
        exponent, loss = law
        source = f"loss falls as C^-{exponent:.2g} to {loss:.3g} nats by {whose}"
    else:
        exponent, loss = ASSUMED_EXPONENT, ASSUMED_SHARE * math.log(corpus.text_vocab_size)
        source = f"assumed: loss falls as C^-{exponent:g} (Kaplan et al. 2020) to {loss:.2g} nats"
    asked = spec.question.seed_std_nats if spec.question else None
    squares, freedom = _stored_noise(ladders)
    if freedom >= ENOUGH_FREEDOM and law is not None:
        stds: tuple[float, ...] = (math.sqrt(squares / freedom) * loss,)
        source += f"; noise by {freedom} degrees of freedom of their seeds"
    elif asked is not None:
        stds, source = (asked,), f"{source}; noise as the question states"
    else:
        stds, source = ASSUMED_STD_NATS, f"{source}; noise assumed"
    return _Known(exponent, loss, stds, source, law is not None)


def _stored(
    store: RunStore, corpus_hash: str, base: _Side, axis: CostAxis, published: Sequence[RunRecord]
) -> list[FinishedRuns]:
    """Ladders of the baseline's architecture and objective on the text `corpus_hash`, each run counted once.

    published: runs of entries that the plan has, on that text, whether the store has them yet or not.
    """
    groups: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    groups["", base.name] = [run for run in published if run.contender == base.name and run.usable]
    seen = {run.run_id for run in groups["", base.name]}
    for name in store.scan_names():
        try:
            index = store.scan(name)
        except DamagedFile:
            continue
        data = index.environment.get("data")
        if not isinstance(data, dict) or data.get("corpus_hash") != corpus_hash:
            continue
        for run in size_scan_results(store.records(index)[0]):
            same = (run.architecture, run.objective) == (base.architecture, base.objective)
            if same and run.usable and run.run_id not in seen:
                seen.add(run.run_id)
                groups[name, run.contender].append(run)
    sets = [mean_curves(contender, runs, axis) for (_, contender), runs in groups.items()]
    return [FinishedRuns.of(one) for one in sets if one.curves]


def _stored_law(ladders: Sequence[FinishedRuns], end: float) -> tuple[float, float] | None:
    """Exponent of the loss, and loss at the cost `end`, by the ladder of most sizes; None where none has three."""
    found = max(ladders, key=lambda one: one.num_sizes, default=None)
    if found is None or found.num_sizes < MIN_SIZES:
        return None
    cells, _ = found.on_frontier()
    if len(cells) < MIN_SIZES:
        return None
    slope, level = np.polyfit(cells.log_cost, cells.log_loss, 1)
    if -slope < _LEAST_EXPONENT:
        return None
    return float(-slope), float(np.exp(level + slope * math.log(end)))


def _stored_noise(ladders: Sequence[FinishedRuns]) -> tuple[float, int]:
    """Sum of squares of ln L about the means of sizes, and its degrees of freedom."""
    freedom = sum(one.seed_freedom for one in ladders)
    return sum(one.seed_variance * one.seed_freedom for one in ladders), freedom
