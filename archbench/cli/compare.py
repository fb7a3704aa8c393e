"""`archbench compare A B`: exponents, multiplier and crossover of two contenders in the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archbench.cli import complete
from archbench.cli.common import json_option, note, print_json, runs_option, table_console, wrapped
from archbench.cli.outputs.comparisons import CompareOutput, RunPlace
from archbench.cli.terminal import echo
from archbench.errors import SpecError, StoreError, nearest
from archbench.results.arithmetic import mixed_arithmetic
from archbench.results.choices import unequal_choices
from archbench.results.evaluations import unlike_evaluations
from archbench.results.published import published_lines, seconds_left_out
from archbench.results.runs import RunRecord, distinct_axes, size_scan_contenders, size_scan_results
from archbench.runs.files import DamagedFile

if TYPE_CHECKING:
    from archbench.analysis.comparison.multiplier import Window
    from archbench.analysis.comparison.question import Question
    from archbench.report.labels import Labels
    from archbench.results.controls import ControlOutcome
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
    from archbench.report.question_words import exponent_words
    from archbench.report.reference_lines import places_text
    from archbench.report.verdict import main_axis, verdict
    from archbench.runs.store import RunStore

    if a == b:
        raise SpecError(f"A and B are both {a!r}; name two contenders")
    store = RunStore(runs_dir)
    records, scans = _find(store, a, b, scan)
    _check_units(records, a, b)
    asked = _window(window)
    question, controls = _question(store, scans, a)
    question = question if asked is None else None
    frontiers, on_all_axes = analyse_scan(records, baseline=a, window=asked, question=question)
    axes = distinct_axes(records)
    comparisons = tuple(pair for pair in on_all_axes if pair.cost_axis in axes)
    places = _places(records, a, b, at_cost, at_loss)
    told = mixed_arithmetic(records), unequal_choices(records), unlike_evaluations(records)
    mind = [*(words for words in told if words), *seconds_left_out(records)]
    if as_json:
        runs = [RunPlace.of(run) for run in records if run.usable]
        print_json(CompareOutput(scans, list(comparisons), places, mind, list(controls), runs))
        return
    results = ScanResults(f"{b} against {a}", "", a, tuple(records), frontiers, comparisons, {}, {}, controls=controls)
    echo(wrapped(verdict(results)))
    for words in mind:
        echo(wrapped(f"- Mind: {words}."))
    for words in published_lines(records):
        echo(wrapped(f"- {words}."))
    for words in places_text(records):
        echo(wrapped(f"- {words}."))
    if comparisons:
        echo("")
        _print_table(comparisons, records)
        for line in dict.fromkeys(_read_from(pair) for pair in comparisons):
            echo(wrapped(f"- {line}"))
        axis = main_axis(results)
        if said := next((exponent_words(pair) for pair in comparisons if pair.cost_axis is axis), ""):
            echo(wrapped(f"- {said}"))
        if others := _others(store, scans, a, b):
            echo(wrapped(f"- {others}"))
    if places:
        from archbench.report.labels import labels_of

        echo("")
        for place in places:
            echo(wrapped(f"- {_place_words(place, a, b, labels_of(records))}"))


def _question(store: "RunStore", scans: Sequence[str], a: str) -> "tuple[Question | None, tuple[ControlOutcome, ...]]":
    """The question that the one scan of both asks, if A is its baseline, and what its controls came to, whoever is."""
    from archbench.analysis.comparison.controls import judge_controls
    from archbench.analysis.comparison.question import asked_question

    if len(scans) != 1:
        return None, ()
    index = store.scan(scans[0])
    question = asked_question(index.spec)
    if question is None:
        return None, ()
    controls = judge_controls(store.records(index)[0], index.spec, index.baseline)
    return question if index.baseline == a else None, controls


def _others(store: "RunStore", scans: Sequence[str], a: str, b: str) -> str:
    """That the scan holds further contenders, over whose comparisons its report corrects; empty where it does not."""
    if len(scans) != 1:
        return ""
    others = set(size_scan_contenders(store.scan(scans[0]).runs)) - {a, b}
    if not others:
        return ""
    return f"One pair of {len(others) + 2} contenders: p is of this pair alone; the scan's report corrects over all."


def _find(store: "RunStore", a: str, b: str, scan: str | None) -> tuple[list["RunRecord"], list[str]]:
    """The records of both contenders, and the scans that they come from."""
    indices = [store.scan(scan)] if scan else _whole_scans(store)
    if not indices:
        raise StoreError(f"{store.root}: holds no scan; `archbench run SPEC` makes one")
    holders = {name: [index for index in indices if name in size_scan_contenders(index.runs)] for name in (a, b)}
    known = sorted({one for index in indices for one in size_scan_contenders(index.runs)})
    for name, found in holders.items():
        if not found:
            raise SpecError(f"no scan in {store.root} has a contender {name!r}{nearest(name, known)}")
    both = [index for index in holders[a] if index in holders[b]]
    if len(both) > 1:
        names = ", ".join(index.name for index in both)
        raise SpecError(f"several scans have both {a!r} and {b!r}: {names}; choose one by --scan")
    chosen = {a: both[0], b: both[0]} if both else {name: found[0] for name, found in holders.items()}
    _check_texts(a, b, chosen[a], chosen[b])
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


def _check_texts(a: str, b: str, first: "ScanIndex", second: "ScanIndex") -> None:
    """Raises SpecError where two scans are of different texts, or not known to be of one."""
    texts = {_text_of(first), _text_of(second)}
    if len(texts) < 2:
        return
    unnamed = [index.name for index in (first, second) if _imported(index) and not _named_text(index)]
    if unnamed:
        raise SpecError(
            f"{a!r} and {b!r} come from scans {first.name!r} and {second.name!r}, not known to be of the same "
            f"text; if they are, import {' and '.join(map(repr, unnamed))} with --text NAME, one name for both"
        )
    raise SpecError(f"{a!r} and {b!r} were trained on different text or tokenizers: their losses do not compare")


def _text_of(index: "ScanIndex") -> str | None:
    """What tells texts apart: the name that an import gave it, else the hash of the corpus or of the file."""
    data = index.environment.get("data")
    return _named_text(index) or (str(data.get("corpus_hash")) if isinstance(data, dict) else None)


def _named_text(index: "ScanIndex") -> str | None:
    data = index.environment.get("data")
    return str(data["text"]) if isinstance(data, dict) and data.get("text") else None


def _imported(index: "ScanIndex") -> bool:
    return "file_sha256" in index.environment


def _check_units(records: Sequence[RunRecord], a: str, b: str) -> None:
    """Raises SpecError where the losses of the two are in different units; notes other counts of N."""
    units, counts = (
        {name: _stated(records, name, key) for name in (a, b)} for key in ("loss_unit", "param_convention")
    )
    if units[a] != units[b]:
        raise SpecError(f"{a!r} has losses in {units[a]}, {b!r} in {units[b]}: they do not compare")
    if counts[a] != counts[b]:
        note(f"warning: N of {a!r} is {counts[a]}, that of {b!r} {counts[b]}: the axis 6ND counts them differently")


def _stated(records: Sequence[RunRecord], name: str, key: str) -> str:
    """What the runs of `name` state, or what archbench's own runs are in."""
    own = {"loss_unit": "nats per token", "param_convention": "non_embedding"}[key]
    found = sorted({str(run.details.get(key, own)) for run in records if run.contender == name})
    return ", ".join(found) or own


def _print_table(comparisons: Sequence["Comparison"], records: Sequence[RunRecord]) -> None:
    from rich.table import Table

    from archbench.report.labels import labels_of
    from archbench.report.words import crossover_text, multiplier_text, p_text, window_text, with_interval

    labels = labels_of(records)
    table = Table(box=None, pad_edge=False, header_style="bold")
    losses = f"over losses ({labels.nats})"
    for header in ("cost axis", "multiplier (95 %)", "p", losses, "alpha B - alpha A", "p", "crossover"):
        table.add_column(header)
    for pair in comparisons:
        found = pair.headline
        table.add_row(
            labels.axis_names[pair.cost_axis],
            multiplier_text(found).strip("`"),
            p_text(found.p_value if found is not None else None),
            window_text(found, unit=False) if found is not None else "-",
            with_interval(pair.alpha_difference) if pair.alpha_difference else "-",
            p_text(pair.p_value),
            crossover_text(pair, labels.axis_names),
        )
    table_console().print_whole(table)


def _read_from(pair: "Comparison") -> str:
    """What both frontiers are read from, why, and the sizes that were left out of it."""
    notes = "; ".join(pair.notes)
    return f"Read from: {pair.form}{f' ({notes})' if notes else ''}."


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

    for flag, value in (("--at-cost", at_cost), ("--at-loss", at_loss)):
        if value is not None and not 0.0 < value < float("inf"):
            raise SpecError(f"{flag}: got {value:g}, expected a number above 0")
    if at_cost is None and at_loss is None:
        return []
    found = []
    for axis in distinct_axes(records):
        sides = {one.name: one for one in fit_contenders(records, axis, baseline=a)}
        if a not in sides or b not in sides or sides[a].track != sides[b].track:
            continue
        if at_cost is not None and not axis.measured:
            found.append(compare_at_cost(sides[a], sides[b], at_cost))
        if at_loss is not None:
            found.append(compare_at_loss(sides[a], sides[b], at_loss))
    return found


def _place_words(place: "ComparisonAt", a: str, b: str, labels: "Labels") -> str:
    from archbench.report.words import number, with_interval

    axis = labels.axis_names[place.cost_axis]
    where = (
        f"at {number(place.cost)} {axis}"
        if place.cost is not None
        else f"at {number(place.loss_nats or 0.0, 4)} {labels.nats}, {axis}"
    )
    if place.multiplier is None:
        return f"{where}: {place.status.value}: {place.reason}"
    gap = f"; {b}'s loss less {a}'s: {with_interval(place.loss_gap_nats)} {labels.nats}" if place.loss_gap_nats else ""
    beyond = f" (extrapolated: {place.reason})" if place.extrapolated else ""
    return f"{where}: multiplier {with_interval(place.multiplier)}{gap}{beyond}"
