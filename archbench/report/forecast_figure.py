"""The figure of forecasts: the loss that each budget or point is expected to buy, with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archbench.report.plotting import log_axes, new_figure, plain, style_of, styled
from archbench.results.fits import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class DrawnForecast:
    """One loss that is expected."""

    name: str
    """The architecture or contender; may be empty."""
    cost: float
    """On the horizontal axis."""
    loss: Interval
    beyond: bool
    """Whether it lies outside the data."""
    budget: bool
    """Whether it is of a budget, best spent; a line joins these alone."""


@styled
def forecast_figure(forecasts: Sequence[DrawnForecast], xlabel: str, loss_label: str) -> "Figure":
    """Loss against cost, 95 % intervals as bars, hollow beyond the data; `forecasts` holds at least one."""
    figure, (axes,) = new_figure(6.4, 4.2)
    names = list(dict.fromkeys(one.name for one in forecasts))
    for number, name in enumerate(names):
        style = style_of(number)
        own = sorted((one for one in forecasts if one.name == name), key=lambda one: one.cost)
        best = [one for one in own if one.budget]
        costs, losses = [one.cost for one in best], [one.loss.value for one in best]
        axes.plot(costs, losses, style.marker, color=style.color, linestyle=style.dashes, linewidth=0.8, markersize=5,
                  label=plain(name) or None)  # fmt: skip
        for one in own:
            face = "white" if one.beyond else style.color
            axes.plot(one.cost, one.loss.value, style.marker, color=style.color, markerfacecolor=face, markersize=5)
            if one.loss.low == one.loss.low:
                axes.plot([one.cost] * 2, [one.loss.low, one.loss.high], color=style.color, linewidth=1.2)
    log_axes(axes, xlabel, loss_label)
    axes.set_title("Expected loss, 95 % intervals (hollow: beyond the data)")
    if any(names):
        axes.legend()
    return figure
