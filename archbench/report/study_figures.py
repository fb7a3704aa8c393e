"""The figures of Kaplan et al. 2020 from studies' results alone: one function, one figure.

Legend: N parameters without embeddings, D tokens, B batch (tokens), S steps, E = B·S tokens, C compute (FLOPs), L loss.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from archbench.analysis.laws.kaplan import KaplanSizeData
from archbench.analysis.laws.single import ComputeLaw, DataLaw, SizeLaw
from archbench.analysis.planning.isoflop import efficient_points
from archbench.analysis.study_points import different_tokens
from archbench.report.labels import OWN, Labels
from archbench.report.plotting import AXIS_NAMES, log_axes, new_figure, plain, short_count, style_of, styled
from archbench.report.words import number
from archbench.results.fits import FitResult, FitStatus
from archbench.results.studies import (
    DataStudy,
    GridStudy,
    IsoflopStudy,
    LearningCurveStudy,
    SizeStudy,
    StudyPoint,
)
from archbench.units import human_count

LOSS = "validation loss (nats)"


@styled
def single_law(studies: Sequence[SizeStudy | DataStudy], labels: Labels = OWN) -> Figure:
    """Loss against N, or against D, of every contender, with its law."""
    figure, (axes,) = new_figure(5.4, 3.8)
    sizes = isinstance(studies[0], SizeStudy)
    for index, study in enumerate(studies):
        style = style_of(index)
        x = np.array([point.non_embedding_params if sizes else different_tokens(point) for point in study.points])
        loss = [point.loss_nats for point in study.points]
        axes.plot(x, loss, style.marker, color=style.color, markerfacecolor="white", markersize=5)
        axes.plot([], [], color=style.color, linestyle=style.dashes, marker=style.marker, label=_named(study))
        if (law_drawn := _drawn(study)).status is FitStatus.OK:
            grid = np.geomspace(x.min() / 1.3, x.max() * 1.3, 100)
            law = (SizeLaw if sizes else DataLaw)().predict(law_drawn.params, **{"N" if sizes else "D": grid})
            axes.plot(grid, law, color=style.color, linestyle=style.dashes, linewidth=1.3)
    axes.set_title("Loss against size" if sizes else "Lowest loss against data")
    across = f"parameters {labels.params}, N" if sizes else "different training tokens, D"
    log_axes(axes, across, f"validation loss ({labels.nats})", counts_below=1e12)
    axes.legend()
    return figure


def _drawn(study: SizeStudy | DataStudy) -> FitResult:
    """The law above a floor where the runs tell one, else the one without."""
    return study.law_with_floor if study.law_with_floor.status is FitStatus.OK else study.law


def _named(study: SizeStudy | DataStudy) -> str:
    letter = "N" if isinstance(study, SizeStudy) else "D"
    law = _drawn(study)
    if law.status is not FitStatus.OK:
        return f"{plain(study.contender)}: {law.status.value}"
    floor = f"{number(law.params['E'])} + " if "E" in law.params else ""
    exponent = number(law.params[f"alpha_{letter}"])
    return f"{plain(study.contender)}: ${floor}({letter}_c/{letter})^{{\\alpha}}$, $\\alpha$ = {exponent}"


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
    _counts(left, "parameters without embeddings, N", "different tokens, D")
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


@styled
def steps(study: LearningCurveStudy) -> Figure:
    """Learning curves, and what is left of them above (N_c/N)^alpha_N against S_min: one line if L(N,S) holds."""
    corrected = study.critical_batch is not None
    figure, (left, right) = new_figure(9.2, 3.8, 1, 2)
    by_size = _by_size(study.points)
    for index, (size, points) in enumerate(by_size.items()):
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
        for index, (size, points) in enumerate(_by_size(study.points).items()):
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
    _counts(right, AXIS_NAMES[study.cost_axis], "parameters or tokens")
    right.set_title("Best size and data by the parabolas")
    if found:
        right.legend()
    figure.suptitle(plain(study.contender), fontsize=11)
    return figure


def _by_size(points: Sequence[StudyPoint]) -> dict[int, list[StudyPoint]]:
    sizes = sorted({point.non_embedding_params for point in points})
    return {size: [point for point in points if point.non_embedding_params == size] for size in sizes}


def _counts(axes: Axes, xlabel: str, ylabel: str) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
