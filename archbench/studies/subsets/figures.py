"""The figure of L(N,D).

Legend: N parameters without embeddings, D tokens, L loss.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archbench.analysis.laws.kaplan import KaplanSizeData
from archbench.report.plotting import new_figure, plain, style_of, styled
from archbench.results.fits import FitStatus
from archbench.studies.figures import LOSS, label_counts
from archbench.studies.points import different_tokens
from archbench.studies.subsets.results import GridStudy
from archbench.units import human_count


@styled
def overfitting(study: GridStudy) -> Figure:
    """L(N,D): contours with the runs on them, and the loss that too little data costs, collapsed on N^r/D."""
    figure, (left, right) = new_figure(9.2, 3.9, 1, 2)
    N = np.array([point.non_embedding_params for point in study.points], dtype=float)
    D = np.array([different_tokens(point) for point in study.points])
    L = np.array([point.loss_nats for point in study.points])
    law = KaplanSizeData()
    readable = study.law.status is FitStatus.OK
    if readable:
        n, d = np.geomspace(N.min() / 1.2, N.max() * 1.2, 80), np.geomspace(D.min() / 1.2, D.max() * 1.2, 80)
        mesh_n, mesh_d = np.meshgrid(n, d)
        surface = law.predict(study.law.params, N=mesh_n.ravel(), D=mesh_d.ravel()).reshape(mesh_n.shape)
        levels = np.geomspace(surface.min(), surface.max(), 9)[1:-1]
        drawn = left.contour(mesh_n, mesh_d, surface, levels=levels, colors="0.35", linewidths=0.9)
        left.clabel(drawn, fmt=lambda value: f"{value:.3g}", fontsize=7)
        if study.overfitting_factor is not None and study.overfitting_exponent is not None:
            needed = study.overfitting_factor.value * n**study.overfitting_exponent.value
            inside = (needed > d[0]) & (needed < d[-1])
            label = f"{100 * study.overfitting_level:.0f} % above infinite data"
            left.plot(n[inside], needed[inside], color="#d55e00", linestyle=(0, (6, 2)), linewidth=1.8, label=label)
    shown = left.scatter(N, D, c=L, cmap="gray", edgecolors="black", linewidths=0.7, s=34, zorder=3)
    figure.colorbar(shown, ax=left, label=LOSS)
    left.set_xscale("log")
    left.set_yscale("log")
    label_counts(left, "parameters without embeddings, N", "different tokens, D")
    left.set_title("L(N,D): contours of the law, runs")
    if left.get_legend_handles_labels()[1]:
        left.legend(loc="lower left", bbox_to_anchor=(0.0, -0.32))
    _collapse(right, study, (N, D, L), readable)
    figure.suptitle(plain(study.contender), fontsize=11)
    return figure


def _collapse(axes: Axes, study: GridStudy, runs: tuple[np.ndarray, np.ndarray, np.ndarray], readable: bool) -> None:
    """The excess over infinite data against N^r/D (Kaplan et al. 2020, figure 9, right)."""
    N, D, L = runs
    if not readable:
        axes.text(0.5, 0.5, study.law.status.value, ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    params = study.law.params
    ratio = params["alpha_N"] / params["alpha_D"]
    infinite = (params["N_c"] / N) ** params["alpha_N"]
    x, excess = N**ratio / D, L / infinite - 1.0
    for index, size in enumerate(np.unique(N)):
        style, mine = style_of(index), size == N
        axes.plot(
            x[mine], excess[mine], style.marker, color=style.color, markersize=5, label=f"N {human_count(size)}",
            markerfacecolor="white",
        )  # fmt: skip
    grid = np.geomspace(x.min(), x.max(), 100)
    inside = params["D_c"] / params["N_c"] ** ratio * grid
    axes.plot(grid, np.expm1(params["alpha_D"] * np.log1p(inside)), color="black", linewidth=1.0)
    axes.axhline(study.overfitting_level, color="0.5", linestyle=(0, (2, 2)), linewidth=0.9)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=study.overfitting_level / 2)
    axes.set_xlabel(f"$N^{{{ratio:.2f}}}/D$")
    axes.set_ylabel(r"$L(N,D)/L(N,\infty) - 1$")
    axes.set_title("What too little data costs")
    axes.legend(fontsize=7)
