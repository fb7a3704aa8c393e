"""Writes a report: Markdown with its figures, one page of HTML that says the same, and the numbers behind them."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from archbench.containment import kept_around
from archbench.contracts.report import DataTable, ReportSection, ScanResults
from archbench.display import Markdown, markdown_code, markdown_heading, markdown_line, markdown_text
from archbench.durable import write_whole
from archbench.errors import StoreError
from archbench.report.charts import charts_of
from archbench.report.data_files import INDEX, SUFFIXES, write_tables
from archbench.report.files import PAGE_FILE as PAGE_FILE
from archbench.report.files import REPORT_FILE as REPORT_FILE
from archbench.report.html.page import Page, folder_images, render_page
from archbench.report.lead import lead
from archbench.report.plotting import DATA, markdown_table
from archbench.report.study_tables import study_curves_table, study_tables
from archbench.report.tables import (
    curves_table,
    frontiers_table,
    headlines_table,
    laws_table,
    multipliers_table,
    runs_table,
    sizes_table,
)
from archbench.results.runs import distinct_axes

log = logging.getLogger(__name__)

FIGURES = "figures"


def write_report(results: ScanResults, directory: Path, sections: Sequence[ReportSection]) -> Path:
    """Writes `report.md`, `report.html`, `figures/` and `data/` into `directory`; returns the path of the Markdown.

    Sections come in rising `order`. One that fails is named in its place, and the others are written all the same. An
    axis that says of these runs what another one says is left out. Raises StoreError where the directory cannot be
    written.
    """
    results = _of_distinct_axes(results)
    try:
        (directory / FIGURES).mkdir(parents=True, exist_ok=True)
        opening = lead(results, directory / FIGURES)
        parts, tables = [], list(_tables(results))
        for section in sorted(sections, key=lambda section: (section.order, section.kind)):
            text, own = _render(section, results, directory / FIGURES)
            if text is not None:
                parts.append(f"## {section.title}\n\n{text.strip()}")
                tables += own
        tables = [table for table in tables if table.rows]
        write_tables(directory / DATA, tables)
        parts.append(f"## Data\n\n{_listed(tables)}")
        path = directory / REPORT_FILE
        body = [markdown_heading(1, results.name), markdown_text(results.description), opening, *parts]
        write_whole(path, ("\n\n".join(part for part in body if part) + "\n").encode())
        page = Page(results.name, results.description, opening, parts, charts_of(results))
        html = render_page(page, folder_images(directory))
        write_whole(directory / PAGE_FILE, html.encode())
    except OSError as error:
        raise StoreError(
            f"{directory}: the report cannot be written: {error.strerror}; choose another --reports"
        ) from error
    return path


def _of_distinct_axes(results: ScanResults) -> ScanResults:
    axes = distinct_axes(results.records)
    return replace(
        results,
        frontiers=tuple(one for one in results.frontiers if one.cost_axis in axes),
        comparisons=tuple(pair for pair in results.comparisons if pair.cost_axis in axes),
    )


def _tables(results: ScanResults) -> Sequence[DataTable]:
    """What the results hold. Where studies are all there is, the tables of the size scan have no rows."""
    return (
        curves_table(results.records),
        frontiers_table(results),
        sizes_table(results),
        laws_table(results),
        headlines_table(results),
        multipliers_table(results),
        runs_table((*results.records, *results.trials, *results.control_records, *results.study_records)),
        study_curves_table(results.study_records),
        *study_tables(results),
    )


def _listed(tables: Sequence[DataTable]) -> str:
    """Every table with what a row is, and its files."""
    rows = [
        [markdown_code(table.name), table.about, str(len(table.rows)), *(_link(table, suffix) for suffix in SUFFIXES)]
        for table in tables
    ]
    return (
        "Every number behind the figures and tables; what each column is, and its unit, stands in "
        f"[{INDEX}]({DATA}/{INDEX}) and in every Parquet and JSON file.\n\n"
        + markdown_table(["table", "a row is", "rows", *(suffix[1:] for suffix in SUFFIXES)], rows, right=(2,))
    )


def _link(table: DataTable, suffix: str) -> str:
    return Markdown(f"[{suffix[1:]}]({DATA}/{table.name}{suffix})")


def _render(section: ReportSection, results: ScanResults, figures: Path) -> tuple[str | None, list[DataTable]]:
    """A section's text and tables; the reason where it fails."""
    try:
        with kept_around(section, partial(log.warning, "report section %r %s", section.kind)):
            text = section.render(results, figures)
            return text, [] if text is None else list(section.tables(results))
    except OSError:
        raise
    except Exception as error:  # a stranger's section must not cost the whole report
        log.warning("report section %r failed: %s", section.kind, error)
        return markdown_line(f"This section could not be made: {type(error).__name__}: {error}"), []
