"""`archbench forecast`: the loss that a budget is expected to buy, and how to spend it, by a table or by a scan."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archbench.cli import complete
from archbench.cli.common import json_option, print_json, runs_option
from archbench.cli.fit import fit_table
from archbench.cli.forecast_transfer import TransferQuestion, answer_transfer
from archbench.cli.run_tables import load_tables, optional_table_options, parse_floor
from archbench.cli.terminal import echo
from archbench.errors import SpecError, nearest
from archbench.results.fits import Interval

if TYPE_CHECKING:
    from archbench.analysis.planning.scan_forecast import ScanForecast
    from archbench.cli.outputs.analysis import ForecastRow


@click.command()
@optional_table_options
@click.option("--budget", "budgets", type=float, multiple=True, required=True, help="Training FLOPs; may be repeated.")
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
    """Say what a law expects of a budget, from a table of runs or from a scan in the store.

    FILE with law L(C) gives the loss; law chinchilla also the parameters and tokens that spend the budget best
    (C = 6·N·D). With --scan: the loss by L(C) on the frontier, parameters and tokens by L(N,D) where the runs tell it.
    With --transfer: whether D_F target tokens and a budget are best spent on training from scratch, on fine-tuning, or
    on pre-training and fine-tuning, and at which size.
    """
    if any(not 0 < budget < float("inf") for budget in budgets):
        raise SpecError("--budget: expected a positive number of FLOPs, for example 1e21")
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
        _of_scan(runs_dir, scan, contender, budgets, axis, options["resamples"], options["random_seed"], as_json)
        return
    if contender is not None:
        raise SpecError("--contender: is read with --scan only; --arch names the column of a table")
    if file is None:
        raise SpecError("a table of runs or --scan NAME is needed; `archbench forecast --help` shows both")
    found = _of_table(file, budgets, options)
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
    budgets: tuple[float, ...],
    axis: str,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    from archbench.analysis.planning.scan_forecast import forecast_scan
    from archbench.results.runs import CostAxis, size_scan_results
    from archbench.runs.store import RunStore

    store = RunStore(runs_dir)
    index = store.scan(scan)
    names = list(dict.fromkeys(run.contender for run in index.runs))
    if contender is not None and contender not in names:
        raise SpecError(f"--contender: {scan!r} has none called {contender!r}{nearest(contender, names)}")
    ended = (store.record(run) for run in index.runs)
    records = size_scan_results(record for record in ended if record is not None)
    found = [
        forecast_scan(records, name, budgets, axis=CostAxis(axis), resamples=max(resamples, 100), seed=seed)
        for name in ([contender] if contender else names)
    ]
    if as_json:
        from archbench.cli.outputs.analysis import ScanForecastOutput

        print_json(ScanForecastOutput(scan, found))
        return
    for one in found:
        _print_scan(one)


def _print_scan(one: "ScanForecast") -> None:
    floor = f", floor {one.frontier.floor}"
    echo(f"{one.contender}: {_read(one.frontier.law + floor, one.frontier, one.frontier_points)}")
    echo(f"{one.contender}: {_read(one.joint.law, one.joint, one.joint_points)}")
    for row in one.budgets:
        parts = []
        if row.loss:
            parts.append(f"loss {_span(row.loss.loss, '.4g')} nats")
        if row.params and row.tokens and row.joint_loss:
            parts.append(f"N {_span(row.params, '.3g')}, D {_span(row.tokens, '.3g')}")
            parts.append(f"there {row.joint_loss.loss.value:.4g} nats by L(N,D)")
        furthest = max((each.beyond_data for each in (row.loss, row.joint_loss) if each and each.far), default=0.0)
        mark = f"  [far: {furthest:.3g}x beyond the data]" if furthest else ""
        words = ", ".join(parts) or "no forecast"
        echo(f"{one.contender}: {row.flops:.3g} FLOPs ({one.cost_axis.value}): {words}{mark}")


def _read(law: str, result: Any, points: str) -> str:
    if result.status.value == "ok":
        return f"{law}, on {points}"
    return f"{law}: {result.status.value}: {result.reason}"


def _of_table(file: Path, budgets: tuple[float, ...], options: dict[str, Any]) -> "list[ForecastRow]":
    from archbench.analysis.laws.catalogue import law_named

    if options["law_name"] is None:
        raise SpecError("--law: say L(C) or chinchilla")
    if options["loss"] is None:
        raise SpecError("--loss: name the column of loss")
    law, floor = law_named(options["law_name"]), parse_floor(options["floor"])
    if law.name not in ("L(C)", "chinchilla"):
        raise SpecError(f"--law {law.name}: a budget is forecast by L(C) or by chinchilla")
    if law.name == "L(C)" and options["compute_unit"] in (None, "seconds", "gpu-hours") and options["compute"] != "6ND":
        raise SpecError("--compute-unit: say flops or pf-days, so that --budget can be compared with --compute")
    return [_one(law, table, floor, budgets, options) for table in load_tables(file, options)]


def _one(law: Any, table: Any, floor: Any, budgets: tuple[float, ...], options: dict[str, Any]) -> "ForecastRow":
    from archbench.analysis.fitting.audit import ordering_of
    from archbench.analysis.fitting.bootstrap import bootstrap_law
    from archbench.analysis.fitting.forecast import back_test, lack_of_fit, optimal_allocation
    from archbench.analysis.fitting.forecast import forecast as forecast_at
    from archbench.cli.outputs.analysis import BudgetRow, ForecastRow

    fitted = fit_table(law, table, floor, options)
    if not fitted.ok:
        return ForecastRow(table.arch, fitted.result, [])
    samples = bootstrap_law(fitted, num_resamples=max(options["resamples"], 100), seed=options["random_seed"])
    ordering = ordering_of(fitted)
    rows = back_test(fitted, ordering, floor=floor, seed=options["random_seed"])
    kappa = lack_of_fit(fitted, ordering, rows)
    found = []
    for budget in budgets:
        N = D = None
        if law.name == "L(C)":
            one = forecast_at(fitted, samples, kappa=kappa, C=budget)
        else:
            N, D = optimal_allocation(fitted, samples, budget)
            one = forecast_at(fitted, samples, kappa=kappa, N=N.value, D=D.value)
        found.append(BudgetRow(budget, one.at, one.loss, one.beyond_data, one.far, N, D))
    return ForecastRow(table.arch, fitted.result, found)


def _print(one: "ForecastRow") -> None:
    head = f"{one.arch}: " if one.arch else ""
    status, reason = one.fit.status.value, one.fit.reason
    if status != "ok":
        echo(f"{head}no forecast: {status}: {reason}")
        return
    for row in one.budgets:
        line = f"{head}{row.flops:.3g} FLOPs: loss {_span(row.loss, '.4g')}"
        for letter, interval in (("N", row.params), ("D", row.tokens)):
            if interval is not None:
                line += f", {letter} {_span(interval, '.3g')}"
        if row.far:
            line += f"  [far: {row.beyond_data:.3g}x beyond the data]"
        echo(line)


def _span(interval: Interval, digits: str) -> str:
    low, high = interval.low, interval.high
    ends = f"{low:{digits}} to {high:{digits}}" if low == low else "no interval: too few resamples identify the law"
    return f"{interval.value:{digits}} ({ends})"
