"""The figures of learning curves: L(N,S) and L(C_min).

Legend: N parameters without embeddings, B batch (tokens), S steps, C compute (FLOPs), L loss.
"""

import numpy as np
from matplotlib.figure import Figure

from archbench.analysis.laws.single import ComputeLaw
from archbench.analysis.planning.isoflop import efficient_points
from archbench.report.plotting import log_axes, new_figure, plain, style_of, styled
from archbench.report.words import number
from archbench.results.fits import FitStatus
from archbench.studies.figures import LOSS, by_size
from archbench.studies.learning_curves.results import LearningCurveStudy
from archbench.units import human_count


@styled
def steps(study: LearningCurveStudy) -> Figure:
    """Learning curves, and what is left of them above (N_c/N)^alpha_N against S_min: one line if L(N,S) holds."""
    corrected = study.critical_batch is not None
    figure, (left, right) = new_figure(9.2, 3.8, 1, 2)
    for index, (size, points) in enumerate(by_size(study.points).items()):
        style = style_of(index)
        S = np.array([point.steps for point in points])
        s = np.array([point.steps_min if point.steps_min is not None else point.steps for point in points])
        L = np.array([point.loss_nats for point in points])
        for run in dict.fromkeys(point.run_id for point in points):
            mine = np.array([point.run_id == run for point in points])
            left.plot(S[mine], L[mine], color=style.color, linestyle=style.dashes, linewidth=1.3)
        left.plot([], [], color=style.color, linestyle=style.dashes, label=f"N {human_count(size)}")
        if study.law.status is FitStatus.OK:
            rest = L - (study.law.params["N_c"] / size) ** study.law.params["alpha_N"]
            above = rest > 0
            right.plot(s[above], rest[above], style.marker, color=style.color, markersize=4, markerfacecolor="white")
    log_axes(left, "steps, S", LOSS, counts_below=1e12)
    left.set_title("Learning curves at constant batch")
    left.legend(fontsize=7)
    if study.law.status is FitStatus.OK:
        params = study.law.params
        everything = [point.steps_min or point.steps for point in study.points]
        grid = np.geomspace(min(everything), max(everything), 100)
        label = f"$(S_c/S_{{min}})^{{\\alpha_S}}$, $\\alpha_S$ = {number(params['alpha_S'])}"
        right.plot(grid, (params["S_c"] / grid) ** params["alpha_S"], color="black", linewidth=1.0, label=label)
        right.set_xscale("log")
        right.set_yscale("log")
        right.set_xlabel(r"$S_{min}$" if corrected else "S (not corrected)")
        right.set_ylabel(r"$L - (N_c/N)^{\alpha_N}$ (nats)")
        right.set_title(r"Collapsed by $S_{min}$" if corrected else "Collapsed by S")
        right.legend()
    else:
        right.text(0.5, 0.5, study.law.status.value, ha="center", transform=right.transAxes)
        right.set_axis_off()
    figure.suptitle(plain(study.contender), fontsize=11)
    return figure


@styled
def least_compute(study: LearningCurveStudy) -> Figure | None:
    """Loss against C as spent and against C_min, each with its law; None without C_min."""
    if study.critical_batch is None or not study.points:
        return None
    figure, panels = new_figure(9.2, 3.6, 1, 2)
    columns = (
        ("C = 6NBS (FLOPs)", [point.kaplan_flops for point in study.points], study.naive_compute_law),
        ("C_min (FLOPs)", [point.kaplan_flops_min or np.nan for point in study.points], study.compute_law),
    )
    L = np.array([point.loss_nats for point in study.points])
    for axes, (label, cost, law) in zip(panels, columns, strict=True):
        C = np.array(cost)
        for index, (size, points) in enumerate(by_size(study.points).items()):
            style = style_of(index)
            mine = np.array([point in points for point in study.points])
            order = np.argsort(C[mine])
            axes.plot(C[mine][order], L[mine][order], ".", color=style.color, markersize=3, alpha=0.7)
            axes.plot([], [], style.marker, color=style.color, markersize=4, label=f"N {human_count(size)}")
        chosen = efficient_points(C, L)
        axes.plot(C[chosen], L[chosen], color="0.55", linewidth=2.2, label="compute-efficient", zorder=1)
        if law.status is FitStatus.OK:
            grid = np.geomspace(C[chosen].min(), C[chosen].max(), 100)
            text = f"law, $\\alpha_C$ = {number(law.params['alpha_C'])}"
            axes.plot(grid, ComputeLaw().predict(law.params, C=grid), color="black", linewidth=1.0, label=text)
        log_axes(axes, label, LOSS, counts_below=1e12)
    panels[0].set_title("Compute as spent")
    panels[1].set_title("Compute at a batch far below critical")
    panels[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.suptitle(plain(study.contender), fontsize=11)
    return figure
