"""Labels lie on no other label and inside of their figure, at 2, 12 and 50 contenders; scales show what is asked."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from archbench.analysis.comparison.compare import Contender
from archbench.analysis.frontier.scan import StudyOptions, fit_contenders
from archbench.names import natural_order
from archbench.report import figures
from archbench.report.end_labels import End, label_ends, margin_for, spread_out
from archbench.report.plotting import labelled_figure
from archbench.report.rung_figure import rung_multipliers
from archbench.results.fits import Comparison, FitStatus, Interval, MultiplierPoint, RungMultiplier, RungTrend, Trend
from archbench.results.runs import CostAxis
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

COUNTS = (2, 12, 50)
LINES = {"unigram": 6.2, "bigram": 4.41, "trigram": 4.4}


@pytest.fixture(scope="module")
def fitted() -> Contender:
    law, plan = SyntheticLaw(noise_std=0.003), SyntheticScan(points=6)
    records = [replace(run, reference_lines=LINES) for run in synthetic_records("gpt2", law, plan)]
    return fit_contenders(records, CostAxis.EXACT, baseline=None, options=StudyOptions(num_resamples=30, floor="none"))[
        0
    ]


def named(one: Contender, count: int) -> list[Contender]:
    """Contenders that all end in one place, which is the worst for their labels."""
    names = ["gpt2", *(f"contender_E{2**number % 997}_{number}" for number in range(1, count))]
    return [replace(one, result=replace(one.result, contender=name)) for name in names]


def pair(name: str, place: int) -> Comparison:
    value = 1.0 + 0.01 * (place % 7)
    seen = Interval(value, value / 1.3, value * 1.3)
    return Comparison(
        baseline="gpt2",
        contender=name,
        cost_axis=CostAxis.EXACT,
        comparable_loss=True,
        alpha_difference=None,
        p_value=None,
        holm_p_value=None,
        within_margin=None,
        multipliers=tuple(MultiplierPoint(loss, seen, seen, False) for loss in (4.0, 3.5, 3.0)),
        crossover_cost=None,
        crossover_note="",
        status=FitStatus.OK,
        rungs=tuple(RungMultiplier(size, 10_000, 1e12 * 2**size, 4.0, seen, size == 0) for size in range(4)),
        rung_trend=RungTrend(Interval(0.1, 0.05, 0.15), 0.01, Trend.GROWS, 3),
    )


def overview(one: Contender, count: int) -> Figure:
    return figures.overview(named(one, count))


def multipliers(one: Contender, count: int) -> Figure:
    names = [one.name for one in named(one, count)]
    figure = figures.multipliers([pair(name, place) for place, name in enumerate(names[1:])], names)
    assert figure is not None
    return figure


def rungs(one: Contender, count: int) -> Figure:
    names = [one.name for one in named(one, count)]
    figure = rung_multipliers([pair(name, place) for place, name in enumerate(names[1:])], names)
    assert figure is not None
    return figure


def exponents(one: Contender, count: int) -> Figure:
    figure = figures.exponents(named(one, count))
    assert figure is not None
    return figure


def texts_of(figure: Figure) -> list[Text]:
    FigureCanvasAgg(figure).draw()
    own = [text for axes in figure.axes for text in (*axes.texts, axes.xaxis.label, axes.yaxis.label)]
    ticks = [text for axes in figure.axes for text in _ticks(axes)]
    return [text for text in (*figure.texts, *own, *ticks) if text.get_text()]


def _ticks(axes: Axes) -> Iterator[Text]:
    """The labels of ticks that are drawn."""
    for axis, interval in ((axes.xaxis, axes.viewLim.intervalx), (axes.yaxis, axes.viewLim.intervaly)):
        low, high = sorted(interval)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if tick.label1.get_text() and low <= tick.get_loc() <= high:
                yield tick.label1


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("draw", [overview, multipliers, rungs, exponents])
def test_no_label_lies_on_another_or_outside_of_the_figure(
    draw: Callable[[Contender, int], Figure], count: int, fitted: Contender
) -> None:
    figure = draw(fitted, count)
    texts = texts_of(figure)
    assert len(texts) >= count - 1
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    width, height = figure.canvas.get_width_height()
    for label, box in boxes:
        assert box.x0 >= 0, label
        assert box.x1 <= width, label
        assert box.y0 >= 0, label
        assert box.y1 <= height, label
    overlapping = [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.padded(4.0, 0.0).overlaps(other)]
    assert overlapping == []


@pytest.mark.parametrize("names", [["mamba2"], ["wwwwwwwwmmmm", "i"], ["MODERNBERT", "WMWMW"], ["中文"]], ids=str)
def test_margins_are_as_wide_as_the_widest_name(names: list[str]) -> None:
    figure, axes = labelled_figure(4.0, 2.0, margin_for(names))
    label_ends(figure, axes, [End(0.5, 0.5, name, "black") for name in names])
    with warnings.catch_warnings(action="ignore"):  # of a letter that the font lacks
        boxes = [text.get_window_extent() for text in texts_of(figure) if text in figure.texts]
    width = figure.canvas.get_width_height()[0]
    assert max(box.x1 for box in boxes) <= width
    assert max(box.x1 for box in boxes) >= width - 0.2 * figure.dpi


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("draw", [multipliers, rungs])
def test_a_multiplier_can_be_read_off_its_axis(
    draw: Callable[[Contender, int], Figure], count: int, fitted: Contender
) -> None:
    figure = draw(fitted, count)
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    ticks = [tick.get_loc() for tick in axes.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert 3 <= len(ticks) <= 12


def test_labels_stand_in_the_order_of_their_lines_and_as_near_as_can_be() -> None:
    assert spread_out([5.0, 1.0, 9.0], 1.0, 0.0, 10.0) == [5.0, 1.0, 9.0]
    assert spread_out([5.0, 5.0, 5.0], 1.0, 0.0, 10.0) == [4.0, 5.0, 6.0]
    assert spread_out([9.9, 10.0], 2.0, 0.0, 10.0) == [8.0, 10.0]
    many = spread_out(np.linspace(4.9, 5.1, 9).tolist(), 1.0, 0.0, 10.0)
    assert np.diff(many) == pytest.approx(1.0)


def test_a_multiplier_beyond_the_scale_is_a_triangle_at_its_edge_and_its_label_stands_there() -> None:
    one = pair("x", 0)
    far = replace(one.rungs[0], cost=1e14, multiplier=Interval(900.0, 300.0, 2700.0), extrapolated=True)
    figure = rung_multipliers([replace(one, rungs=(replace(one.rungs[1]), far), rung_trend=None)], ["gpt2", "x"])
    assert figure is not None
    (axes,) = figure.axes
    top = axes.get_ylim()[1]
    assert top < 2.0
    marks = [line for line in axes.get_lines() if line.get_marker() == "^"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in marks] == [(1e14, top)]  # type: ignore[index]
    assert "hollow: at losses that gpt2 does not reach; triangle: beyond the scale" in axes.get_xlabel()
    (label,) = [text for text in texts_of(figure) if text.get_text() == "x"]
    assert label.get_window_extent().y1 > axes.get_window_extent().y1 - 10


def exponent(one: Contender, name: str, alpha: float, floored: float | None = None) -> Contender:
    interval = Interval(alpha, alpha * 0.98, alpha * 1.02)
    law = replace(one.result.law, params={"alpha_C": alpha, "ln_A": 1.0}, intervals={"alpha_C": interval})
    free = None
    if floored is not None:
        wide = Interval(floored, floored * 0.5, floored * 1.5)
        free = replace(law, params={"alpha_C": floored}, intervals={"alpha_C": wide})
    return replace(one, result=replace(one.result, contender=name, law=law, law_with_floor=free))


def test_an_exponent_that_is_not_the_question_does_not_set_the_scale(fitted: Contender) -> None:
    shown = [exponent(fitted, "a", 0.030, 1.11), exponent(fitted, "b", 0.028)]
    figure = figures.exponents(shown)
    assert figure is not None
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    assert 0.02 < low < 0.028
    assert 0.030 < high < 0.04
    apart = axes.transData.transform((0.030, 0))[0] - axes.transData.transform((0.028, 0))[0]
    assert apart > 50
    assert [text.get_text() for text in axes.texts] == ["1.11 →"]


def test_where_no_exponent_may_be_read_there_is_no_figure_of_them(fitted: Contender) -> None:
    law = replace(fitted.result.law, status=FitStatus.ON_PLATEAU, params={}, intervals={})
    assert figures.exponents([replace(fitted, result=replace(fitted.result, law=law))]) is None


def test_contenders_are_ordered_as_people_count() -> None:
    names: Sequence[str] = ["E128", "E32", "E512", "dense"]
    assert sorted(names, key=natural_order) == ["E32", "E128", "E512", "dense"]
