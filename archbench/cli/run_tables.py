"""Options of the commands that read a table of runs, and the table that they describe."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from archbench.cli.common import PATH
from archbench.cli.terminal import echo
from archbench.errors import SpecError, nearest

if TYPE_CHECKING:
    from archbench.analysis.tables.quantities import Treatment
    from archbench.analysis.tables.run_table import Columns, RunTable

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
_SCALED = ("params", "params-total", "tokens", "compute", "seconds", "step", "loss", "critical-batch",
           "finetune-tokens", "transferred")  # fmt: skip
"""What `--scale` and `--log10` may name: the flags of columns of numbers."""


def table_options(function: F) -> F:
    """FILE, the columns, and how they are meant."""
    return _options(function, required=True)


def optional_table_options(function: F) -> F:
    """The same where runs may come from elsewhere, so that neither FILE nor its columns have to be named."""
    return _options(function, required=False)


def meaning_options(function: F) -> F:
    """How the columns of a table are meant: units, mixtures of experts, sweeps, rows that were not asked for."""
    for option in reversed(
        (
            click.option("--params-active", metavar="COL", help="N of mixtures of experts: parameters active a token."),
            click.option("--params-total", metavar="COL", help="All parameters of mixtures of experts, beside N."),
            click.option(
                "--loss-unit",
                type=click.Choice(["nats", "bits", "ppl", "bpb", "nats-per-byte"]),
                help="Unit of --loss: nats or bits per token, perplexity, bits or nats per byte. [default: nats]",
            ),
            click.option(
                "--scale",
                "scales",
                multiple=True,
                metavar="NAME=FACTOR",
                help="Factor to plain counts: params=1e9 for a column in billions; may be repeated.",
            ),
            click.option(
                "--log10", "log10s", multiple=True, metavar="NAME,...", help="Columns of log10 values: params,tokens."
            ),
            click.option(
                "--best-of",
                "best_of",
                multiple=True,
                metavar="COL,...",
                help="Settings that were swept (lr,batch): the best of each size and length is kept.",
            ),
            click.option(
                "--where", "where", multiple=True, metavar="COL=VALUE", help="Only rows with this value; repeatable."
            ),
        )
    ):
        function = option(function)
    return function


def treatment_of(options: dict[str, Any]) -> "Treatment":
    """What `meaning_options` said. Raises SpecError for a name or a factor that is none."""
    from archbench.analysis.tables.quantities import Treatment

    scale = {}
    for given in _listed(options["scales"]):
        name, _, factor = given.partition("=")
        scale[_field(name, "--scale")] = _factor(given, factor)
    where = []
    for given in options["where"]:
        column, separator, value = given.partition("=")
        if not (column and separator):
            raise SpecError(f"--where: got {given!r}, expected COL=VALUE, for example dataset=c4")
        where.append((column, value))
    return Treatment(
        scale=scale,
        log10=frozenset(_field(name, "--log10") for name in _listed(options["log10s"])),
        loss_unit=options["loss_unit"],
        best_of=tuple(dict.fromkeys(_listed(options["best_of"]))),
        where=tuple(where),
    )


def _listed(given: tuple[str, ...]) -> list[str]:
    return [part.strip() for text in given for part in text.split(",") if part.strip()]


def _field(name: str, flag: str) -> str:
    if name not in _SCALED:
        raise SpecError(f"{flag}: got {name!r}, expected the name of a flag of numbers{nearest(name, _SCALED)}")
    return name.replace("-", "_")


def _factor(given: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise SpecError(f"--scale: got {given!r}, expected NAME=FACTOR, for example params=1e9")
    return value


def columns_of(options: dict[str, Any]) -> "Columns":
    """Which column holds what. Active parameters of a mixture of experts are its N."""
    from archbench.analysis.tables.run_table import Columns

    names = [name.replace("-", "_") for name in (*_COLUMNS, "params-total", "seconds")]
    chosen: dict[str, Any] = {name: options.get(name) for name in names}
    if active := options.get("params_active"):
        if chosen["params"]:
            raise SpecError("--params and --params-active: both name N; give one, and all parameters by --params-total")
        chosen["params"] = active
    return Columns(**chosen)


def _options(function: F, *, required: bool) -> F:
    function = meaning_options(function)
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
                "best [default], L(C), L(N), L(D), chinchilla, shared-exponent, outer-exponent, kaplan-nd, kaplan-ns, "
                "or another that the text above names."
            ),
        ),
        click.option(
            "--floor", default="free", show_default=True, metavar="none|free|NUMBER", help="Floor E of the law."
        ),
        click.option(
            "--delta",
            type=click.FloatRange(min=0, min_open=True),
            default=None,
            help="Huber's delta on residuals; inf is least squares [default: inf for L(C), L(N), L(D); else 1e-3].",
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
            type=click.Choice(["auto", "percentile", "bca", "profile"]),
            default="auto",
            show_default=True,
            help="Of the bootstrap, or profile likelihood; auto: the reports' own of L(C), L(N) and L(D) on finished "
            "runs, else percentiles.",
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
    """The runs of each architecture in `file` that the gate let in; `gate` of each says which, and why not others."""
    from archbench.analysis.tables.files import read_table
    from archbench.analysis.tables.read import run_tables

    tables = run_tables(
        read_table(file),
        columns_of(options),
        source=str(file),
        compute_unit=options["compute_unit"],
        points=options["points"],
        treatment=treatment_of(options),
    )
    for table in tables:
        if len(table) > MAX_POINTS:
            head = f"{file}: {table.arch}: " if table.arch else f"{file}: "
            raise SpecError(
                f"{head}{len(table):,} points, a law is fitted to at most {MAX_POINTS:,}; "
                "choose --points final or efficient, or thin the curves"
            )
    return tables


def print_gate(table: "RunTable") -> None:
    """Which rows were used, which were left out and why, and what is suspicious: a line each."""
    for line in table.gate.lines():
        echo(line)


def empty_reason(table: "RunTable") -> str:
    """Why no row of `table` is left, by column; empty where some are."""
    if len(table):
        return ""
    return "no row is left: " + "; ".join(dict.fromkeys(one.reason for one in table.gate.left_out))


def unstated(options: dict[str, Any]) -> tuple[str, ...]:
    """Which conventions the caller left unsaid, each as a note."""
    notes = []
    if options["compute"] and options["compute"] != "6ND" and not options["compute_unit"]:
        notes.append("unit of --compute not stated (--compute-unit): scales are in the column's unit")
    if (options["params"] or options["params_active"]) and not options["param_convention"]:
        notes.append("convention of --params not stated (--param-convention): exponents differ between conventions")
    if not options["loss_unit"]:
        notes.append("unit of --loss not stated (--loss-unit): read as nats per token")
    return tuple(notes)


def stated_params(options: dict[str, Any]) -> str:
    """What N counts, as far as it was said."""
    counted = options["param_convention"] or "not stated"
    return f"{counted}, active" if options.get("params_active") else counted
