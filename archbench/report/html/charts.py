"""Charts that a reader can ask: what is drawn, as values; the page's script draws it in place of the figure."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DIGITS = 5
"""Significant digits of a number in a page: more than a screen can show; `data/` has them all."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or one row of points, on every axis that it has values for."""

    name: str
    """What is said of a point under the pointer, for example `gpt2, size 3 (N 40.2k)`."""
    group: str
    """Lines of a group, as a contender's, are shown and hidden together."""
    layer: str
    """So are lines of a layer, as learning curves or laws."""
    x: Mapping[str, Sequence[float]]
    """Key of an axis -> [points]. On other axes the line is not drawn."""
    y: Sequence[float]
    """[points]"""
    low: Sequence[float] = ()
    """[points] or empty: the lower edge of a band about the line."""
    high: Sequence[float] = ()
    look: str = "line"
    """`line`, `thin`, `dotted`, or `marks` for a line with a mark at each point."""
    end: str = ""
    """Mark at the last point: empty for none, `circle`, or `cross` for a size that is dominated."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one axis that is shaded."""

    group: str
    axis: str
    low: float
    high: float
    name: str


@dataclass(frozen=True, slots=True)
class Level:
    """A thin line across the chart, with its name at its end."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and what a reader may choose in it."""

    title: str
    axes: Mapping[str, str]
    """Key of an x axis -> its label with unit; the first is shown first. More than one may be chosen from."""
    y_label: str
    lines: tuple[Line, ...]
    spans: tuple[Span, ...] = ()
    hidden: tuple[str, ...] = ()
    """Layers that are not shown at first."""
    groups: tuple[str, ...] = ()
    """All contenders in the order of their styles, also those without a line here; the lines' own if empty."""
    log_x: bool = True
    log_y: bool = True
    falling_x: bool = False
    """Whether the x axis falls from left to right."""
    level: float | None = None
    """A level line, as 1 for a multiplier."""
    levels: tuple[Level, ...] = ()
    """Named lines, as the losses of n-gram models; those outside of what is shown are left out."""


def charts_json(charts: Mapping[str, Chart]) -> str:
    """All charts by the name of the figure that each replaces, as JSON that may stand inside a script element."""
    # Charts of one report share most of their lines: each is written once and told by its number.
    lines = {id(line): line for chart in charts.values() for line in chart.lines}
    places = {key: place for place, key in enumerate(lines)}
    content = {
        "lines": [_line(line) for line in lines.values()],
        "charts": {name: _chart(chart, places) for name, chart in charts.items()},
    }
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # Inside an element of a page, `</script>` would end it wherever it stands.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _chart(chart: Chart, places: Mapping[int, int]) -> dict[str, Any]:
    return {
        "title": chart.title,
        "axes": dict(chart.axes),
        "yLabel": chart.y_label,
        "lines": [places[id(line)] for line in chart.lines],
        "spans": [
            {"group": span.group, "axis": span.axis, "low": _short(span.low), "high": _short(span.high),
             "name": span.name}
            for span in chart.spans
        ],
        "hidden": list(chart.hidden),
        "groups": list(chart.groups or dict.fromkeys(line.group for line in chart.lines)),
        "logX": chart.log_x,
        "logY": chart.log_y,
        "fallingX": chart.falling_x,
        "level": chart.level,
        "levels": [{"name": one.name, "value": _short(one.value)} for one in chart.levels],
    }  # fmt: skip


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "group": line.group,
        "layer": line.layer,
        "x": {axis: [_short(value) for value in values] for axis, values in line.x.items()},
        "y": [_short(value) for value in line.y],
        "low": [_short(value) for value in line.low],
        "high": [_short(value) for value in line.high],
        "look": line.look,
        "end": line.end,
    }


def _short(value: float) -> float | None:
    """`value` with few digits; None, a gap, for what is no number or has no end."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
