"""The figures of a report. Each function draws one figure from results alone; none reads or writes a file."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.frontier.curves import Floats, MeanCurve
from archbench.report.end_labels import End, height_for, label_ends, margin_for
from archbench.report.envelopes import envelope_line, law_line
from archbench.report.labels import OWN, Labels
from archbench.report.plotting import (
    labelled_figure,
    log_axes,
    log_multiplier_axis,
    new_figure,
    placed_figure,
    plain,
    style_of,
    styled,
)
from archbench.report.reference_lines import REFERENCE_COLOR, draw_reference_lines, drawn_lines, line_label
from archbench.report.size_marks import mark_sizes
from archbench.report.words import known, number
from archbench.results.fits import Comparison, FitResult, FitStatus
from archbench.results.reference_lines import plateau_line
from archbench.units import human_count

_MANY = 8
"""Sizes from which on their curves are no longer labelled one by one, and contenders whose rows stand closer."""
_LEGIBLE = 3.0
"""How far intervals may stretch an axis of exponents, in spans of the exponents themselves."""
_MANY_BANDS = 3
"""Contenders up to which bands can be told from each other."""


@styled
def overview(contenders: Sequence[Contender], labels: Labels = OWN) -> Figure:
    """The envelopes and laws of all contenders of one track on one cost axis."""
    curves = [curve for one in contenders for curve in one.curves.curves]
    drawn = [envelope_line(one) for one in contenders]
    levels = _levels(curves, [float(loss) for _, line in drawn for loss in (line.min(), line.max())])
    names = [one.name for one in contenders] + [line_label(*level) for level in levels.items()]
    figure, axes = labelled_figure(6.4, height_for(len(names), 3.6), margin_for(names))
    for index, (one, (cost, loss)) in enumerate(zip(contenders, drawn, strict=True)):
        style = style_of(index)
        axes.plot(cost, loss, color=style.color, linestyle=style.dashes, linewidth=1.8)
        sizes = one.curves.curves
        step = max(1, -(-len(sizes) // _MANY)) if one.curves.has_curves else 1
        ends = [curve for curve in sizes[::step] if curve.finished[-1]]
        axes.plot(
            [curve.cost[-1] for curve in ends],
            [curve.loss_nats[-1] for curve in ends],
            style.marker,
            color=style.color,
            markersize=5,
            markerfacecolor="white",
        )
        _law(axes, one, cost, style.color)
    for level in levels.values():
        axes.axhline(level, color=REFERENCE_COLOR, linewidth=0.6, linestyle=(0, (5, 3)), zorder=0.6)
    log_axes(axes, labels.axis_labels[contenders[0].result.cost_axis], labels.loss_label)
    axes.set_title("Loss against compute: envelope (line), runs' ends (marker), law and 95 % band (thin)", fontsize=8.5)
    ends_of_lines = [
        End(float(cost[-1]), float(loss[-1]), one.name, style_of(index).color)
        for index, (one, (cost, loss)) in enumerate(zip(contenders, drawn, strict=True))
    ]
    right = axes.get_xlim()[1]
    ends_of_lines += [End(right, level, line_label(name, level), "0.35") for name, level in levels.items()]
    label_ends(figure, axes, ends_of_lines)
    return figure


def _levels(curves: Sequence[MeanCurve], losses: Sequence[float]) -> dict[str, float]:
    """The reference lines that a figure of `losses` shows: that of pairs always, others where the losses are."""
    lines = drawn_lines(curves)
    plateau = plateau_line(lines)
    low, high = min(losses) * 0.97, max(losses) * 1.03
    return {
        name: loss
        for name, loss in lines.items()
        if (plateau is not None and name == plateau[0]) or low <= loss <= high
    }


@styled
def frontier(one: Contender, index: int = 0, labels: Labels = OWN) -> Figure:
    """One contender: every size's learning curve or finished runs, the envelope, the law with its band; tiers."""
    figure, (axes,) = placed_figure(6.4, 4.4)
    dominated = {size.size_index for size in one.result.sizes if size.dominated}
    curves = one.curves.curves
    _all_curves(axes, curves, dominated)
    cost, loss = envelope_line(one)
    color = style_of(max(index, 1)).color
    axes.plot(cost, loss, color=color, linewidth=2.2, zorder=3, label="envelope")
    _law(axes, one, cost, "#000000", label=True)
    _tiers(axes, one)
    if dominated:
        axes.plot([], [], "x", color="0.4", linestyle=(0, (2, 2)), linewidth=0.9, label="dominated size")
    draw_reference_lines(axes, curves)
    log_axes(axes, labels.axis_labels[one.result.cost_axis], labels.loss_label)
    axes.minorticks_off()
    axes.set_title(f"{plain(one.name)}: compute-efficient frontier")
    axes.legend(loc="lower left")
    mark_sizes(axes, curves, dominated)
    return figure


@styled
def exponents(contenders: Sequence[Contender], labels: Labels = OWN) -> Figure | None:
    """The exponents of all contenders as intervals, without and with a floor; the baseline's 5 % margin shaded.

    The scale is set by the exponents without a floor, which are compared; what lies beyond it is told at its edge. None
    where there is none of them.
    """
    read = [one.result.law for one in contenders if one.result.law.status is FitStatus.OK]
    if not read:
        return None
    row_height = 0.42 if len(contenders) <= _MANY else 0.24
    figure, (axes,) = new_figure(6.4, 1.3 + row_height * len(contenders))
    first = contenders[0].result.law
    if first.status is FitStatus.OK:
        alpha = first.params["alpha_C"]
        axes.axvspan(alpha * 0.95, alpha * 1.05, color="0.92", label=f"within 5 % of {plain(contenders[0].name)}")
    low, high = _exponent_limits(read)
    for row, one in enumerate(contenders):
        fits = ((one.result.law, 0.1, "o", "no floor"), (one.result.law_with_floor, -0.16, "D", "floor free"))
        for fit, offset, marker, label in fits:
            found = fit.intervals.get("alpha_C") if fit is not None and fit.status is FitStatus.OK else None
            if found is None:
                continue
            if known(found):
                ends = np.clip([found.low, found.high], low, high)
                axes.plot(ends, [row - offset] * 2, color="#1b1b1b", linewidth=1.4)
            if not low <= found.value <= high:
                _beyond(axes, found.value, row - offset, low if found.value < low else high)
                continue
            hollow = "white" if marker == "D" else "#1b1b1b"
            axes.plot(
                found.value,
                row - offset,
                marker,
                color="#1b1b1b",
                markerfacecolor=hollow,
                markersize=5,
                label=label if label not in axes.get_legend_handles_labels()[1] else None,
            )
    axes.set_yticks(range(len(contenders)), [plain(one.name) for one in contenders])
    axes.set_ylim(len(contenders) - 0.4, -0.6)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(5))  # of four digits each
    axes.set_xlabel("exponent alpha of L(C), with 95 % interval")
    axes.set_title(f"Exponents on {labels.axis_names[contenders[0].result.cost_axis]}")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _exponent_limits(laws: Sequence[FitResult]) -> tuple[float, float]:
    """Ends of the axis of exponents: all without a floor, and their intervals as far as they leave these legible."""
    values = [law.params["alpha_C"] for law in laws]
    found = [law.intervals["alpha_C"] for law in laws if "alpha_C" in law.intervals]
    ends = [end for interval in found if known(interval) for end in (interval.low, interval.high)]
    low, high = min(values), max(values)
    reach = _LEGIBLE * max(high - low, 0.1 * abs(high))
    low, high = max(min([low, *ends]), low - reach), min(max([high, *ends]), high + reach)
    pad = 0.05 * (high - low) or 0.1 * abs(high)
    return low - pad, high + pad


def _beyond(axes: Axes, value: float, row: float, edge: float) -> None:
    """That an exponent lies beyond the scale: an arrow at its edge, and the figure."""
    right = value > edge
    axes.annotate(
        f"{number(value)} {'→' if right else '←'}",
        (edge, row),
        xytext=(-3 if right else 3, 0),
        textcoords="offset points",
        ha="right" if right else "left",
        va="center",
        fontsize=7,
        color="0.3",
    )


@styled
def multipliers(comparisons: Sequence[Comparison], names: Sequence[str], labels: Labels = OWN) -> Figure | None:
    """Compute multiplier against loss for each contender, with 90 and 95 % bands; None where there is none."""
    shown = [comparison for comparison in comparisons if comparison.multipliers]
    if not shown:
        return None
    titles = [pair.contender for pair in shown]
    figure, axes = labelled_figure(6.4, height_for(len(titles), 2.9), margin_for(titles))
    axes.axhline(1.0, color="0.5", linewidth=0.8)
    for number_of, comparison in enumerate(shown):
        style = style_of(names.index(comparison.contender))
        points = comparison.multipliers
        losses = np.array([point.loss_nats for point in points])
        bands = [([p.multiplier for p in points], 0.13), ([p.interval_90 for p in points], 0.2)]
        certain = np.array([known(point.multiplier) for point in points])
        for bounds, alpha in bands if len(shown) <= _MANY_BANDS else []:
            low = np.maximum([bound.low for bound in bounds], 1e-6)
            high = np.minimum([bound.high for bound in bounds], 1e6)
            axes.fill_between(losses, low, high, where=certain, color=style.color, alpha=alpha, linewidth=0)
        values = np.array([point.multiplier.value for point in points])
        outside = np.array([point.extrapolated for point in points])
        last = int((~outside).sum())
        axes.plot(
            losses[:last],
            values[:last],
            color=style.color,
            linestyle=style.dashes,
            linewidth=1.8,
        )
        axes.plot(
            losses[max(last - 1, 0) :],
            values[max(last - 1, 0) :],
            color=style.color,
            linewidth=0.9,
            linestyle=(0, (1, 2)),
        )
        if len(shown) > _MANY_BANDS:
            # Bands would cover each other: intervals stand at a few losses instead.
            for point in [one for one in points[number_of % 3 : last : 4] if known(one.multiplier)]:
                axes.plot([point.loss_nats] * 2, [point.multiplier.low, point.multiplier.high], color=style.color)
    middle = [point.multiplier for comparison in shown for point in comparison.multipliers if not point.extrapolated]
    middle = middle or [point.multiplier for comparison in shown for point in comparison.multipliers]
    low, high = min(m.value for m in middle), max(m.value for m in middle)
    log_multiplier_axis(axes, max(min(0.8, 0.7 * low), 1e-3), min(max(1.25, 1.4 * high), 1e3))
    axes.invert_xaxis()
    axes.set_xlabel(labels.loss_label + "; better to the right")
    axes.set_ylabel(f"cost of {plain(shown[0].baseline)} / cost of contender")
    axes.set_title(f"Multiplier on {labels.axis_names[shown[0].cost_axis]} (above 1: needs less)")
    drawn = "bands 90 and 95 %" if len(shown) <= _MANY_BANDS else "bars 95 %"
    axes.annotate(f"dotted: extrapolated; {drawn}", (0.01, 0.01), xycoords="axes fraction", fontsize=7, color="0.3")
    label_ends(
        figure,
        axes,
        [
            End(pair.multipliers[-1].loss_nats, pair.multipliers[-1].multiplier.value, pair.contender,
                style_of(names.index(pair.contender)).color)
            for pair in shown
        ],
    )  # fmt: skip
    return figure


@styled
def learning_curves(contenders: Sequence[Contender], labels: Labels = OWN) -> Figure:
    """Loss against tokens seen, a panel for each contender, on common axes; a run without a curve is a dot."""
    columns = min(len(contenders), 3)
    rows = -(-len(contenders) // columns)
    figure, panels = placed_figure(2.3 + 2.3 * columns, 2.8 * rows, rows, columns)
    losses = [loss for one in contenders for curve in one.curves.curves for loss in curve.loss_nats]
    plateaus = [plateau_line(drawn_lines(one.curves.curves)) for one in contenders]
    losses += [line[1] for line in plateaus if line is not None]
    for panel, one in zip(panels, contenders, strict=False):
        curves = one.curves.curves
        for number_, curve in enumerate(curves):
            grey = 0.75 - 0.75 * number_ / max(len(curves) - 1, 1)
            label = f"N {human_count(curve.non_embedding_params)}" if len(curves) <= _MANY else None
            marker = "." if len(curve.tokens) == 1 else ""
            panel.plot(curve.tokens, curve.loss_nats, marker=marker, color=str(grey), linewidth=1.1, label=label)
        draw_reference_lines(panel, curves)
        log_axes(panel, "tokens seen", labels.loss_label)
        panel.minorticks_off()
        panel.set_ylim(min(losses) * 0.97, max(losses) * 1.03)
        panel.set_ylabel(f"validation loss ({labels.nats})")
        panel.set_title(plain(one.name))
        if len(curves) <= _MANY:
            panel.legend(fontsize=7, loc="lower left")
    for panel in panels[len(contenders) :]:
        panel.set_visible(False)
    return figure


def _all_curves(axes: Axes, curves: Sequence[MeanCurve], dominated: set[int]) -> None:
    """Every size's curve and its end, larger ones darker, dominated ones dashed and crossed, in two collections."""
    greys = [str(0.72 - 0.45 * number_ / max(len(curves) - 1, 1)) for number_ in range(len(curves))]
    for bad, marker, dashes in ((False, "o", "solid"), (True, "x", (0, (2.0, 2.0)))):
        mine = [number_ for number_, curve in enumerate(curves) if (curve.size_index in dominated) is bad]
        if not mine:
            continue
        colors = [greys[number_] for number_ in mine]
        paths = [np.column_stack([curves[number_].cost, curves[number_].loss_nats]) for number_ in mine]
        axes.add_collection(LineCollection(paths, colors=colors, linewidths=0.9, linestyles=[dashes], zorder=1))
        ends = np.array([path[-1] for path in paths])
        axes.scatter(ends[:, 0], ends[:, 1], s=25, c=colors, marker=marker, zorder=2)
    axes.autoscale_view()


def _law(axes: Axes, one: Contender, cost: Floats, color: str, *, label: bool = False) -> None:
    line = law_line(one, cost)
    if line is None:
        return
    text = f"$(C_c/C)^{{\\alpha}}$, $\\alpha$ = {number(one.alpha)}" if label else None
    if line.low is not None and line.high is not None:
        axes.fill_between(line.cost, line.low, line.high, color=color, alpha=0.15, linewidth=0, zorder=2)
        text = f"{text}, 95 % band" if text else None
    axes.plot(
        line.cost,
        line.loss_nats,
        color=color,
        linewidth=0.8,
        linestyle=(0, (1, 1)) if label else "-",
        label=text,
        zorder=4,
    )


def _tiers(axes: Axes, one: Contender) -> None:
    """Shades the costs at which the larger sizes of a tier ended: compute that did not lower the loss."""
    ends = {curve.size_index: float(curve.cost[-1]) for curve in one.curves.curves}
    label: str | None = "tier: larger, not better"
    for tier in one.result.tiers:
        if len(tier.size_indices) > 1:
            costs = [ends[size] for size in tier.size_indices if size in ends]
            axes.axvspan(min(costs), max(costs), color="0.93", zorder=0, label=label)
            label = None
