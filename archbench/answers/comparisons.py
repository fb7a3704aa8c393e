"""What `compare` answers: multiplier, exponents and crossover of contenders against a baseline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archbench.analysis.comparison.at import compare_at_cost, compare_at_loss
from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.comparison.question import Question
from archbench.analysis.frontier.scan import analyse_scan, fit_contenders
from archbench.answers.outputs.comparisons import CompareOutput, RunPlace
from archbench.contracts.report import ScanResults
from archbench.errors import SpecError
from archbench.report.answer import answer_sentence
from archbench.results.arithmetic import mixed_arithmetic
from archbench.results.choices import unequal_choices
from archbench.results.controls import ControlOutcome
from archbench.results.evaluations import unlike_evaluations
from archbench.results.experts import convention_beside_dense
from archbench.results.fits import Comparison, ComparisonAt
from archbench.results.published import seconds_left_out
from archbench.results.runs import RunRecord, distinct_axes


@dataclass(frozen=True, slots=True)
class Sides:
    """The runs of a baseline and of those that are held against it."""

    records: tuple[RunRecord, ...]
    baseline: str
    contenders: tuple[str, ...]
    scans: tuple[str, ...] = ()
    """Where the runs come from; empty where that is no store."""
    question: Question | None = None
    """That the one scan of all asks, if the baseline is its own."""
    controls: tuple[ControlOutcome, ...] = ()
    num_others: int = 0
    """Further contenders of the scan."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a comparison is asked for, beside its window."""

    window: Window | None = None
    """In place of that of the question, or of the middle half of the losses that both sides reach."""
    at_cost: float | None = None
    at_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """The comparisons of contenders with a baseline, on each cost axis."""

    sides: Sides
    results: ScanResults
    places: tuple[ComparisonAt, ...]
    mind: tuple[str, ...]
    """What they must be read with."""

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """One for each contender and cost axis."""
        return self.results.comparisons


def places_of(window: Sequence[float] | None, at_cost: float | None, at_loss: float | None) -> Places:
    """What was asked for. Raises SpecError for losses and costs that are none."""
    for flag, value in (("--at-cost", at_cost), ("--at-loss", at_loss)):
        if value is not None and not 0.0 < value < float("inf"):
            raise SpecError(f"{flag}: got {value:g}, expected a number above 0")
    if window is None:
        return Places(None, at_cost, at_loss)
    ends = tuple(window)
    if len(ends) != 2 or not 0.0 < ends[1] < ends[0]:
        got = " ".join(f"{end:g}" for end in ends)
        raise SpecError(f"--window: got {got}, expected a higher loss and a lower one above 0, as in 2.9 2.6")
    return Places(Window(ends[0], ends[1]), at_cost, at_loss)


def compare_sides(sides: Sides, places: Places) -> Compared:
    """The comparisons of `sides`, by the estimators of every report."""
    records, baseline = sides.records, sides.baseline
    question = sides.question if places.window is None else None
    frontiers, on_all_axes = analyse_scan(records, baseline=baseline, window=places.window, question=question)
    axes = distinct_axes(records)
    comparisons = tuple(pair for pair in on_all_axes if pair.cost_axis in axes)
    at = tuple(one for contender in sides.contenders for one in _at(records, baseline, contender, places))
    told = (
        mixed_arithmetic(records),
        convention_beside_dense(records),
        unequal_choices(records),
        unlike_evaluations(records),
    )
    mind = (*(words for words in told if words), *seconds_left_out(records))
    name = f"{' and '.join(sides.contenders)} against {baseline}"
    results = ScanResults(name, "", baseline, records, frontiers, comparisons, {}, {}, controls=sides.controls)
    return Compared(sides, results, at, mind)


def compare_output(one: Compared) -> CompareOutput:
    """`one` as JSON prints it."""
    runs = [RunPlace.of(run) for run in one.sides.records if run.usable]
    return CompareOutput(
        list(one.sides.scans),
        answer_sentence(one.results),
        list(one.comparisons),
        list(one.places),
        list(one.mind),
        list(one.sides.controls),
        runs,
    )


def check_units(records: Sequence[RunRecord], a: str, b: str, say: Callable[[str], None]) -> None:
    """Raises SpecError where the losses of the two are in different units; other counts of N are told."""
    units, counts = (
        {name: _stated(records, name, key) for name in (a, b)} for key in ("loss_unit", "param_convention")
    )
    if units[a] != units[b]:
        raise SpecError(f"{a!r} has losses in {units[a]}, {b!r} in {units[b]}: they do not compare")
    if counts[a] != counts[b]:
        say(f"warning: N of {a!r} is {counts[a]}, that of {b!r} {counts[b]}: the axis 6ND counts them differently")


def _stated(records: Sequence[RunRecord], name: str, key: str) -> str:
    """What the runs of `name` state, or what archbench's own runs are in."""
    own = {"loss_unit": "nats per token", "param_convention": "non_embedding"}[key]
    found = sorted({str(run.details.get(key, own)) for run in records if run.contender == name})
    return ", ".join(found) or own


def _at(records: Sequence[RunRecord], a: str, b: str, places: Places) -> list[ComparisonAt]:
    """What the comparison says at the user's own cost or loss, on every axis that has it."""
    if places.at_cost is None and places.at_loss is None:
        return []
    found = []
    for axis in distinct_axes(records):
        sides = {one.name: one for one in fit_contenders(records, axis, baseline=a)}
        if a not in sides or b not in sides or sides[a].track != sides[b].track:
            continue
        if places.at_cost is not None and not axis.measured:
            found.append(compare_at_cost(sides[a], sides[b], places.at_cost))
        if places.at_loss is not None:
            found.append(compare_at_loss(sides[a], sides[b], places.at_loss))
    return found
