"""The leaderboard as one page of HTML: tables to sort and filter, charts to ask, and every entry's evidence."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from archbench.display import folded, markdown_heading
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.evidence import evidence
from archbench.leaderboard.standings import Standing
from archbench.report.charts import loss_chart
from archbench.report.html.charts import Chart
from archbench.report.html.markdown import Names
from archbench.report.html.page import Page, image_address, render_page

TITLE = "archbench leaderboard"


def leaderboard_html(
    lead: str,
    parts: Sequence[str],
    entries: Sequence[LeaderboardEntry],
    standings: Mapping[str, Standing],
    figures: Mapping[str, bytes],
) -> str:
    """The page: `parts` of Markdown, each under its heading, then the evidence of `entries`.

    `standings` and `figures` go by the name of the figure's file, which `parts` show.
    """
    charts: dict[str, Chart] = {Path(name).stem: _chart(standing) for name, standing in standings.items()}
    page = Page(
        title=TITLE,
        description="Transformer architectures by the loss that they reach for their training compute",
        lead=lead,
        parts=[*parts, *_evidence_part(entries)],
        charts=charts,
        sortable=True,
    )
    return render_page(page, lambda source: _embedded(figures, source))


def evidence_anchor(entry: LeaderboardEntry) -> str:
    """The anchor of the entry's evidence in the page."""
    return Names().anchor(_title(entry))


def _title(entry: LeaderboardEntry) -> str:
    return f"Evidence: {entry.contender} of scan {entry.scan}"


def _evidence_part(entries: Sequence[LeaderboardEntry]) -> list[str]:
    blocks = []
    for entry in entries:
        data = f"[The entry](entries/{entry.file_name}), with every learning curve."
        fold = folded("Runs, figures, versions, spec", "\n\n".join([data, *evidence(entry)]))
        blocks.append(f"{markdown_heading(3, _title(entry))}\n\n{fold}")
    return ["\n\n".join(["## Evidence", *blocks])] if blocks else []


def _chart(standing: Standing) -> Chart:
    names = [row.name for row in standing.main.rows]
    on = {
        name: {table.axis: one for table in standing.tables for one in table.contenders if one.name == name}
        for name in names
    }
    return loss_chart(on)


def _embedded(figures: Mapping[str, bytes], source: str) -> str | None:
    name = source.rpartition("/")[2]
    return image_address("image/svg+xml", figures[name]) if name in figures else None
