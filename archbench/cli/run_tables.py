"""Options of the commands that read a table of runs."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from archbench.answers.table_options import CHOICES
from archbench.cli.common import PATH

F = TypeVar("F", bound=Callable[..., Any])

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


def meaning_options(function: F) -> F:
    """How the columns of a table are meant: units, mixtures of experts, sweeps, rows that were not asked for."""
    for option in reversed(
        (
            click.option("--params-active", metavar="COL", help="N of mixtures of experts: parameters active a token."),
            click.option("--params-total", metavar="COL", help="All parameters of mixtures of experts, beside N."),
            click.option(
                "--loss-unit",
                type=click.Choice(CHOICES["loss_unit"]),
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


def _options(function: F, *, required: bool) -> F:
    function = meaning_options(function)
    extra = (
        click.option("--compute-unit", type=click.Choice(CHOICES["compute_unit"]), help="Unit of --compute."),
        click.option(
            "--param-convention", type=click.Choice(CHOICES["param_convention"]), help="What --params counts."
        ),
        click.option(
            "--points",
            type=click.Choice(CHOICES["points"]),
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
            type=click.Choice(CHOICES["residuals"]),
            default="log",
            show_default=True,
            help="Residuals of ln L, or of L.",
        ),
        click.option(
            "--resamples", type=click.IntRange(min=0), default=1000, show_default=True, help="Of the bootstrap."
        ),
        click.option(
            "--interval",
            type=click.Choice(CHOICES["interval"]),
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
