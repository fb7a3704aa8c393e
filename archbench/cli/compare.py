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
    from archbench.results.fits import Comparison
    from archbench.runs.store import RunStore, ScanIndex


@click.command()
@click.argument("a", metavar="A", shell_complete=complete.contenders)
@click.argument("b", metavar="B", shell_complete=complete.contenders)
@runs_option
@click.option(
    "--scan", metavar="NAME", shell_complete=complete.scans, help="The scan to take both from, where several have them."
)
@click.option("--finished-only", is_flag=True, help="Leave out points in mid-schedule.")
@json_option
def compare(a: str, b: str, runs_dir: Path, scan: str | None, finished_only: bool, as_json: bool) -> None:
    """Compare two architectures in the store.

    A is the baseline: a multiplier above 1 says that B needs less. Both are names of contenders, of one scan or of
    two scans on the same text.
    """
    # Imported now: the analysis is not loaded for `--help`.
    from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
    from archbench.contracts.report import ScanResults
    from archbench.report.verdict import verdict
    from archbench.runs.store import RunStore

    if a == b:
        raise SpecError(f"A and B are both {a!r}; name two contenders")
    records, scans = _find(RunStore(runs_dir), a, b, scan)
    mixed = mixed_arithmetic(records)
    frontiers, comparisons = analyse_scan(records, baseline=a, options=StudyOptions(finished_only=finished_only))
    if as_json:
        print_json(CompareOutput(scans, list(comparisons), [mixed] if mixed else []))
        return
    results = ScanResults(f"{b} against {a}", "", a, tuple(records), frontiers, comparisons, {}, {})
    click.echo(wrapped(verdict(results)))
    if mixed:
        click.echo(wrapped(f"- Mind: {mixed}."))
    if comparisons:
        click.echo("")
        _print_table(comparisons)


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
    from archbench.report.words import crossover_text, decisive_point, number, with_interval

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("cost axis", "alpha B - alpha A", "p", "multiplier (95 %)", "at loss (nats)", "crossover"):
        table.add_column(header)
    for pair in comparisons:
        at = decisive_point(pair)
        table.add_row(
            AXIS_NAMES[pair.cost_axis],
            with_interval(pair.alpha_difference) if pair.alpha_difference else pair.status.value,
            number(pair.p_value, 2) if pair.p_value is not None else "-",
            with_interval(at.multiplier) if at else "-",
            number(at.loss_nats, 4) + (" extrapolated" if at.extrapolated else "") if at else "-",
            crossover_text(pair),
        )
    table_console().print(table)
