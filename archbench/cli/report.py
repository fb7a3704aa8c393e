"""`archbench report`: the report of a scan from its stored runs, without training or planning anything."""

from pathlib import Path

import click

from archbench.answers.outputs.comparisons import ReportOutput
from archbench.cli import complete
from archbench.cli.common import (
    PATH,
    host_with,
    json_option,
    note,
    override_option,
    plugin_option,
    print_json,
    reports_option,
    runs_option,
)
from archbench.names import file_stem


@click.command()
@click.argument("spec", type=PATH, metavar="SPEC", shell_complete=complete.specs_and_scans)
@override_option
@runs_option
@reports_option
@plugin_option
@json_option
def report(
    spec: Path,
    overrides: tuple[str, ...],
    runs_dir: Path,
    reports_dir: Path,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write the report of a scan again: Markdown, one page of HTML, figures, and their numbers.

    SPEC is a spec's file, a scan's name or a bundled spec's. Nothing is trained; runs that have not ended are listed as
    such.
    """
    # Imported now: plotting libraries are not loaded for `--help`.
    from archbench.cli.finish import print_verdict, report_sections, scan_results
    from archbench.cli.status import records_of, scan_name
    from archbench.report.answer import answer_sentence, answers
    from archbench.report.collapses import collapse_of
    from archbench.report.verdict import details, reservations
    from archbench.report.writer import PAGE_FILE, write_report
    from archbench.runs.store import RunStore

    store = RunStore(runs_dir)
    index = store.scan(scan_name(store, spec, overrides))
    host = host_with(plugin_files)
    results = scan_results(index, records_of(store, index), host)
    path = write_report(results, reports_dir / file_stem(index.name), report_sections(host))
    if as_json:
        page = str(path.with_name(PAGE_FILE))
        print_json(
            ReportOutput(
                report=str(path),
                page=page,
                sentence=answer_sentence(results),
                verdict=details(results),
                mind=list(reservations(results)),
                answers={name: pair.answer for name, pair in answers(results).items() if pair.answer is not None},
                controls=list(results.controls),
                collapse=list(collapse_of(results)),
            )
        )
        return
    print_verdict(results)
    note(f"report  {path}")
    note(f"page    {path.with_name(PAGE_FILE)}")
