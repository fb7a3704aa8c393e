"""Direct labels: names beside the ends of lines, in a column to the right of a figure's axes, none upon another."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.lines import Line2D

from archbench.report.plotting import FAMILY, plain

FONT = 7.5
LINE_INCHES = 1.3 * FONT / 72.0
"""Height of a label, with the room above it."""
_REACH_INCHES = 0.28
"""From the axes to the labels: where lines lead from the ends to them."""
_EDGE_INCHES = 0.05


@dataclass(frozen=True, slots=True)
class End:
    """The end of a line, and what is written beside it."""

    x: float
    y: float
    label: str
    color: str


def height_for(num_labels: int, least: float) -> float:
    """Inches that axes need so that `num_labels` labels stand above each other; `least` at least."""
    return max(least, num_labels * LINE_INCHES)


def margin_for(labels: Sequence[str]) -> float:
    """Inches that `labels` take to the right of axes."""
    longest = max((sum(map(_letter_inches, plain(label))) for label in labels), default=0.0)
    return _REACH_INCHES + longest + _EDGE_INCHES


@cache
def _letter_inches(letter: str) -> float:
    """Of one letter, by the font's table of widths: to measure drawn text takes half of a drawing."""
    font = get_font(findfont(FontProperties(family=FAMILY)))
    if not font.get_char_index(ord(letter)):
        return FONT / 72.0  # a box stands in its place
    font.set_size(FONT, 72.0)
    points: float = font.load_char(ord(letter), flags=LoadFlags.NO_HINTING).linearHoriAdvance / 65536.0
    return points / 72.0


def spread_out(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least `gap` apart and as near to those `wanted` as can be, in their order, from `low` to `high`.

    Least squares under that order (pool adjacent violators). Where there is no room for all, they begin at `low` and go
    beyond `high`.
    """
    order = np.argsort(wanted, kind="stable")
    blocks: list[list[float]] = []  # mean and number of places that touch
    for place, value in enumerate(np.asarray(wanted, dtype=float)[order]):
        blocks.append([float(value) - place * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            blocks[-1] = [
                (blocks[-1][0] * blocks[-1][1] + mean * count) / (blocks[-1][1] + count),
                blocks[-1][1] + count,
            ]
    shifted = np.repeat([mean for mean, _ in blocks], [int(count) for _, count in blocks])
    shifted = np.maximum(np.minimum(shifted, high - (len(shifted) - 1) * gap), low)
    found = np.empty(len(shifted))
    found[order] = shifted + gap * np.arange(len(shifted))
    return [float(place) for place in found]


def label_ends(figure: Figure, axes: Axes, ends: Sequence[End]) -> None:
    """Writes the labels of `ends` beside `axes`, whose limits and place in the figure are final."""
    if not ends:
        return
    box = axes.get_position()
    width, height = figure.get_size_inches()
    bottom, top = box.y0 * height, box.y1 * height
    points = [figure.transFigure.inverted().transform(axes.transData.transform((end.x, end.y))) for end in ends]
    wanted = [float(np.clip(point[1] * height, bottom, top)) for point in points]
    half = LINE_INCHES / 2
    at = spread_out(wanted, LINE_INCHES, bottom - half, top + half)
    text_x = (box.x1 * width + _REACH_INCHES) / width
    for end, point, own, place in zip(ends, points, wanted, at, strict=True):
        figure.add_artist(
            _leader((min(float(point[0]), box.x1), own / height), (text_x - 0.04 / width, place / height), end.color)
        )
        figure.text(text_x, place / height, plain(end.label), fontsize=FONT, color=end.color, va="center", ha="left")


def _leader(start: tuple[float, float], end: tuple[float, float], color: str) -> Line2D:
    return Line2D([start[0], end[0]], [start[1], end[1]], color=color, linewidth=0.5, alpha=0.6)
