"""The charts of a report's page, in place of the figures of the same names."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.frontier.curves import Floats, MeanCurve
from archbench.contracts.report import ScanResults
from archbench.names import file_stem
from archbench.report.contenders import by_track, contenders_by_axis, contenders_of, drawn_of
from archbench.report.envelopes import envelope_line, law_line
from archbench.report.html.charts import Chart, Level, Line, Span
from archbench.report.labels import labels_of
from archbench.report.plotting import AXIS_LABELS, LOSS_LABEL
from archbench.report.reference_lines import drawn_lines, line_label
from archbench.report.words import known, number
from archbench.results.fits import Comparison
from archbench.results.runs import CostAxis, size_number
from archbench.units import human_count

_TOKENS, _LOSS = "tokens", "loss"
_CURVES, _RUNS, _ENVELOPE, _LAW, _MULTIPLIER, _BEYOND = (
    "learning curves", "finished runs", "envelopes", "laws, 95 % bands", "multipliers, 95 % bands", "extrapolated",
)  # fmt: skip


def charts_of(results: ScanResults) -> dict[str, Chart]:
    """Name of a figure -> the chart that says the same and can be asked; empty where no run is usable."""
    lines = {one.name: list(_lines(results, one.name)) for one in contenders_of(results)}
    spans = {name: list(_spans(results, name)) for name in lines}
    labels = labels_of(results.records)
    axes, loss = {axis.value: labels.axis_labels[axis] for axis in contenders_by_axis(results)}, labels.loss_label
    charts: dict[str, Chart] = {}
    for track, members in by_track(contenders_of(results)).items():
        names = tuple(drawn_of(results, [one.name for one in members]))
        mine = tuple(line for name in names for line in lines[name])
        curves = tuple(line for line in mine if line.layer == _CURVES)
        charts[f"overview_{file_stem(track)}"] = Chart(
            "Loss against cost", axes, loss, mine, hidden=(_CURVES,), groups=names,
            levels=_levels([one for one in members if one.name in names]),
        )  # fmt: skip
        if any(one.curves.has_curves for one in members):
            charts[f"learning_curves_{file_stem(track)}"] = Chart(
                "Learning curves", {_TOKENS: "tokens seen", **axes}, loss, curves, groups=names,
                levels=_levels([one for one in members if one.name in names]),
            )  # fmt: skip
        for name in names:
            charts[f"frontier_{file_stem(name)}"] = Chart(
                f"{name}: compute-efficient frontier", axes, loss, tuple(lines[name]), tuple(spans[name]),
                groups=names, levels=_levels([one for one in members if one.name == name]),
            )  # fmt: skip
    return charts | _multipliers(results)


def loss_chart(contenders: Mapping[str, Mapping[CostAxis, Contender]]) -> Chart:
    """Loss against cost of `contenders`: name -> axis -> its frontier on it; the first one's first axis is shown."""
    lines = tuple(line for name, on in contenders.items() for line in contender_lines(name, on))
    axes = {axis.value: AXIS_LABELS[axis] for on in contenders.values() for axis in on}
    levels = _levels([one for on in contenders.values() for one in on.values()])
    return Chart(
        "Loss against cost", axes, LOSS_LABEL, lines, hidden=(_CURVES,), groups=tuple(contenders), levels=levels
    )


def _levels(contenders: Sequence[Contender]) -> tuple[Level, ...]:
    """The reference lines of the one that saw most tokens."""
    lines = drawn_lines([curve for one in contenders for curve in one.curves.curves])
    return tuple(Level(line_label(name, loss), loss) for name, loss in lines.items())


def _lines(results: ScanResults, name: str) -> Iterator[Line]:
    """Those of one contender of a scan."""
    on = {
        axis: one for axis, contenders in contenders_by_axis(results).items() for one in contenders if one.name == name
    }
    yield from contender_lines(name, on)


def contender_lines(name: str, on: Mapping[CostAxis, Contender]) -> Iterator[Line]:
    """Learning curves, envelopes and laws of one contender on every axis."""
    yield from _curve_lines(name, on)
    for axis, one in on.items():
        cost, loss = envelope_line(one)
        # A screen shows no more; the data tables hold the whole grid.
        few = np.unique(np.linspace(0, len(cost) - 1, 60).round().astype(int))
        yield Line(f"{name}, envelope", name, _ENVELOPE, {axis.value: cost[few].tolist()}, loss[few].tolist())
        law = law_line(one, cost[few])
        if law is not None:
            yield Line(
                f"{name}, law with alpha {number(one.alpha)}", name, _LAW, {axis.value: law.cost.tolist()},
                law.loss_nats.tolist(), _edge(law.low), _edge(law.high), look="dotted",
            )  # fmt: skip


def _edge(edge: Floats | None) -> list[float]:
    return [] if edge is None else edge.tolist()


def _curve_lines(name: str, on: Mapping[CostAxis, Contender]) -> Iterator[Line]:
    """One line for each size, or point for each run; one more for each axis on which its points are others."""
    for axis, one in on.items():
        dominated = {size.size_index for size in one.result.sizes if size.dominated}
        for number_, curve in enumerate(one.curves.curves):
            same = {
                other.value: peer.curves.curves[number_].cost.tolist()
                for other, peer in on.items()
                if _same_points(curve, peer.curves.curves, number_)
            }
            if next(iter(same)) != axis.value:
                continue  # an earlier axis has the line
            if axis is next(iter(on)):
                same = {_TOKENS: curve.tokens.tolist(), **same}
            label = f"{name}, size {size_number(curve.size_index)} (N {human_count(curve.non_embedding_params)})"
            end = "cross" if curve.size_index in dominated else "circle"
            layer = _CURVES if one.curves.has_curves else _RUNS
            yield Line(label, name, layer, same, curve.loss_nats.tolist(), look="thin", end=end)


def _same_points(curve: MeanCurve, others: Sequence[MeanCurve], number_: int) -> bool:
    if number_ >= len(others):
        return False
    other = others[number_]
    return other.size_index == curve.size_index and np.array_equal(other.loss_nats, curve.loss_nats)


def _spans(results: ScanResults, name: str) -> Iterator[Span]:
    """The costs at which the larger sizes of each tier ended: cost that did not lower the loss."""
    for axis, contenders in contenders_by_axis(results).items():
        for one in contenders:
            if one.name != name:
                continue
            ends = {curve.size_index: float(curve.cost[-1]) for curve in one.curves.curves}
            for tier in one.result.tiers:
                costs = [ends[size] for size in tier.size_indices if size in ends]
                if len(tier.size_indices) > 1 and costs:
                    yield Span(name, axis.value, min(costs), max(costs), "tier: larger, not better")


def _multipliers(results: ScanResults) -> dict[str, Chart]:
    """Multipliers over the baseline on each axis that has any."""
    names = tuple(dict.fromkeys(frontier.contender for frontier in results.frontiers))
    compared = [pair.contender for pair in results.comparisons if pair.baseline == results.baseline]
    drawn = drawn_of(results, list(dict.fromkeys(compared)))
    labels, charts = labels_of(results.records), {}
    for axis in CostAxis:
        pairs = [
            pair
            for pair in results.comparisons
            if pair.baseline == results.baseline
            and pair.cost_axis is axis
            and pair.multipliers
            and pair.contender in drawn
        ]
        if pairs:
            charts[f"multiplier_{axis.value}"] = Chart(
                f"Multiplier on {labels.axis_names[axis]} (above 1: needs less)",
                {_LOSS: f"{labels.loss_label}; better to the right"}, f"cost of {results.baseline} / cost of contender",
                tuple(line for pair in pairs for line in _pair(pair)),
                groups=names, log_x=False, falling_x=True, level=1.0,
            )  # fmt: skip
    return charts


def _pair(pair: Comparison) -> Iterator[Line]:
    inside = [point for point in pair.multipliers if not point.extrapolated]
    # The dotted part begins where the measured one ends.
    beyond = [*inside[-1:], *(point for point in pair.multipliers if point.extrapolated)]
    for points, layer, look in ((inside, _MULTIPLIER, "line"), (beyond, _BEYOND, "dotted")):
        if len(points) < 2 and layer == _BEYOND:
            continue
        certain = layer == _MULTIPLIER and all(known(point.multiplier) for point in points)
        yield Line(
            f"{pair.contender} over {pair.baseline}" + (", extrapolated" if layer == _BEYOND else ""),
            pair.contender, layer, {_LOSS: [point.loss_nats for point in points]},
            [point.multiplier.value for point in points],
            [point.multiplier.low for point in points] if certain else [],
            [point.multiplier.high for point in points] if certain else [],
            look=look,
        )  # fmt: skip
