"""Which size ended where, written into a figure of frontiers: as many labels as find room beside each other."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from archbench.analysis.frontier.curves import MeanCurve
from archbench.results.runs import size_number
from archbench.units import human_count

_MOST = 8
"""Labels in one figure."""
_FONT = 7.0
_LETTER, _LINE = 0.62 * _FONT, 1.35 * _FONT
"""Width of a letter and height of a line, in points: measuring text takes half of a drawing."""


def mark_sizes(axes: Axes, curves: Sequence[MeanCurve], dominated: set[int]) -> None:
    """Writes number and N of sizes beside the end of each one's longest run; the smallest and the largest come first.

    For axes whose limits and place in the figure are final. A label that finds no room beside the others is left out.
    """
    longest = {curve.size_index: curve for curve in sorted(curves, key=lambda curve: float(curve.cost[-1]))}
    ends = {size: _in_points(axes, curve) for size, curve in longest.items()}
    taken: list[Bbox] = []
    for size in _spread(sorted(longest)):
        mark = f"{size_number(size)}: {human_count(longest[size].non_embedding_params)}"
        for dx, dy, box in _places(ends[size], len(mark)):
            if any(box.overlaps(other) for other in taken):
                continue
            taken.append(box)
            axes.annotate(
                mark,
                (longest[size].cost[-1], longest[size].loss_nats[-1]),
                textcoords="offset points",
                xytext=(dx, dy),
                fontsize=_FONT,
                color="0.35" if size in dominated else "0.1",
                bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
                zorder=5,
            )
            break


def _in_points(axes: Axes, curve: MeanCurve) -> tuple[float, float]:
    """Where the end of a curve lies in the figure, in points."""
    x, y = axes.transData.transform((curve.cost[-1], curve.loss_nats[-1]))
    per_pixel = 72.0 / axes.figure.dpi
    return float(x) * per_pixel, float(y) * per_pixel


def _spread(sizes: list[int]) -> list[int]:
    """At most `_MOST` of `sizes`: both ends, then those evenly between them."""
    if len(sizes) <= _MOST:
        chosen = sizes
    else:
        chosen = [sizes[round(place * (len(sizes) - 1) / (_MOST - 1))] for place in range(_MOST)]
    return list(dict.fromkeys([chosen[0], chosen[-1], *chosen]))


def _places(end: tuple[float, float], letters: int) -> Iterator[tuple[float, float, Bbox]]:
    """Offsets of a label from the point that it belongs to, and the room that it takes there, the usual one first."""
    width = letters * _LETTER
    for dx, dy in ((5.0, 4.0), (-width - 3.0, -_LINE - 3.0), (5.0, 4.0 + _LINE), (-width - 3.0, -2.0 * _LINE - 3.0)):
        x, y = end[0] + dx, end[1] + dy
        yield dx, dy, Bbox.from_extents(x - 1.0, y - 2.0, x + width + 1.0, y + _LINE)
