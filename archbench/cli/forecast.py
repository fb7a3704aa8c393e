"""`archbench forecast`: the loss that a budget is expected to buy, and how to spend it, by a table or by a scan."""

from pathlib import Path
from typing import Any

import click

from archbench.answers.asked_points import Asked, asked_for, require_budget, size_and_tokens
from archbench.answers.scan_runs import size_scan_of
from archbench.answers.table_options import table_in
from archbench.answers.usual_columns import require_loss, with_usual_columns
from archbench.cli import complete
from archbench.cli.common import json_option, note, print_json, runs_option
from archbench.cli.forecast_transfer import TransferQuestion, answer_transfer
from archbench.cli.law_text import print_laws
from archbench.cli.run_tables import optional_table_options
from archbench.cli.terminal import echo
from archbench.errors import SpecError
from archbench.results.runs import CostAxis
from archbench.runs.store import RunStore


@click.command()
@optional_table_options
@click.option("--budget", "budgets", type=float, multiple=True, help="Training FLOPs; may be repeated.")
@click.option(
    "--at",
    "places",
    multiple=True,
    metavar="N=..,D=..",
    help="A point at which the loss is asked for, by the law's letters, for example N=1e9,D=2e10; may be repeated.",
)
@click.option(
    "--scan", metavar="NAME", shell_complete=complete.scans, help="In place of FILE: a scan of the run store."
)
@click.option("--contender", metavar="NAME", help="With --scan: this contender only.")
@click.option(
    "--axis",
    type=click.Choice(["exact", "kaplan"]),
    default="exact",
    show_default=True,
    help="With --scan: which FLOPs --budget counts; kaplan is 6·N·D.",
)
@click.option("--transfer", is_flag=True, help="With --scan: by its transfer study, for --target-tokens of data.")
@click.option(
    "--target-tokens", type=click.FloatRange(min=1), metavar="D_F", help="With --transfer: unique tokens of the target."
)
@click.option("--direction", metavar="SOURCE:TARGET", help="With --transfer: this direction only.")
@runs_option
@json_option
def forecast(
    file: Path | None,
    budgets: tuple[float, ...],
    places: tuple[str, ...],
    scan: str | None,
    contender: str | None,
    axis: str,
    transfer: bool,
    target_tokens: float | None,
    direction: str | None,
    runs_dir: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Say what a law expects of a budget, or of a size and tokens, from a table of runs or from a scan in the store.

    FILE: laws are put side by side and the one that foretells best is used, or the one named by --law. --budget gives
    the loss at C FLOPs; by a law of N and D also the parameters and tokens that spend it best (C = 6·N·D). --at gives
    the loss at a point. Columns that have usual names (params, tokens, loss) need no flags.
    With --scan: the loss by L(C) on the frontier, parameters and tokens by L(N,D) where the runs tell it.
    With --transfer: whether D_F target tokens and a budget are best spent on training from scratch, on fine-tuning, or
    on pre-training and fine-tuning, and at which size.
    """
    if transfer:
        require_budget(budgets, ())
        if scan is None or target_tokens is None:
            raise SpecError("--transfer: needs --scan NAME and --target-tokens D_F, for example --target-tokens 3e5")
        question = TransferQuestion(
            contender, direction, budgets, target_tokens, axis, max(options["resamples"], 100), options["random_seed"]
        )
        answer_transfer(runs_dir, scan, question, as_json)
        return
    asked = asked_for(budgets, places)
    if target_tokens is not None or direction is not None:
        raise SpecError("--target-tokens and --direction: are read with --transfer only; add it, or leave them out")
    if scan is not None:
        if file is not None:
            raise SpecError(f"{file} and --scan {scan}: name one of the two")
        _of_scan(RunStore(runs_dir), (scan, contender), asked, axis, options, as_json=as_json)
        return
    if contender is not None:
        raise SpecError("--contender: is read with --scan only; --arch names the column of a table")
    if file is None:
        raise SpecError("a table of runs or --scan NAME is needed; `archbench forecast --help` shows both")
    _of_table(file, asked, options, as_json=as_json)


def _of_table(file: Path, asked: Asked, options: dict[str, Any], *, as_json: bool) -> None:
    table = table_in(file)
    options = with_usual_columns(table, options, note)
    require_loss(options)
    # Imported now: scipy and pandas are not loaded for `--help`.
    from archbench.answers.forecast_words import forecast_lines, gate_lines
    from archbench.answers.forecasts import table_forecasts
    from archbench.answers.outputs.analysis import ForecastOutput

    found = table_forecasts(table, options, asked)
    if as_json:
        print_json(ForecastOutput(str(file), found))
        return
    for one in found:
        for line in gate_lines(one):
            echo(line)
        if one.laws:
            print_laws(one.arch, one.laws, one.reason)
        for line in forecast_lines(one):
            echo(line)


def _of_scan(
    store: RunStore,
    named: tuple[str, str | None],
    asked: Asked,
    axis: str,
    options: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """named: the scan, and a contender of it or None."""
    for point in asked.points:
        size_and_tokens(point)
    from archbench.answers.forecast_words import scan_forecast_lines
    from archbench.answers.forecasts import Drawing, scan_forecasts
    from archbench.answers.outputs.analysis import ScanForecastOutput
    from archbench.report.labels import labels_of

    names, records = size_scan_of(store, *named, note)
    drawing = Drawing(options["resamples"], options["random_seed"])
    found = scan_forecasts(records, names, asked, CostAxis(axis), drawing)
    if as_json:
        print_json(ScanForecastOutput(named[0], found))
        return
    labels = labels_of(records)
    for one in found:
        for line in scan_forecast_lines(one, asked.points, labels):
            echo(line)
