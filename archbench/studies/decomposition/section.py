"""What each step from one architecture to another does, in a figure, tables and words."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.contracts.report import ReportSection, ScanResults
from archbench.display import markdown_list, markdown_text
from archbench.report.plotting import AXIS_NAMES, markdown_table, save
from archbench.report.study_tables import study_table_name
from archbench.report.words import number, p_text, with_interval
from archbench.results.runs import CostAxis, size_number
from archbench.studies.decomposition.results import Decomposition, Figure, SizeSeconds, StepEffect, StepSum
from archbench.studies.sections import results_of
from archbench.units import human_count

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLOCKS = {
    "processor": "Time per token is processor time of the process that trained, in training steps, over their tokens: "
    "other work on the machine hardly changes it, which it does the time that passes.",
    "device": "Time per token is the time that passed in training steps, over their tokens: other work on the machine "
    "enters it.",
    "none": "No time was measured.",
}
_WHAT = {
    Figure.ALPHA: "difference of alpha",
    Figure.MULTIPLIER: "compute multiplier",
    Figure.SECONDS_PER_TOKEN: "time per token, before / after",
}


class DecompositionSection(ReportSection):
    """The account of a spec's `decompose`: each step's effect on exponent, cost and time, and what they add up to."""

    kind: Literal["decomposition"] = "decomposition"
    title: str = "Step by step"
    order: int = 280
    summary: ClassVar[str] = "What each single change between two architectures does to exponent, compute and time"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Words, a figure, the table of steps, sums and times; None where no decomposition was asked for."""
        found = list(results_of(results, Decomposition))
        if not found:
            return None
        from archbench.studies.decomposition.figure import decomposition

        (one,) = found
        axis = CostAxis.EXACT
        alt = f"Effects of each step from {one.contenders[0]} to {one.contenders[-1]} on exponent, compute and time."
        # A spec has one decomposition, and its name is the section's.
        study = next(name for name, result in results.studies.items() if result is one)
        tables = tuple(study_table_name(study, sort) for sort in ("effects", "seconds"))
        parts = [
            self._words(one),
            save(decomposition(one, axis), figures_dir, "decomposition", alt, tables),
            self._steps(one, axis),
            self._others(one, axis),
            self._sums(one, axis),
            self._seconds(one.seconds),
            markdown_list(self._reasons(one)),
        ]
        return "\n\n".join(part for part in parts if part)

    def _words(self, one: Decomposition) -> str:
        read = "at no loss, since the contenders reach none together"
        if one.window_nats is not None:
            high, low = (number(end, 4) for end in one.window_nats)
            read = f"over losses of {high} to {low} nats, the middle half of those that all of them reach"
        return (
            f"From {' to '.join(map(markdown_text, one.contenders))}: each differs from the one before in one thing. "
            "Differences of alpha are after - before; a multiplier is cost before over cost after, read "
            f"{read}: above 1 the step saves. {_CLOCKS[one.clock]} p is Holm-corrected over the steps, but for the "
            "whole way's. An effect belongs to its place in this order: what two changes do only together is put down "
            "to the later one."
        )

    def _steps(self, one: Decomposition, axis: CostAxis) -> str:
        header = ["step", "from", "to", *(f"{_WHAT[figure]}, 95 %" for figure in Figure), "told apart"]
        rows = []
        for number_of_step in [*range(1, len(one.contenders)), 0]:
            effects = list(_of_step(one, number_of_step, axis))
            told = [_WHAT[effect.figure].split(",")[0] for effect in effects if effect.told_apart]
            rows.append(
                [
                    str(number_of_step) if number_of_step else "all",
                    effects[0].before,
                    effects[0].after,
                    *(_cell(effect) for effect in effects),
                    ", ".join(told) or "nothing",
                ]
            )
        return f"On {AXIS_NAMES[axis]}:\n\n{markdown_table(header, rows, right=(3, 4, 5))}"

    def _others(self, one: Decomposition, axis: CostAxis) -> str:
        """The same on the other cost axes."""
        header = ["step", "from", "to", "cost axis", *(f"{_WHAT[one]}, 95 %" for one in _ON_AXES)]
        rows = []
        for other in CostAxis:
            for number_of_step in [*range(1, len(one.contenders)), 0]:
                effects = [effect for effect in _of_step(one, number_of_step, other) if effect.cost_axis is other]
                if other is not axis and effects:
                    step = str(number_of_step) if number_of_step else "all"
                    first = effects[0]
                    rows.append([step, first.before, first.after, AXIS_NAMES[other], *map(_cell, effects)])
        return f"On the other cost axes:\n\n{markdown_table(header, rows, right=(4, 5))}"

    def _sums(self, one: Decomposition, axis: CostAxis) -> str:
        shown = [total for total in one.sums if total.cost_axis in (axis, None)]
        lines = [f"- {_WHAT[total.figure].split(',')[0]}: {self._sum(total)}" for total in shown]
        return "The steps together against the whole way at once:\n\n" + "\n".join(lines)

    def _sum(self, total: StepSum) -> str:
        combined = "sum" if total.figure is Figure.ALPHA else "product"
        told = f"{total.num_told_apart} of {total.num_steps} steps are told apart from no effect"
        if total.summed is None or total.direct is None:
            return f"a step may not be read, so there is no {combined}; {told}."
        return f"{combined} {number(total.summed)}, direct {number(total.direct)}; {told}."

    def _seconds(self, seconds: "Sequence[SizeSeconds]") -> str:
        if not seconds:
            return ""
        rows = [
            [
                one.contender,
                str(size_number(one.size_index)),
                human_count(one.non_embedding_params),
                str(one.runs),
                number(one.seconds_per_token * 1e6),
                human_count(one.exact_flops_per_token),
                number(one.exact_flops_per_token / one.seconds_per_token),
            ]
            for one in seconds
        ]
        header = ["contender", "size", "N", "runs", "microseconds per token", "FLOPs per token", "FLOP/s"]
        return markdown_table(header, rows, right=(1, 2, 3, 4, 5, 6))

    def _reasons(self, one: Decomposition) -> Iterator[str]:
        told: dict[str, None] = {}
        for effect in one.effects:
            if effect.reason and effect.effect is None:
                told[f"{effect.before} to {effect.after}: `{effect.status.value}`: {effect.reason}."] = None
            elif effect.reason and effect.figure is Figure.MULTIPLIER:
                told[f"Mind: {effect.reason}."] = None
        yield from told


_ON_AXES = (Figure.ALPHA, Figure.MULTIPLIER)


def _of_step(one: Decomposition, step: int, axis: CostAxis) -> Iterator[StepEffect]:
    """The effects of one step on `axis`, and those that lie on none, in the order of `Figure`."""
    mine = [effect for effect in one.effects if effect.step == step and effect.cost_axis in (axis, None)]
    for figure in Figure:
        yield from (effect for effect in mine if effect.figure is figure)


def _cell(effect: StepEffect) -> str:
    if effect.effect is None:
        return f"`{effect.status.value}`"
    p_value = effect.p_value if effect.step == 0 else effect.holm_p_value
    told = f", p {p_text(p_value)}" if p_value is not None else ""
    return f"{with_interval(effect.effect)}{told}"
