"""Reference lines in reports: what figures draw of them, and where every run stands between them, in words."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from archbench.report.words import number
from archbench.results.reference_lines import mean_lines, place_words, plateau_line
from archbench.results.runs import RunRecord, size_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from archbench.analysis.frontier.curves import MeanCurve

REFERENCE_COLOR = "0.45"
"""Of reference lines in every figure."""
_FONT = 6.5


def drawn_lines(curves: "Sequence[MeanCurve]") -> Mapping[str, float]:
    """The lines of the curve that saw most tokens; empty where none are known."""
    known = [curve for curve in curves if curve.reference_lines]
    if not known:
        return {}
    return max(known, key=lambda curve: int(curve.tokens[-1])).reference_lines


def line_label(name: str, loss_nats: float) -> str:
    """`bigram 2.74`."""
    return f"{name} {number(loss_nats)}"


def draw_reference_lines(axes: "Axes", curves: "Sequence[MeanCurve]") -> None:
    """The lines of `curves` across `axes`, thin and labelled: that of pairs always, others where the losses are.

    For axes whose losses are drawn and not yet in logarithms.
    """
    lines = drawn_lines(curves)
    low, high = axes.get_ylim()
    plateau = plateau_line(lines)
    for name, loss in lines.items():
        if (plateau is None or name != plateau[0]) and not low <= loss <= high:
            continue
        axes.axhline(loss, color=REFERENCE_COLOR, linewidth=0.6, linestyle=(0, (5, 3)), zorder=0.6)
        axes.annotate(
            line_label(name, loss),
            (1.0, loss),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-2, 1),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=_FONT,
            color="0.3",
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5},
            zorder=4.5,
        )


def places_text(records: Sequence[RunRecord]) -> list[str]:
    """A line on each contender of `records`: where the last losses of its sizes stand, means over seeds.

    Those of which no lines are known share one.
    """
    said, unknown = [], []
    for contender in dict.fromkeys(run.contender for run in records):
        runs = [run for run in records if run.contender == contender and run.usable]
        places = [(size, _place([run for run in runs if run.size_index == size])) for size in _sizes(runs)]
        if runs and not any(run.reference_lines for run in runs):
            unknown.append(contender)
        elif places:
            said.append(f"{contender}, by size: {_joined(places)}")
    return [*said, *([unknown_text(unknown)] if unknown else [])]


def unknown_text(names: Sequence[str]) -> str:
    """That of some contenders no lines are known, and what follows."""
    return f"Reference lines of {', '.join(names)}: unknown, so that none of its losses is refused as on the plateau"


def _sizes(runs: Sequence[RunRecord]) -> list[int]:
    return sorted({run.size_index for run in runs})


def _place(runs: Sequence[RunRecord]) -> str:
    loss = sum(run.final_loss_nats or 0.0 for run in runs) / len(runs)
    return place_words(loss, mean_lines([run.reference_lines for run in runs]))


def _joined(places: Sequence[tuple[int, str]]) -> str:
    """`1 24 % of the way from pairs to triples; 2-5 past triples`."""
    parts = []
    for words, group in groupby(places, key=lambda place: place[1]):
        sizes = [size_number(size) for size, _ in group]
        parts.append(f"{sizes[0]}{f'-{sizes[-1]}' if len(sizes) > 1 else ''} {words}")
    return "; ".join(parts)
