"""`archbench forecast FILE --budget FLOPS`: the loss that a law expects at a budget, and how to spend it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from archbench.cli.common import json_option, print_json
from archbench.cli.fit import fit_table
from archbench.cli.run_tables import load_tables, parse_floor, table_options
from archbench.errors import SpecError


@click.command()
@table_options
@click.option("--budget", "budgets", type=float, multiple=True, required=True, help="Training FLOPs; may be repeated.")
@json_option
def forecast(file: Path, budgets: tuple[float, ...], as_json: bool, **options: Any) -> None:
    """Say what a law expects of a budget, from a table of runs.

    Law L(C) gives the loss; law chinchilla also the parameters and tokens that spend the budget best (C = 6·N·D).
    """
    from archbench.analysis.laws.catalogue import law_named

    law, floor = law_named(options["law_name"]), parse_floor(options["floor"])
    if law.name not in ("L(C)", "chinchilla"):
        raise SpecError(f"--law {law.name}: a budget is forecast by L(C) or by chinchilla")
    if any(not 0 < budget < float("inf") for budget in budgets):
        raise SpecError("--budget: expected a positive number of FLOPs, for example 1e21")
    if law.name == "L(C)" and options["compute_unit"] in (None, "seconds", "gpu-hours") and options["compute"] != "6ND":
        raise SpecError("--compute-unit: say flops or pf-days, so that --budget can be compared with --compute")
    found = [_one(law, table, floor, budgets, options) for table in load_tables(file, options)]
    if as_json:
        print_json({"file": str(file), "forecasts": found})
        return
    for one in found:
        _print(one)


def _one(law: Any, table: Any, floor: Any, budgets: tuple[float, ...], options: dict[str, Any]) -> dict[str, Any]:
    from archbench.analysis.audit import ordering_of
    from archbench.analysis.forecast import back_test, lack_of_fit, optimal_allocation
    from archbench.analysis.forecast import forecast as forecast_at
    from archbench.analysis.law_bootstrap import bootstrap_law

    fitted = fit_table(law, table, floor, options)
    answer: dict[str, Any] = {"arch": table.arch, "fit": asdict(fitted.result), "budgets": []}
    if not fitted.ok:
        return answer
    samples = bootstrap_law(fitted, num_resamples=max(options["resamples"], 100), seed=options["random_seed"])
    ordering = ordering_of(fitted)
    rows = back_test(fitted, ordering, floor=floor, seed=options["random_seed"])
    kappa = lack_of_fit(fitted, ordering, rows)
    for budget in budgets:
        if law.name == "L(C)":
            one = asdict(forecast_at(fitted, samples, kappa=kappa, C=budget))
        else:
            N, D = optimal_allocation(fitted, samples, budget)
            one = asdict(forecast_at(fitted, samples, kappa=kappa, N=N.value, D=D.value))
            one |= {"params": asdict(N), "tokens": asdict(D)}
        answer["budgets"].append({"flops": budget, **one})
    return answer


def _print(one: dict[str, Any]) -> None:
    head = f"{one['arch']}: " if one["arch"] else ""
    status, reason = one["fit"]["status"], one["fit"]["reason"]
    if status != "ok":
        click.echo(f"{head}no forecast: {status}: {reason}")
        return
    for row in one["budgets"]:
        loss = row["loss"]
        line = f"{head}{row['flops']:.3g} FLOPs: loss {loss['value']:.4g} ({loss['low']:.4g} to {loss['high']:.4g})"
        for name, letter in (("params", "N"), ("tokens", "D")):
            if name in row:
                span = row[name]
                line += f", {letter} {span['value']:.3g} ({span['low']:.3g} to {span['high']:.3g})"
        if row["far"]:
            line += f"  [far: {row['beyond_data']:.3g}x beyond the data]"
        click.echo(line)
