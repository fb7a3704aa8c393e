"""`archbench compare A B`: exponents, multiplier and crossover of two contenders in the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archbench.cli import complete
from archbench.cli.common import json_option, note, print_json, runs_option, table_console, wrapped
from archbench.cli.outputs.comparisons import CompareOutput
from archbench.errors import SpecError, StoreError, nearest
from archbench.results.arithmetic import mixed_arithmetic
from archbench.results.runs import RunRecord, size_scan_results
from archbench.runs.files import DamagedFile

if TYPE_CHECKING:
    from archbench.analysis.comparison.multiplier import Window
    from archbench.results.fits import Comparison, ComparisonAt
    from archbench.runs.store import RunStore, ScanIndex


@click.command()
@click.argument("a", metavar="A", shell_complete=complete.contenders)
@click.argument("b", metavar="B", shell_complete=complete.contenders)
@runs_option
@click.option(
    "--scan", metavar="NAME", shell_complete=complete.scans, help="The scan to take both from, where several have them."
)
@click.option("--at-cost", type=float, metavar="C", help="Multiplier and loss gap at a cost of yours too.")
@click.option("--at-loss", type=float, metavar="L", help="Multiplier at a loss of yours too (nats per token).")
@click.option(
    "--window",
    nargs=2,
    type=float,
    metavar="HIGH LOW",
    help="Losses (nats) to average the multiplier over; the middle half of those that both reach if left out.",
)
@json_option
def compare(
    a: str,
    b: str,
    runs_dir: Path,
    scan: str | None,
    at_cost: float | None,
    at_loss: float | None,
    window: tuple[float, float] | None,
    as_json: bool,
) -> None:
    """Compare two architectures in the store.

    A is the baseline: a multiplier above 1 says that B needs less. Both are names of contenders, of one scan or of
    two scans on the same text. The multiplier is read from finished runs, as every report reads it.
    """
    # Imported now: the analysis is not loaded for `--help`.
    from archbench.analysis.frontier.scan import analyse_scan
    from archbench.contracts.report import ScanResults
    from archbench.report.verdict import verdict
    from archbench.runs.store import RunStore

    if a == b:
        raise SpecError(f"A and B are both {a!r}; name two contenders")
    records, scans = _find(RunStore(runs_dir), a, b, scan)
    asked = _window(window)
    frontiers, comparisons = analyse_scan(records, baseline=a, window=asked)
    places = _places(records, a, b, at_cost, at_loss)
    mixed = mixed_arithmetic(records)
    if as_json:
        print_json(CompareOutput(scans, list(comparisons), places, [mixed] if mixed else []))
        return
    results = ScanResults(f"{b} against {a}", "", a, tuple(records), frontiers, comparisons, {}, {})
    click.echo(wrapped(verdict(results)))
    if mixed:
        click.echo(wrapped(f"- Mind: {mixed}."))
    if comparisons:
        click.echo("")
        _print_table(comparisons)
    if places:
        click.echo("")
        for place in places:
            click.echo(wrapped(f"- {_place_words(place, a, b)}"))


def _find(store: "RunStore", a: str, b: str, scan: str | None) -> tuple[list["RunRecord"], list[str]]:
    """The records of both contenders, and the scans that they come from."""
    indices = [store.scan(scan)] if scan else _whole_scans(store)
    if not indices:
        raise StoreError(f"{store.root}: holds no scan; `archbench run SPEC` makes one")
    holders = {name: [index for index in indices if _has(index, name)] for name in (a, b)}
    known = sorted({run.contender for index in indices for run in index.runs})
    for name, found in holders.items():
        if not found:
            raise SpecError(f"no scan in {store.root} has a contender {name!r}{nearest(name, known)}")
    both = [index for index in holders[a] if index in holders[b]]
    if len(both) > 1:
        names = ", ".join(index.name for index in both)
        raise SpecError(f"several scans have both {a!r} and {b!r}: {names}; choose one by --scan")
    chosen = {a: both[0], b: both[0]} if both else {name: found[0] for name, found in holders.items()}
    texts = {_text_of(index) for index in chosen.values()}
    if len(texts) > 1:
        raise SpecError(f"{a!r} and {b!r} were trained on different text or tokenizers: their losses do not compare")
    records = []
    for name, index in chosen.items():
        stored, problems = store.records(index)
        records += [record for record in size_scan_results(stored) if record.contender == name]
        for problem in problems:
            note(f"warning: {problem}")
    return records, sorted({index.name for index in chosen.values()})


def _whole_scans(store: "RunStore") -> list["ScanIndex"]:
    """All scans but those whose list is damaged, which are told."""
    found = []
    for name in store.scan_names():
        try:
            found.append(store.scan(name))
        except DamagedFile as error:
            note(f"warning: {error}")
    return found


def _text_of(index: "ScanIndex") -> str | None:
    data = index.environment.get("data")
    return str(data.get("corpus_hash")) if isinstance(data, dict) else None


def _has(index: "ScanIndex", name: str) -> bool:
    return any(run.contender == name for run in index.runs)


def _print_table(comparisons: Sequence["Comparison"]) -> None:
    from rich.table import Table

    from archbench.report.plotting import AXIS_NAMES
    from archbench.report.words import crossover_text, multiplier_text, number, window_text, with_interval

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("cost axis", "multiplier (95 %)", "p", "over losses (nats)", "alpha B - alpha A", "p", "crossover"):
        table.add_column(header)
    for pair in comparisons:
        found = pair.headline
        table.add_row(
            AXIS_NAMES[pair.cost_axis],
            multiplier_text(found).strip("`"),
            number(found.p_value, 2) if found is not None and found.p_value is not None else "-",
            window_text(found, unit=False) if found is not None else "-",
            with_interval(pair.alpha_difference) if pair.alpha_difference else "-",
            number(pair.p_value, 2) if pair.p_value is not None else "-",
            crossover_text(pair),
        )
    table_console().print(table)


def _window(ends: tuple[float, float] | None) -> "Window | None":
    from archbench.analysis.comparison.multiplier import Window

    if ends is None:
        return None
    high, low = ends
    if not 0.0 < low < high:
        raise SpecError(
            f"--window: got {high:g} {low:g}, expected a higher loss and a lower one above 0, as in 2.9 2.6"
        )
    return Window(high, low)


def _places(
    records: "list[RunRecord]", a: str, b: str, at_cost: float | None, at_loss: float | None
) -> "list[ComparisonAt]":
    """What the comparison says at the user's own cost or loss, on every axis that has it."""
    from archbench.analysis.comparison.at import compare_at_cost, compare_at_loss
    from archbench.analysis.frontier.scan import fit_contenders
    from archbench.results.runs import CostAxis

    for flag, value in (("--at-cost", at_cost), ("--at-loss", at_loss)):
        if value is not None and not 0.0 < value < float("inf"):
            raise SpecError(f"{flag}: got {value:g}, expected a number above 0")
    if at_cost is None and at_loss is None:
        return []
    found = []
    for axis in CostAxis:
        sides = {one.name: one for one in fit_contenders(records, axis, baseline=a)}
        if a not in sides or b not in sides or sides[a].track != sides[b].track:
            continue
        if at_cost is not None and axis is not CostAxis.DEVICE_SECONDS:
            found.append(compare_at_cost(sides[a], sides[b], at_cost))
        if at_loss is not None:
            found.append(compare_at_loss(sides[a], sides[b], at_loss))
    return found


def _place_words(place: "ComparisonAt", a: str, b: str) -> str:
    from archbench.report.plotting import AXIS_NAMES
    from archbench.report.words import number, with_interval

    axis = AXIS_NAMES[place.cost_axis]
    where = (
        f"at {number(place.cost)} {axis}"
        if place.cost is not None
        else f"at {number(place.loss_nats or 0.0, 4)} nats, {axis}"
    )
    if place.multiplier is None:
        return f"{where}: {place.status.value}: {place.reason}"
    gap = f"; {b}'s loss less {a}'s: {with_interval(place.loss_gap_nats)} nats" if place.loss_gap_nats else ""
    beyond = f" (extrapolated: {place.reason})" if place.extrapolated else ""
    return f"{where}: multiplier {with_interval(place.multiplier)}{gap}{beyond}"
