"""The figure of a decomposition: one line a step, a panel for each figure."""

import math

from matplotlib.figure import Figure as Drawing

from archbench.report.plotting import AXIS_NAMES, new_figure, plain, style_of, styled
from archbench.results.runs import CostAxis
from archbench.studies.decomposition.results import Decomposition, Figure

_TITLES = {
    Figure.ALPHA: "difference of alpha",
    Figure.MULTIPLIER: "compute multiplier",
    Figure.SECONDS_PER_TOKEN: "time per token, before / after",
}


@styled
def decomposition(one: Decomposition, axis: CostAxis) -> Drawing:
    """Effects with their 95 % intervals on `axis`: filled where told apart from none, which is the grey line.

    The whole way at once stands below a rule. What may not be read is named in its place.
    """
    steps = [*range(1, len(one.contenders)), 0]
    figure, panels = new_figure(9.6, 1.3 + 0.42 * len(steps), 1, len(Figure))
    style = style_of(2)
    for panel, sort in zip(panels, Figure, strict=True):
        neutral = 0.0 if sort is Figure.ALPHA else 1.0
        panel.axvline(neutral, color="#9a9a9a", linewidth=1.0)
        panel.axhline(len(steps) - 1.5, color="#d0d0d0", linewidth=0.8)
        for place, step in enumerate(steps):
            effect = next(
                found
                for found in one.effects
                if found.step == step and found.figure is sort and found.cost_axis in (axis, None)
            )
            if effect.effect is None:
                panel.text(neutral, place, f" {effect.status.value}", va="center", fontsize=7.5)
                continue
            low, high = effect.effect.low, effect.effect.high
            if math.isfinite(low) and math.isfinite(high):
                panel.plot([low, high], [place, place], color=style.color, linewidth=1.4)
            panel.plot(
                effect.effect.value,
                place,
                marker="o",
                markersize=5.5,
                color=style.color,
                fillstyle="full" if effect.told_apart else "none",
            )
        if sort is not Figure.ALPHA:
            panel.set_xscale("log")
        panel.set_ylim(len(steps) - 0.5, -0.5)
        panel.set_yticks(range(len(steps)), [] if panel is not panels[0] else _names(one))
        panel.set_title(_TITLES[sort])
        panel.set_xlabel("" if sort is Figure.SECONDS_PER_TOKEN else AXIS_NAMES[axis])
    return figure


def _names(one: Decomposition) -> list[str]:
    steps = [f"{number}. {plain(name)}" for number, name in enumerate(one.contenders[1:], start=1)]
    return [*steps, f"{plain(one.contenders[0])} to {plain(one.contenders[-1])}"]
