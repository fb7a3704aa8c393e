"""The figure of a law of one variable, and what figures of studies have in common."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from archbench.report.labels import OWN, Labels
from archbench.report.plotting import log_axes, new_figure, plain, short_count, style_of, styled
from archbench.report.words import number
from archbench.results.fits import FitStatus
from archbench.results.studies import (
    StudyPoint,
)
from archbench.studies.results import SingleLawStudy

LOSS = "validation loss (nats)"


@styled
def single_law(studies: Sequence[SingleLawStudy], labels: Labels = OWN) -> Figure:
    """Loss against the variable of the law, of every contender, with its law."""
    figure, (axes,) = new_figure(5.4, 3.8)
    for index, study in enumerate(studies):
        style = style_of(index)
        x = np.array(study.values())
        loss = [point.loss_nats for point in study.points]
        axes.plot(x, loss, style.marker, color=style.color, markerfacecolor="white", markersize=5)
        axes.plot([], [], color=style.color, linestyle=style.dashes, marker=style.marker, label=_named(study))
        if (law := study.best_law).status is FitStatus.OK:
            grid = np.geomspace(x.min() / 1.3, x.max() * 1.3, 100)
            predicted = study.form().predict(law.params, **{study.variable: grid})
            axes.plot(grid, predicted, color=style.color, linestyle=style.dashes, linewidth=1.3)
    first = studies[0]
    axes.set_title(f"{'Lowest loss' if first.lowest else 'Loss'} against {first.against}")
    log_axes(axes, first.axis_label(labels.params), f"validation loss ({labels.nats})", counts_below=1e12)
    axes.legend()
    return figure


def _named(study: SingleLawStudy) -> str:
    letter, law = study.variable, study.best_law
    if law.status is not FitStatus.OK:
        return f"{plain(study.contender)}: {law.status.value}"
    floor = f"{number(law.params['E'])} + " if "E" in law.params else ""
    exponent = number(law.params[f"alpha_{letter}"])
    return f"{plain(study.contender)}: ${floor}({letter}_c/{letter})^{{\\alpha}}$, $\\alpha$ = {exponent}"


def by_size(points: Sequence[StudyPoint]) -> dict[int, list[StudyPoint]]:
    """The points of each size, the smallest first."""
    sizes = sorted({point.non_embedding_params for point in points})
    return {size: [point for point in points if point.non_embedding_params == size] for size in sizes}


def label_counts(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Names both axes, whose ticks are counts."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
