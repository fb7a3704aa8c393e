"""`archbench forecast`: the loss that a budget is expected to buy, and how to spend it, by a table or by a scan."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archbench.cli import complete
from archbench.cli.common import json_option, print_json, runs_option
from archbench.cli.forecast_transfer import TransferQuestion, answer_transfer
from archbench.cli.law_fits import asked_law, chosen_law, fit_table
from archbench.cli.law_text import print_laws
from archbench.cli.run_tables import load_tables, optional_table_options, parse_floor
from archbench.cli.terminal import echo
from archbench.cli.usual_columns import require_loss, with_usual_columns
from archbench.errors import SpecError
from archbench.results.fits import Interval

if TYPE_CHECKING:
    from archbench.analysis.fitting.forecast import Forecast
    from archbench.analysis.planning.scan_forecast import ScanForecast
    from archbench.cli.outputs.analysis import BudgetRow, ForecastRow
    from archbench.report.labels import Labels

NOTHING = 1.5
"""An interval of a loss that spans this factor could hold anything."""
_KNOWN = 100.0
"""N and D whose intervals span more are not known."""


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
    if not budgets and (transfer or not places):
        raise SpecError("--budget: say at how many FLOPs, for example --budget 1e21; or at a point, --at N=1e9,D=2e10")
    if any(not 0 < budget < float("inf") for budget in budgets):
        raise SpecError("--budget: expected a positive number of FLOPs, for example 1e21")
    points = [_place(text) for text in places]
    if transfer:
        if scan is None or target_tokens is None:
            raise SpecError("--transfer: needs --scan NAME and --target-tokens D_F, for example --target-tokens 3e5")
        question = TransferQuestion(
            contender, direction, budgets, target_tokens, axis, max(options["resamples"], 100), options["random_seed"]
        )
        answer_transfer(runs_dir, scan, question, as_json)
        return
    if target_tokens is not None or direction is not None:
        raise SpecError("--target-tokens and --direction: are read with --transfer only; add it, or leave them out")
    if scan is not None:
        if file is not None:
            raise SpecError(f"{file} and --scan {scan}: name one of the two")
        pairs = [_size_and_tokens(point, text) for point, text in zip(points, places, strict=True)]
        _of_scan(
            runs_dir, scan, contender, (budgets, pairs), axis, options["resamples"], options["random_seed"], as_json
        )
        return
    if contender is not None:
        raise SpecError("--contender: is read with --scan only; --arch names the column of a table")
    if file is None:
        raise SpecError("a table of runs or --scan NAME is needed; `archbench forecast --help` shows both")
    found = _of_table(file, budgets, points, options)
    if as_json:
        from archbench.cli.outputs.analysis import ForecastOutput

        print_json(ForecastOutput(str(file), found))
        return
    for one in found:
        _print(one)


def _of_scan(
    runs_dir: Path,
    scan: str,
    contender: str | None,
    asked: tuple[Sequence[float], Sequence[tuple[float, float]]],
    axis: str,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    from archbench.analysis.planning.scan_forecast import forecast_scan
    from archbench.cli.scan_runs import size_scan_of
    from archbench.report.labels import labels_of
    from archbench.results.runs import CostAxis
    from archbench.runs.store import RunStore

    names, records = size_scan_of(RunStore(runs_dir), scan, contender)
    found = [
        forecast_scan(
            records, name, asked[0], at=asked[1], axis=CostAxis(axis), resamples=max(resamples, 100), seed=seed
        )
        for name in names
    ]
    if as_json:
        from archbench.cli.outputs.analysis import ScanForecastOutput

        print_json(ScanForecastOutput(scan, found))
        return
    labels = labels_of(records)
    for one in found:
        _print_scan(one, asked[1], labels)


def _print_scan(one: "ScanForecast", places: Sequence[tuple[float, float]], labels: "Labels") -> None:
    floor = f", floor {one.frontier.floor}"
    echo(f"{one.contender}: {_read(one.frontier.law + floor, one.frontier, one.frontier_points)}")
    echo(f"{one.contender}: {_read(one.joint.law, one.joint, one.joint_points)}")
    for row in one.budgets:
        parts = []
        if row.loss:
            by = "L(N,D)" if row.loss is row.joint_loss else "L(C)"
            parts.append(f"loss {_loss(row.loss.loss)} {labels.nats} by {by}{_beyond(row.loss)}")
        if row.params and row.tokens:
            parts.append(f"N {_span(row.params, '.3g')}, D {_span(row.tokens, '.3g')}")
            if row.joint_loss is not None and row.joint_loss is not row.loss:
                parts.append(f"there {row.joint_loss.loss.value:.4g} {labels.nats} by L(N,D){_beyond(row.joint_loss)}")
        words = ", ".join(parts) or "no forecast"
        echo(f"{one.contender}: {row.flops:.3g} {labels.axis_names[one.cost_axis]}: {words}")
    for point in one.at:
        echo(f"{one.contender}: {_words_of(point)} {labels.nats} by L(N,D){_beyond(point)}")
    if not one.at:
        for size, tokens in places:
            echo(f"{one.contender}: N {size:.3g}, D {tokens:.3g}: no forecast: L(N,D) may not be read")


def _read(law: str, result: Any, points: str) -> str:
    if result.status.value == "ok":
        return f"{law}, on {points}"
    return f"{law}: {result.status.value}: {result.reason}"


def _of_table(
    file: Path, budgets: Sequence[float], points: "Sequence[dict[str, float]]", options: dict[str, Any]
) -> "list[ForecastRow]":
    options = with_usual_columns(file, options)
    require_loss(options)
    law, floor = asked_law(options), parse_floor(options["floor"])
    if law is not None:
        _check_asked(law, budgets, points, options)
    return [_one(law, table, floor, (budgets, points), options) for table in load_tables(file, options)]


def _check_asked(law: Any, budgets: Sequence[float], points: "Sequence[dict[str, float]]", options: Any) -> None:
    """Raises SpecError where the law cannot answer what is asked."""
    if law.response != "L":
        raise SpecError(f"--law {law.name}: gives {law.response}, no loss; a loss is forecast by L(C), chinchilla, ...")
    if budgets and law.variables not in (("C",), ("N", "D")):
        letters = ",".join(f"{letter}=.." for letter in law.variables)
        raise SpecError(f"--law {law.name}: has no C; ask for a point by --at {letters}, or take another law")
    unit_known = options["compute_unit"] in ("flops", "pf-days") or options["compute"] == "6ND"
    if law.variables == ("C",) and budgets and not unit_known:
        raise SpecError("--compute-unit: say flops or pf-days, so that --budget can be compared with --compute")
    for point in points:
        _values(law, point)


def _values(law: Any, point: "dict[str, float]") -> "dict[str, float]":
    """The law's variables at a point; C is 6·N·D where N and D are given. Raises SpecError for one that lacks."""
    known = {"C": 6.0 * point["N"] * point["D"]} | point if {"N", "D"} <= point.keys() else point
    lacking = [letter for letter in law.variables if letter not in known]
    if lacking:
        given = ",".join(f"{letter}={value:g}" for letter, value in point.items())
        needed = ",".join(f"{letter}=.." for letter in law.variables)
        raise SpecError(f"--at {given}: {law.name} needs {' and '.join(lacking)}; say --at {needed}")
    return {letter: known[letter] for letter in law.variables}


def _place(text: str) -> "dict[str, float]":
    """`N=1e9,D=2e10` as values by letter. Raises SpecError for anything else."""
    found = {}
    for part in text.split(","):
        letter, separator, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        letter = letter.strip()
        if not separator or letter not in ("N", "D", "C", "S") or not 0 < value < float("inf"):
            raise SpecError(f"--at: got {part!r}, expected N, D, C or S and a positive number, as N=1e9,D=2e10")
        if letter in found:
            raise SpecError(f"--at {text}: {letter} is given twice")
        found[letter] = value
    return found


def _size_and_tokens(point: "dict[str, float]", text: str) -> tuple[float, float]:
    if point.keys() != {"N", "D"}:
        raise SpecError(f"--at {text}: with --scan the loss is by L(N,D); say --at N=..,D=.., or --budget for C")
    return point["N"], point["D"]


def _one(
    law: Any, table: Any, floor: Any, asked: "tuple[Sequence[float], Sequence[dict[str, float]]]", options: Any
) -> "ForecastRow":
    from archbench.analysis.fitting.audit import ordering_of
    from archbench.analysis.fitting.forecast import back_test, optimal_allocation, predictor, with_open_floor
    from archbench.analysis.fitting.forecast import forecast as forecast_at
    from archbench.analysis.fitting.outliers import flag_outliers
    from archbench.cli.outputs.analysis import BudgetRow, ForecastRow
    from archbench.cli.outputs.gate import gate_output

    laws, reason = [], ""
    if law is None:
        choice = chosen_law(table, floor, options)
        laws, reason = list(choice.rows), choice.reason
        if choice.law is None:
            return ForecastRow(table.arch, laws, reason, None, [], [], gate_output(table.gate))
        law, floor = choice.law, choice.floor
        _check_asked(law, asked[0], asked[1], options)
    fitted = fit_table(law, table, floor, options)
    table, _ = flag_outliers(fitted, table)
    gate = gate_output(table.gate)
    fitted = with_open_floor(fitted)
    if not fitted.ok:
        return ForecastRow(table.arch, laws, reason, fitted.result, [], [], gate)
    seed = options["random_seed"]
    lack = back_test(fitted, ordering_of(fitted), floor=floor, seed=seed).lack
    ready = predictor(fitted, num_resamples=max(options["resamples"], 100), seed=seed, lack=lack)
    found = []
    for budget in asked[0]:
        N = D = None
        if law.variables == ("C",):
            one = forecast_at(ready, C=budget)
        else:
            N, D = optimal_allocation(ready, budget)
            one = forecast_at(ready, N=N.value, D=D.value)
        found.append(BudgetRow(budget, one.at, one.loss, one.beyond, one.beyond_data, one.far, N, D))
    points = [forecast_at(ready, **_values(law, point)) for point in asked[1]]
    return ForecastRow(table.arch, laws, reason, fitted.result, found, points, gate)


def _print(one: "ForecastRow") -> None:
    head = f"{one.arch}: " if one.arch else ""
    for line in one.gate.lines:
        echo(f"{head}{line}")
    if one.laws:
        print_laws(one.arch, one.laws, one.reason)
    if one.fit is None or one.fit.status.value != "ok":
        status = f"{one.fit.status.value}: {one.fit.reason}" if one.fit else one.reason
        echo(f"{head}no forecast: {status}")
        return
    echo(f"{head}by {one.fit.law}, floor {one.fit.floor}, {one.fit.points_used} points")
    for line in one.fit.notes:
        echo(f"{head}note: {line}")
    for row in one.budgets:
        line = f"{head}{row.flops:.3g} FLOPs: loss {_loss(row.loss)}"
        for letter, interval in (("N", row.params), ("D", row.tokens)):
            if interval is not None:
                line += f", {letter} {_span(interval, '.3g')}"
        echo(line + _beyond(row))
    for point in one.at:
        echo(f"{head}{_words_of(point)}{_beyond(point)}")


def _words_of(point: "Forecast") -> str:
    place = ", ".join(f"{letter} {value:.3g}" for letter, value in point.at.items())
    return f"{place}: loss {_loss(point.loss)}"


def _beyond(one: "Forecast | BudgetRow") -> str:
    """Which of N, D and C lie outside the data, and by how much; empty inside."""
    words = [
        f"{letter} {factor:.3g}x the largest" if factor > 1 else f"{letter} {factor:.3g}x the smallest"
        for letter, factor in one.beyond.items()
        if not 0.99 < factor < 1.01
    ]
    if not words:
        return ""
    return f"  [{'far ' if one.far else ''}beyond the data: {', '.join(words)}]"


def _loss(interval: Interval) -> str:
    """A loss with its interval; an interval that says nothing is called so."""
    words = _span(interval, ".4g")
    if interval.high >= NOTHING * interval.low:
        words += f" [an interval of a factor {interval.high / interval.low:.3g} says nothing]"
    return words


def _span(interval: Interval, digits: str) -> str:
    low, high = interval.low, interval.high
    if low != low:
        return f"{interval.value:{digits}} (interval unknown)"
    if high > _KNOWN * low:
        return f"{interval.value:{digits}} (not known within a factor of {_KNOWN:g})"
    return f"{interval.value:{digits}} ({low:{digits}} to {high:{digits}})"
