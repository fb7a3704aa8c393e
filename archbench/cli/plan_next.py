"""`archbench plan SPEC --next`: the further runs that make a named figure more certain for the least compute."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from archbench.answers.scan_runs import size_scan_of
from archbench.cli.common import note, print_json, table_console
from archbench.cli.terminal import echo
from archbench.errors import SpecError
from archbench.runs.store import RunStore
from archbench.units import counted, human_count

if TYPE_CHECKING:
    from archbench.planning.next_runs import NextRuns

F = TypeVar("F", bound=Callable[..., Any])
_FLAGS = {
    "quantity": "--quantity",
    "budget": "--budget",
    "spend": "--spend",
    "contender": "--contender",
}


def next_options(function: F) -> F:
    """`--next` and what it is told."""
    flops = click.FloatRange(min=0, min_open=True)
    options = (
        click.option("--next", "what_next", is_flag=True, help="Which runs to train after those that have finished."),
        click.option(
            "--quantity",
            type=click.Choice(["exponent", "loss"]),
            help="With --next: the exponent of L(C) [default], or the loss at --budget.",
        ),
        click.option("--budget", type=flops, help="With --quantity loss: FLOPs; 10 times the dearest run otherwise."),
        click.option("--spend", type=flops, help="With --next: FLOPs to spend; as much as was spent otherwise."),
        click.option("--contender", metavar="NAME", help="With --next: this contender only."),
        click.option(
            "--scan", metavar="NAME", help="With --next, in place of SPEC: a scan of the run store, imported ones too."
        ),
        click.option(
            "--axis",
            type=click.Choice(["exact", "kaplan"]),
            default="exact",
            show_default=True,
            help="With --next: which FLOPs are counted.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def refuse_without_next(asked: dict[str, Any]) -> None:
    """Raises SpecError for a flag that only `--next` reads."""
    for name, flag in _FLAGS.items():
        if asked[name] is not None:
            raise SpecError(f"{flag}: is read with --next only; add --next")


def show_next(
    scan: str,
    store: RunStore,
    *,
    quantity: str | None,
    budget: float | None,
    spend: float | None,
    contender: str | None,
    axis: str,
    as_json: bool,
    warmup_steps: int = 0,
) -> None:
    """Prints the plan of each contender; one line for each whose runs do not say enough.

    Raises SpecError where no contender's do.
    """
    from archbench.planning.next_runs import Question, next_runs
    from archbench.report.labels import labels_of
    from archbench.results.published import publication_of
    from archbench.results.runs import CostAxis

    if budget is not None and quantity != "loss":
        raise SpecError("--budget: is where the loss is asked for; add --quantity loss")
    if scan not in store.scan_names():
        raise SpecError(f"{store.root}: no run of {scan!r} has finished; `archbench run` trains them")
    names, records = size_scan_of(store, scan, contender, note)
    published = {record.contender for record in records if publication_of(record) is not None}
    if contender in published:
        raise SpecError(f"--contender: {contender!r} is a published entry, of which nothing is trained; name another")
    names = [name for name in names if name not in published]
    question = Question("loss" if quantity == "loss" else "exponent", budget, spend, CostAxis(axis), warmup_steps)
    plans, refusals = [], list[str]()
    for name in names:
        try:
            plans.append(next_runs(records, name, question))
        except SpecError as error:
            refusals.append(str(error))
    if not plans:
        raise SpecError("; ".join(refusals))
    if as_json:
        from archbench.answers.outputs.analysis import NextOutput

        print_json(NextOutput(scan, axis, plans, refusals))
        return
    flops = labels_of(records).axis_names[CostAxis(axis)]
    for one in plans:
        _print(one, flops)
    for line in refusals:
        note(line)


def _print(one: "NextRuns", flops: str) -> None:
    """flops: which ones the cost of runs counts, in words."""
    from rich.table import Table

    from archbench.report.words import number

    echo(f"{one.contender}: {one.quantity} is {one.value:.4g}, by {one.law} on {one.points}")
    echo(
        f"its standard error is {one.std_now:.2g} and would be {one.std_after:.2g} after "
        f"{counted(sum(run.count for run in one.runs), 'run')} of {number(one.spent)} {flops} together:"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("N", "D", "FLOPs a run", "seeds"):
        table.add_column(header, justify="right")
    for run in one.runs:
        table.add_row(
            human_count(round(run.params)),
            human_count(round(run.tokens)),
            number(run.flops),
            str(run.count),
        )
    table_console().print_whole(table)
    echo("")
