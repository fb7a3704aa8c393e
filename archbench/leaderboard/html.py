"""The leaderboard as pages of HTML: tables to sort and filter, charts to ask, and a page for every entry's evidence.

No page asks for anything, so that they can be opened from a disk. What would make the first page too large for that,
charts beyond the first ones and all evidence, stands in pages that it links to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.evidence import evidence
from archbench.leaderboard.standings import Standing
from archbench.report.charts import loss_chart
from archbench.report.html.charts import Chart, Level, Line, Span, charts_json
from archbench.report.html.page import Page, image_address, render_page

TITLE = "archbench leaderboard"
_DESCRIPTION = "Transformer architectures by the loss that they reach for their training compute"
_PAGE_BYTES = 900_000
"""What the first page may come to."""
_SCRIPTS_BYTES = 240_000
"""Of scripts and style."""
_BYTES_PER_CHARACTER = 3
"""Of tables, at most: HTML against Markdown."""


def leaderboard_html(
    lead: str, parts: Sequence[str], figures: Mapping[str, str], charts: Mapping[str, Mapping[str, Any]]
) -> str:
    """The first page: `parts` of Markdown, each under its heading.

    `figures` (SVG) and `charts` go by the stem of the figure's file; those that `parts` show are in the page.
    """
    page = Page(TITLE, _DESCRIPTION, lead, parts, _all_charts(charts), sortable=True)
    return render_page(page, lambda source: _embedded(figures, source))


def standing_html(name: str, part: str, figure: str, chart: Mapping[str, Any]) -> str:
    """The page of one group of comparable entries: `part` of Markdown, with its figure and chart of the stem `name`."""
    page = Page(TITLE, _DESCRIPTION, "[All tables](../index.html)", [part], _all_charts({name: chart}), sortable=True)
    return render_page(page, lambda source: _embedded({name: figure}, source))


def evidence_html(entry: LeaderboardEntry) -> str:
    """The page of what stands behind `entry`."""
    blocks = ["## Evidence", f"[The entry](../entries/{entry.file_name}), with every learning curve.", *evidence(entry)]
    page = Page(
        title=f"{entry.contender} of scan {entry.scan}",
        description="What stands behind an entry of the archbench leaderboard",
        lead="[The leaderboard](../index.html)",
        parts=["\n\n".join(blocks)],
    )
    return render_page(page, lambda source: None)


def shown_at_once(
    tables: Sequence[str], figures: Mapping[str, str], charts: Mapping[str, Mapping[str, Any]]
) -> frozenset[str]:
    """The stems of the first `figures` that fit into one page beside `tables`."""
    left = _PAGE_BYTES - _SCRIPTS_BYTES - _BYTES_PER_CHARACTER * sum(map(len, tables))
    shown = set()
    for name, figure in figures.items():
        left -= len(_address(figure)) + len(charts_json({name: chart_of(charts[name])}))
        if left < 0:
            break
        shown.add(name)
    return frozenset(shown)


def chart_content(standing: Standing, names: Sequence[str]) -> dict[str, Any]:
    """The chart of a group, with the contenders `names`, as JSON data."""
    on = {
        name: {table.axis: one for table in standing.tables for one in table.contenders if one.name == name}
        for name in names
    }
    return asdict(loss_chart(on))


def chart_of(content: Mapping[str, Any]) -> Chart:
    """The chart that `chart_content` gave."""
    lines = tuple(Line(**line) for line in content["lines"])
    spans = tuple(Span(**span) for span in content["spans"])
    levels = tuple(Level(**level) for level in content["levels"])
    lists = {key: tuple(content[key]) for key in ("hidden", "groups")}
    return Chart(**{**content, **lists, "lines": lines, "spans": spans, "levels": levels})


def _all_charts(charts: Mapping[str, Mapping[str, Any]]) -> dict[str, Chart]:
    return {name: chart_of(content) for name, content in charts.items()}


def _embedded(figures: Mapping[str, str], source: str) -> str | None:
    name = source.rpartition("/")[2].removesuffix(".svg")
    return _address(figures[name]) if name in figures else None


def _address(figure: str) -> str:
    return image_address("image/svg+xml", figure.encode())
