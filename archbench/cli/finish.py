"""From finished runs to a verdict, a report and an entry on the leaderboard."""

import datetime
import math
from collections.abc import Sequence
from pathlib import Path

from archbench.analysis.comparison.controls import judge_controls
from archbench.analysis.comparison.question import asked_question
from archbench.analysis.frontier.scan import analyse_scan
from archbench.analysis.studies import analyse_studies
from archbench.cli.common import drawable, note, table_console, text_columns, wrapped
from archbench.cli.terminal import echo
from archbench.contracts.report import ReportSection, ScanResults
from archbench.errors import PluginError, SpecError
from archbench.host import Host
from archbench.leaderboard.board import WITHOUT_CACHE, read_board
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry_files import add_entry
from archbench.leaderboard.page import PAGE
from archbench.leaderboard.page import write as write_page
from archbench.leaderboard.page_cache import PageCache
from archbench.names import file_stem
from archbench.report.answer import answer_sentence, told_pairs
from archbench.report.ranked import basis, ranked_lines
from archbench.report.verdict import control_details, pair_details, reservations, shared_details
from archbench.report.writer import PAGE_FILE, write_report
from archbench.results.fits import FitResult, FitStatus, FrontierResult
from archbench.results.runs import SIZE_SCAN, RunRecord, size_scan_controls, size_scan_results
from archbench.results.tuning import TRIAL
from archbench.runs.binding import url_of
from archbench.runs.store import RunStore, ScanIndex

_MANY_PAIRS = 3
"""Contenders beside the baseline from which on a terminal leaves their detail to the report, which folds it."""


def finish_scan(
    index: ScanIndex,
    store: RunStore,
    host: Host,
    *,
    reports_dir: Path,
    leaderboard_dir: Path,
    cache_dir: Path | None = None,
) -> ScanResults | None:
    """Analyses the runs of `index`, writes report and leaderboard, and says what came out.

    A scan without a usable run of sizes, as one that is made of studies alone, has no entry on the leaderboard.
    None, and a line that says so, where no run is usable. In `cache_dir` stays what the leaderboard's page took long to
    compute; None: nothing.
    """
    records, problems = store.records(index)
    for problem in problems:
        note(f"warning: {problem}")
    if not any(record.usable for record in records):
        note("no run is usable, so there is nothing to analyse")
        return None
    results = scan_results(index, records, host)
    # The result is told first: a page that cannot be written, or a damaged entry of another scan, must not hide it.
    echo("")
    print_verdict(results)
    echo("")
    if results.frontiers:
        print_exponents(results.frontiers)
        echo("")
    report = write_report(results, reports_dir / file_stem(index.name), report_sections(host))
    echo(f"report       {report}")
    echo(f"page         {report.with_name(PAGE_FILE)}")
    if entries := make_entries(results):
        for entry in entries:
            try:
                add_entry(leaderboard_dir, entry, datetime.date.today())
            except SpecError as error:
                note(f"kept off the leaderboard: {entry.contender}: {error}")
        cache = PageCache.under(cache_dir) if cache_dir else WITHOUT_CACHE
        board = read_board(leaderboard_dir, cache)
        write_page(leaderboard_dir, cache, board)
        for line in board.left_out:
            note(f"left out of the leaderboard: {line}")
        echo(f"leaderboard  {leaderboard_dir / PAGE}")
    echo(f"runs         {url_of(store.root) or store.root}")
    host.notify("scan_finished", results=results)
    return results


def print_verdict(results: ScanResults) -> None:
    """Prints the verdict, its detail, and what it must be read with; of many contenders the report has the detail."""
    lines = [answer_sentence(results), *ranked_lines(results, text_columns()), *filter(None, [basis(results)])]
    lines += [f"- {line}" for line in control_details(results)]
    if len(told_pairs(results)) < _MANY_PAIRS:
        lines += [f"- {line}" for line in pair_details(results)]
    lines += [f"- {line}" for line in shared_details(results)]
    for line in (*lines, *(f"- Mind: {reservation}" for reservation in reservations(results))):
        echo(wrapped(drawable(line)))


def scan_results(index: ScanIndex, records: Sequence[RunRecord], host: Host) -> ScanResults:
    """The analysis of `records` under the names of `index`."""
    results = size_scan_results(records)
    # Judged first: what is fitted to the results stays at hand for the report.
    controls = judge_controls(records, index.spec, index.baseline)
    frontiers, comparisons = analyse_scan(results, baseline=index.baseline, question=asked_question(index.spec))
    studies = analyse_studies(records, index.spec, host.registry.studies, index.environment, baseline=index.baseline)
    return ScanResults(
        name=index.name,
        description=index.description,
        baseline=index.baseline,
        records=results,
        frontiers=frontiers,
        comparisons=comparisons,
        spec=index.spec,
        environment=index.environment,
        warnings=index.warnings,
        studies={name: study.results for name, study in studies.items()},
        study_sentences={name: study.sentences for name, study in studies.items()},
        study_records=tuple(record for record in records if record.study != SIZE_SCAN),
        trials=tuple(record for record in records if record.study == SIZE_SCAN and record.role == TRIAL),
        controls=controls,
        control_records=size_scan_controls(records),
    )


def report_sections(host: Host) -> list[ReportSection]:
    """One section of each registered kind, in the order of print."""
    sections = []
    for kind, registered in host.registry.report_sections.entries.items():
        try:
            sections.append(registered.config.model_validate({"kind": kind}))
        except Exception as error:  # a stranger's class that has no defaults
            raise PluginError(
                f"plug-in {registered.plugin!r}: report section {kind!r} cannot be made without settings: {error}"
            ) from error
    return sorted(sections, key=lambda section: (section.order, section.kind))


def print_exponents(frontiers: Sequence[FrontierResult]) -> None:
    """Prints the exponent of L(C) of each contender on both axes of FLOPs."""
    from rich.table import Table

    from archbench.report.words import tiers_text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("contender", "cost axis", "α (95 %)", "α with floor", "tiers"):
        table.add_column(header)
    for frontier in frontiers:
        if frontier.cost_axis.measured:
            continue
        table.add_row(
            frontier.contender,
            frontier.cost_axis.value,
            _exponent(frontier.law),
            _exponent(frontier.law_with_floor),
            tiers_text(frontier),
        )
    table_console().print_whole(table)


def _exponent(law: FitResult | None) -> str:
    """α_C with its interval, or the fit's status: a figure that may not be read is not printed."""
    if law is None:
        return "-"
    if law.status is not FitStatus.OK:
        return law.status.value
    interval = law.intervals.get("alpha_C")
    value = law.params["alpha_C"]
    if interval is None or not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return f"{value:.4f} (no interval)"
    return f"{value:.4f} [{interval.low:.4f}, {interval.high:.4f}]"
