"""The main figure of a comparison: the multiplier at each size of each contender, and its trend over them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archbench.report.end_labels import End, height_for, label_ends, margin_for
from archbench.report.labels import OWN, Labels
from archbench.report.plotting import (
    Style,
    labelled_figure,
    log_cost_axis,
    log_multiplier_axis,
    plain,
    style_of,
    styled,
)
from archbench.report.words import known, number
from archbench.results.fits import Comparison, RungMultiplier, Trend

_ARROWS = {Trend.GROWS: "↗", Trend.FALLS: "↘", Trend.NOT_SHOWN: ""}
_WIDEST = 8.0
"""A factor beyond the multipliers themselves up to which intervals set the scale."""


@styled
def rung_multipliers(pairs: Sequence[Comparison], names: Sequence[str], labels: Labels = OWN) -> Figure | None:
    """The multiplier against the cost of each size's runs, with 95 % intervals and the trend; None without any.

    names: all contenders in the order of the spec, which gives each its style. Hollow points lie at losses that the
    baseline does not reach, and enter no trend. Scales are set by what may be read; a triangle at the edge stands for
    what lies beyond.
    """
    with_rungs = [pair for pair in pairs if pair.rungs]
    # What lies beyond the baseline's runs throughout would set the scale, and says nothing.
    shown = [pair for pair in with_rungs if any(not rung.extrapolated for rung in pair.rungs)] or with_rungs
    if not shown:
        return None
    texts = [_label(pair) for pair in shown]
    rungs = [rung for pair in shown for rung in pair.rungs]
    limits = _limits(rungs)
    key = _key(shown, rungs, limits)
    figure, axes = labelled_figure(6.4, height_for(len(shown), 2.7), margin_for(texts), lines_below=bool(key))
    axes.axhline(1.0, color="0.5", linewidth=0.8)
    margins = {pair.answer.margin for pair in shown if pair.answer is not None} - {1.0}
    for margin in margins:
        axes.axhline(margin, color="0.5", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(f"margin {number(margin)}", (0.01, margin), xycoords=axes.get_yaxis_transform(), fontsize=6.5,
                      xytext=(0, 2), textcoords="offset points", color="0.3")  # fmt: skip
    for pair in shown:
        _draw(axes, pair, style_of(names.index(pair.contender)), limits)
    log_multiplier_axis(axes, *limits)
    log_cost_axis(axes, "\n".join(filter(None, [labels.axis_labels[shown[0].cost_axis], key])))
    axes.set_ylabel(f"cost of {plain(shown[0].baseline)} / cost of contender")
    axes.set_title("Multiplier at each size (above 1: needs less)")
    ends = [_end(pair, text, names, limits) for pair, text in zip(shown, texts, strict=True)]
    label_ends(figure, axes, ends)
    return figure


def _label(pair: Comparison) -> str:
    arrow = _ARROWS[pair.rung_trend.trend] if pair.rung_trend is not None else ""
    return f"{pair.contender} {arrow}".rstrip()


def _end(pair: Comparison, text: str, names: Sequence[str], limits: tuple[float, float]) -> End:
    """The end of the trend; of a single point that is read, which has none, the last point that is drawn."""
    read = _read(pair)
    last = read[-1] if len(read) > 1 else pair.rungs[-1]
    return End(last.cost, _within(last, limits), text, style_of(names.index(pair.contender)).color)


def _within(rung: RungMultiplier, limits: tuple[float, float]) -> float:
    """Its multiplier, at the edge of the axis where that does not show it."""
    return min(max(rung.multiplier.value, limits[0]), limits[1])


def _key(shown: Sequence[Comparison], rungs: Sequence[RungMultiplier], limits: tuple[float, float]) -> str:
    """What hollow points and triangles are, as far as there are any."""
    hollow = any(rung.extrapolated for rung in rungs)
    beyond = any(_within(rung, limits) != rung.multiplier.value for rung in rungs)
    parts = [
        f"hollow: at losses that {plain(shown[0].baseline)} does not reach" if hollow else "",
        "triangle: beyond the scale" if beyond else "",
    ]
    return "; ".join(filter(None, parts))


def _read(pair: Comparison) -> list[RungMultiplier]:
    """The rungs that enter the trend, or all where none does."""
    return [rung for rung in pair.rungs if not rung.extrapolated] or list(pair.rungs)


def _limits(rungs: Sequence[RungMultiplier]) -> tuple[float, float]:
    """Ends of the multiplier's axis: all that may be read and 1, and intervals as far as they leave it legible."""
    read = [rung for rung in rungs if not rung.extrapolated] or list(rungs)
    values = [1.0, *(rung.multiplier.value for rung in read)]
    lows = [rung.multiplier.low for rung in read if known(rung.multiplier)]
    highs = [rung.multiplier.high for rung in read if known(rung.multiplier)]
    low = max(min([*values, *lows]), min(values) / _WIDEST)
    high = min(max([*values, *highs]), max(values) * _WIDEST)
    return low / 1.15, high * 1.15


def _draw(axes: Axes, pair: Comparison, style: Style, limits: tuple[float, float]) -> None:
    for rung in pair.rungs:
        if known(rung.multiplier):
            axes.plot([rung.cost] * 2, [rung.multiplier.low, rung.multiplier.high], color=style.color, linewidth=1.0,
                      alpha=0.35 if rung.extrapolated else 0.8)  # fmt: skip
        place = _within(rung, limits)
        marker = style.marker if place == rung.multiplier.value else "^" if place == limits[1] else "v"
        axes.plot(rung.cost, place, marker, color=style.color, markersize=5, clip_on=False,
                  markerfacecolor="white" if rung.extrapolated else style.color)  # fmt: skip
    read = _read(pair)
    cost = np.array([rung.cost for rung in read])
    if pair.rung_trend is None:
        axes.plot(cost, [rung.multiplier.value for rung in read], color=style.color, linewidth=0.9, linestyle=":")
        return
    logs = np.log([rung.multiplier.value for rung in read])
    line = logs.mean() + pair.rung_trend.slope.value * (np.log(cost) - np.log(cost).mean())
    axes.plot(cost, np.exp(line), color=style.color, linewidth=1.2, linestyle=style.dashes)
