"""Writes a report: Markdown with its figures, and the numbers behind them as CSV."""

import logging
from collections.abc import Sequence
from pathlib import Path

from archbench.contracts.report import ReportSection, ScanResults
from archbench.errors import StoreError
from archbench.report.study_tables import study_curves_csv, study_tables
from archbench.report.tables import curves_csv, frontiers_csv, laws_csv, multipliers_csv
from archbench.report.verdict import reservations, verdict

log = logging.getLogger(__name__)

REPORT_FILE = "report.md"
FIGURES = "figures"


def write_report(results: ScanResults, directory: Path, sections: Sequence[ReportSection]) -> Path:
    """Writes `report.md`, `figures/` and `data/*.csv` into `directory`; returns the path of the Markdown.

    Sections come in rising `order`. One that fails is named in its place, and the others are written all the same.
    Raises StoreError where the directory cannot be written.
    """
    try:
        (directory / FIGURES).mkdir(parents=True, exist_ok=True)
        (directory / "data").mkdir(exist_ok=True)
        body = [f"# {results.name}", results.description, "## Verdict", verdict(results), *_warnings(results)]
        for section in sorted(sections, key=lambda section: (section.order, section.kind)):
            text = _render(section, results, directory / FIGURES)
            if text is not None:
                body += [f"## {section.title}", text.strip()]
        tables = _tables(results)
        for name, content in tables.items():
            (directory / "data" / name).write_text(content, encoding="utf-8")
        listed = ", ".join(f"[{name}](data/{name})" for name in tables)
        body += ["## Data", f"Every number behind the figures: {listed}."]
        path = directory / REPORT_FILE
        path.write_text("\n\n".join(part for part in body if part) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{directory}: the report cannot be written: {error.strerror}; choose another --reports"
        ) from error
    return path


def _tables(results: ScanResults) -> dict[str, str]:
    """Name of a file -> CSV. Where studies are all there is, the tables of the size scan are left out."""
    found: dict[str, str] = {}
    if results.records or not results.study_records:
        found = {
            "curves.csv": curves_csv(results.records),
            "frontiers.csv": frontiers_csv(results),
            "laws.csv": laws_csv(results),
            "multipliers.csv": multipliers_csv(results),
        }
    if results.study_records:
        found["study_curves.csv"] = study_curves_csv(results.study_records)
    return found | study_tables(results)


def _render(section: ReportSection, results: ScanResults, figures: Path) -> str | None:
    try:
        return section.render(results, figures)
    except OSError:
        raise
    except Exception as error:  # a stranger's section must not cost the whole report
        log.warning("report section %r failed: %s", section.kind, error)
        return f"This section could not be made: {type(error).__name__}: {' '.join(str(error).split())}"


def _warnings(results: ScanResults) -> list[str]:
    lines = [f"- {warning}" for warning in reservations(results)]
    return ["**Mind:**", "\n".join(lines)] if lines else []
