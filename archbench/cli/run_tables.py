"""Options of the commands that read a table of runs, and the table that they describe."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from archbench.cli.common import PATH
from archbench.errors import SpecError

if TYPE_CHECKING:
    from archbench.analysis.tables.read import RunTable

F = TypeVar("F", bound=Callable[..., Any])

MAX_POINTS = 20_000
"""Of one fit. Points of one curve say little more than its last ones, and a bootstrap of more takes minutes."""
_COLUMNS = {
    "params": "Column of parameters N.",
    "tokens": "Column of tokens seen D.",
    "compute": "Column of training compute C, or 6ND to take 6·N·D.",
    "loss": "Column of loss.",
    "arch": "Column of the architecture; each is fitted by itself.",
    "seed": "Column of the seed.",
    "step": "Column of optimiser steps S; several rows of one run are then points of its curve.",
    "run": "Column that names the run, where arch, params and seed do not.",
    "critical-batch": "Column of measured critical batches B (law critical-batch).",
    "finetune-tokens": "Column of fine-tuning tokens D_F (transfer laws).",
    "transferred": "Column of effective data transferred D_T (law data-transferred).",
}


def table_options(function: F) -> F:
    """FILE, the columns, and how they are meant."""
    return _options(function, required=True)


def optional_table_options(function: F) -> F:
    """The same where runs may come from elsewhere, so that neither FILE nor its columns have to be named."""
    return _options(function, required=False)


def _options(function: F, *, required: bool) -> F:
    extra = (
        click.option(
            "--compute-unit", type=click.Choice(["flops", "pf-days", "seconds", "gpu-hours"]), help="Unit of --compute."
        ),
        click.option("--param-convention", type=click.Choice(["non_embedding", "total"]), help="What --params counts."),
        click.option(
            "--points",
            type=click.Choice(["all", "final", "efficient"]),
            default="all",
            show_default=True,
            help="Points of learning curves to use: all, each run's last, or the compute-efficient ones.",
        ),
        click.option(
            "--law",
            "law_name",
            metavar="NAME",
            help=(
                "best [default]: the law that foretells best by its back-test. L(C), L(N), L(D), chinchilla, "
                "shared-exponent, outer-exponent, kaplan-nd, kaplan-ns; fit also knows critical-batch, "
                "data-transferred, unified-transfer, and allocation: how N and D grow with C."
            ),
        ),
        click.option(
            "--floor", default="free", show_default=True, metavar="none|free|NUMBER", help="Floor E of the law."
        ),
        click.option(
            "--delta",
            type=click.FloatRange(min=0, min_open=True),
            default=1e-3,
            show_default=True,
            help="Huber's delta on residuals; inf is least squares.",
        ),
        click.option(
            "--residuals",
            type=click.Choice(["log", "absolute"]),
            default="log",
            show_default=True,
            help="Residuals of ln L, or of L.",
        ),
        click.option(
            "--resamples", type=click.IntRange(min=0), default=1000, show_default=True, help="Of the bootstrap."
        ),
        click.option(
            "--interval",
            type=click.Choice(["percentile", "bca", "profile"]),
            default="percentile",
            show_default=True,
            help="Bootstrap percentiles, bias-corrected and accelerated ones, or profile likelihood.",
        ),
        click.option("--random-seed", type=int, default=0, show_default=True, help="Of the bootstrap."),
    )
    for option in reversed(extra):
        function = option(function)
    for name, text in reversed(_COLUMNS.items()):
        flag = f"--{name}"
        function = click.option(flag, name.replace("-", "_"), metavar="COL", help=text)(function)
    return click.argument("file", type=PATH, required=required)(function)


def parse_floor(text: str) -> Any:
    """`none`, `free` or a number. Raises SpecError for anything else."""
    if text in ("none", "free"):
        return text
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise SpecError(f"--floor: got {text!r}, expected none, free or a number of nats, for example 1.6")
    return value


def load_tables(file: Path, options: dict[str, Any]) -> list["RunTable"]:
    """The runs of each architecture in `file`."""
    from archbench.analysis.tables.read import Columns, read_table, run_tables

    columns = Columns(**{name.replace("-", "_"): options[name.replace("-", "_")] for name in _COLUMNS})
    tables = run_tables(
        read_table(file), columns, source=str(file), compute_unit=options["compute_unit"], points=options["points"]
    )
    for table in tables:
        if len(table) > MAX_POINTS:
            head = f"{file}: {table.arch}: " if table.arch else f"{file}: "
            raise SpecError(
                f"{head}{len(table):,} points, a law is fitted to at most {MAX_POINTS:,}; "
                "choose --points final or efficient, or thin the curves"
            )
    return tables


def unstated(options: dict[str, Any]) -> tuple[str, ...]:
    """Which conventions the caller left unsaid, each as a note."""
    notes = []
    if options["compute"] and options["compute"] != "6ND" and not options["compute_unit"]:
        notes.append("unit of --compute not stated (--compute-unit): scales are in the column's unit")
    if options["params"] and not options["param_convention"]:
        notes.append("convention of --params not stated (--param-convention): exponents differ between conventions")
    return tuple(notes)
