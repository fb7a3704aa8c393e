"""The figure of equal budgets.

Legend: N parameters without embeddings, D tokens.
"""

import numpy as np
from matplotlib.figure import Figure

from archbench.report.plotting import AXIS_NAMES, log_axes, new_figure, plain, style_of, styled
from archbench.results.fits import FitStatus
from archbench.studies.figures import LOSS, label_counts
from archbench.studies.isoflop.results import IsoflopStudy


@styled
def isoflop(study: IsoflopStudy) -> Figure:
    """Parabolas of loss in ln N at each budget, and their minima against the budget."""
    figure, (left, right) = new_figure(9.2, 3.8, 1, 2)
    for index, budget in enumerate(study.budgets):
        style = style_of(index)
        N = np.array([point.non_embedding_params for point in budget.points], dtype=float)
        label = f"{budget.flops:.2g} FLOPs" + ("" if budget.status is FitStatus.OK else f": {budget.status.value}")
        left.plot(N, [p.loss_nats for p in budget.points], style.marker, color=style.color, markersize=5, label=label)
        if budget.curvature is not None:
            grid = np.geomspace(N.min(), N.max(), 60)
            left.plot(
                grid, np.polyval(budget.curvature, np.log(grid)), color=style.color, linestyle=style.dashes, linewidth=1
            )
        if budget.best_params is not None and budget.loss_nats is not None:
            left.plot(budget.best_params, budget.loss_nats, "x", color="black", markersize=7)
    log_axes(left, "parameters without embeddings, N", LOSS, counts_below=1e12)
    left.set_title("isoFLOP parabolas (x: minimum)")
    left.legend(fontsize=7)
    found = [budget for budget in study.budgets if budget.best_params is not None]
    for values, marker, label in (
        ([budget.best_params for budget in found], "o", "best N"),
        ([budget.best_tokens for budget in found], "s", "best D"),
    ):
        right.plot(
            [budget.flops for budget in found],
            np.array(values, dtype=float),
            marker,
            color="black",
            markersize=5,
            label=label,
            markerfacecolor="white" if marker == "s" else "black",
        )
    right.set_xscale("log")
    right.set_yscale("log")
    label_counts(right, AXIS_NAMES[study.cost_axis], "parameters or tokens")
    right.set_title("Best size and data by the parabolas")
    if found:
        right.legend()
    figure.suptitle(plain(study.contender), fontsize=11)
    return figure
