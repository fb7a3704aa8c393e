"""The figures of a batch scan: steps against tokens at equal loss, and B_crit against loss with the noise scale.

Legend: S steps, E tokens, B batch (tokens), L validation loss (nats per predicted token).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archbench.analysis.laws.kaplan import CriticalBatch
from archbench.report.plotting import log_axes, new_figure, plain, style_of, styled
from archbench.report.words import number
from archbench.results.fits import FitStatus
from archbench.studies.batch_scan.results import BatchStudy, BatchTradeOff, NoiseScaleStudy
from archbench.studies.figures import LOSS
from archbench.units import human_count

_MOST = 8
"""Hyperbolas that can be told from each other."""


@styled
def trade_offs(study: BatchStudy) -> Figure:
    """(S/S_min - 1)(E/E_min - 1) = 1 at each target: runs, fitted hyperbolas, and B_crit on them."""
    sizes = list(dict.fromkeys(one.non_embedding_params for one in study.trade_offs))
    columns = min(len(sizes), 3)
    rows = -(-len(sizes) // columns)
    figure, panels = new_figure(2.0 + 3.6 * columns, 3.9 * rows, rows, columns)
    for axes, size in zip(panels, sizes, strict=False):
        members = [one for one in study.trade_offs if one.non_embedding_params == size and _measured(one)]
        for index, one in enumerate(members[:: max(1, -(-len(members) // _MOST))]):
            _trade_off(axes, one, index)
        if members:
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.set_xlabel("steps, S")
        axes.set_ylabel("tokens, E = B·S")
        axes.set_title(f"{plain(study.contender)}, N {human_count(size)}")
        if members:
            axes.legend(fontsize=7, title="loss (line: fit, +: B_crit)", title_fontsize=7)
    for axes in panels[len(sizes) :]:
        axes.set_visible(False)
    return figure


def _measured(one: BatchTradeOff) -> bool:
    return any(point.steps is not None for point in one.points)


def _trade_off(axes: Axes, one: BatchTradeOff, index: int) -> None:
    style = style_of(index)
    reached = [point for point in one.points if point.steps is not None]
    steps = np.array([point.steps for point in reached], dtype=float)
    label = f"{number(one.loss_nats)} nats"
    if one.status is not FitStatus.OK:
        label += f": {one.status.value}"
    tokens = np.array([point.tokens for point in reached], dtype=float)
    axes.plot(steps, tokens, style.marker, color=style.color, markersize=5, label=label, markerfacecolor="white")
    if one.steps_min is None or one.tokens_min is None:
        return
    batch = np.array([point.batch_tokens for point in reached], dtype=float)
    grid = np.geomspace(batch.min() / 1.5, batch.max() * 1.5, 120)
    critical = one.tokens_min.value / one.steps_min.value
    curve = one.steps_min.value * (1.0 + critical / grid)
    axes.plot(curve, grid * curve, color=style.color, linestyle=style.dashes, linewidth=1.1)
    if grid[0] < critical < grid[-1]:
        # At B = B_crit both are twice their least values.
        axes.plot(2 * one.steps_min.value, 2 * one.tokens_min.value, "+", color="black", markersize=9)


def has_critical_batch(study: BatchStudy | NoiseScaleStudy) -> bool:
    """Whether there is a point of `study` to draw: logarithmic axes without one cannot be."""
    if isinstance(study, BatchStudy):
        return any(one.critical_batch_tokens is not None for one in study.trade_offs)
    return any(window.noise_scale_tokens is not None for window in study.windows)


@styled
def critical_batches(studies: Sequence[BatchStudy], noises: Sequence[NoiseScaleStudy]) -> Figure:
    """B_crit against loss of every contender with its law; the gradient noise scale in open markers."""
    figure, (axes,) = new_figure(6.4, 4.0)
    names = list(dict.fromkeys(study.contender for study in (*studies, *noises)))
    for study in studies:
        style = style_of(names.index(study.contender))
        for one in study.trade_offs:
            found = one.critical_batch_tokens
            if found is not None:
                axes.plot([one.loss_nats] * 2, [found.low, found.high], color=style.color, linewidth=1.2)
                axes.plot(one.loss_nats, found.value, style.marker, color=style.color, markersize=6)
        axes.plot([], [], style.marker, color=style.color, label=f"{plain(study.contender)}: B_crit, batch scan")
        _law(axes, study, style.color)
    for noise in noises:
        style = style_of(names.index(noise.contender))
        for window in noise.windows:
            scale = window.noise_scale_tokens
            if scale is not None:
                axes.plot([window.loss_nats] * 2, [scale.low, scale.high], color=style.color, linewidth=0.6, alpha=0.6)
                axes.plot(
                    window.loss_nats, scale.value, style.marker, color=style.color, markersize=4,
                    markerfacecolor="white",
                )  # fmt: skip
        axes.plot(
            [], [], style.marker, color=style.color, markerfacecolor="white", markersize=4,
            label=f"{plain(noise.contender)}: gradient noise scale",
        )  # fmt: skip
    log_axes(axes, f"{LOSS}; training goes to the right", "batch (tokens)")
    axes.yaxis.set_major_formatter(lambda value, _: human_count(value))
    axes.invert_xaxis()
    axes.set_title("Critical batch against loss")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _law(axes: Axes, study: BatchStudy, color: str) -> None:
    if study.law.status is not FitStatus.OK:
        return
    losses = [one.loss_nats for one in study.trade_offs if one.critical_batch_tokens is not None]
    grid = np.geomspace(min(losses) / 1.05, max(losses) * 1.05, 60)
    text = f"$B_*/L^{{1/\\alpha_B}}$, $\\alpha_B$ = {number(study.law.params['alpha_B'])}"
    axes.plot(grid, CriticalBatch().predict(study.law.params, L=grid), color=color, linewidth=1.0, label=text)
