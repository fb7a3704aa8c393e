"""The figures of a transfer study, after those of Hernandez et al. 2021. Each draws one figure from results alone."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from archbench.analysis.laws.transfer import DataTransferred
from archbench.report.plotting import AXIS_LABELS, new_figure, plain, style_of, styled
from archbench.report.words import known, number
from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis
from archbench.studies.transfer.results import Censoring, CostFrontier, DirectionResult, FrontierKind, TransferCell
from archbench.studies.transfer.text import bounds, range_text
from archbench.units import counted, human_count

_PANELS = 3
_KIND_STYLES = {FrontierKind.SCRATCH: 0, FrontierKind.FINETUNE: 2, FrontierKind.FINETUNE_ALL: 1}


@styled
def direction(one: DirectionResult) -> Figure:
    """Effective data, D_T with its law, fraction of effective data, and forgetting where it was measured."""
    panels_needed = 4 if one.forgetting else 3
    figure, panels = new_figure(3.6 * panels_needed if panels_needed == 3 else 8.4, 3.6 if panels_needed == 3 else 6.8,
                                1 if panels_needed == 3 else 2, 3 if panels_needed == 3 else 2)  # fmt: skip
    _effective(panels[0], one)
    _transferred(panels[1], one)
    _fraction(panels[2], one)
    if one.forgetting:
        _forgetting(panels[3], one)
    figure.suptitle(f"{plain(one.contender)}: {plain(one.name)}", fontsize=11)
    return figure


def _effective(axes: Axes, one: DirectionResult) -> None:
    for curve in one.scratch:
        style = style_of(curve.size_index)
        axes.plot(
            [point.tokens for point in curve.points],
            [point.loss_nats for point in curve.points],
            color=style.color,
            marker=style.marker,
            markersize=4,
            linewidth=1.2,
            label=f"N {human_count(curve.non_embedding_params)}",
        )
        tuned = [cell for cell in one.cells if cell.size_index == curve.size_index]
        axes.plot(
            [cell.finetune_tokens for cell in tuned],
            [cell.loss_nats for cell in tuned],
            color=style.color,
            marker=style.marker,
            markersize=4,
            linewidth=1.0,
            linestyle=(0, (2, 2)),
            markerfacecolor="white",
        )
    _log(axes, "x", "y")
    _reading(axes, one)
    axes.set_xlabel("unique target tokens, D or D_F")
    axes.set_ylabel("best validation loss (nats per token)")
    axes.set_title("From scratch (filled), fine-tuned (open)")
    axes.legend(loc="upper right")


def _reading(axes: Axes, one: DirectionResult) -> None:
    """How D_E is read, on the cell where it is furthest from D_F of those that are not censored."""
    shown = [cell for cell in one.cells if cell.censored is Censoring.NONE and cell.multiplier.value > 1.5]
    if not shown:
        return
    cell = max(shown, key=lambda cell: cell.multiplier.value)
    axes.annotate(
        "",
        (cell.effective_tokens.value, cell.loss_nats),
        (cell.finetune_tokens, cell.loss_nats),
        arrowprops={"arrowstyle": "->", "color": "0.35", "linewidth": 1.0},
    )
    middle = float(np.sqrt(cell.effective_tokens.value * cell.finetune_tokens))
    axes.annotate("D_T", (middle, cell.loss_nats), textcoords="offset points", xytext=(0, 4), fontsize=8, color="0.35",
                  ha="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip


def _transferred(axes: Axes, one: DirectionResult) -> None:
    negative = 0
    for curve in one.scratch:
        style = style_of(curve.size_index)
        for cell in one.cells:
            if cell.size_index != curve.size_index:
                continue
            if cell.transferred_tokens.value <= 0:
                negative += 1
                continue
            _mark(axes, cell, cell.transferred_tokens, one, bound="^")
        _law_line(axes, one, curve.non_embedding_params, style.color)
    _log(axes, "x", "y")
    axes.set_xlabel("fine-tuning tokens D_F")
    axes.set_ylabel("D_T (tokens)")
    law = one.law
    title = "Effective data transferred, D_T"
    if law.status is FitStatus.OK:
        p = law.params
        title = f"D_T = {p['k']:.2g}·D_F^{p['alpha']:.2f}·N^{p['beta']:.2f}"
    axes.set_title(title + (f"; {negative} not positive" if negative else ""))
    axes.plot([], [], "o", color="0.4", markersize=4, label="low data")
    axes.plot([], [], "o", color="0.4", markersize=4, markerfacecolor="white", label="beyond, or regime unknown")
    axes.plot([], [], "^", color="0.4", markersize=6, label="at least (censored)")
    # Below the axes: bars reach everywhere above.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, fontsize=7, columnspacing=1.0)


def _law_line(axes: Axes, one: DirectionResult, params: int, color: str) -> None:
    if one.law.status is not FitStatus.OK:
        return
    tokens = [cell.finetune_tokens for cell in one.cells]
    ends = np.array([min(tokens), max(tokens)], dtype=float)
    axes.plot(ends, DataTransferred().predict(one.law.params, D_F=ends, N=params), color=color, linewidth=0.9)


def _beside(cell: TransferCell, one: DirectionResult) -> float:
    """Where a cell is drawn: sizes at the same D_F stand side by side about it."""
    sizes = [curve.size_index for curve in one.scratch]
    return float(cell.finetune_tokens * 1.06 ** (sizes.index(cell.size_index) - (len(sizes) - 1) / 2))


def _mark(axes: Axes, cell: TransferCell, value: Interval, one: DirectionResult, *, bound: str) -> None:
    """A value with its interval; a censored one as an arrow head at its bound."""
    style, x = style_of(cell.size_index), _beside(cell, one)
    color, marker = style.color, style.marker
    if cell.censored is not Censoring.NONE:
        axes.plot(x, value.value, bound, color=color, markersize=6)
        return
    if known(value):
        low, high = value.low, value.high
        top = high if np.isfinite(high) else value.value * 3
        axes.plot([x] * 2, [max(low, value.value / 30), top], color=color, linewidth=0.9, alpha=0.7)
    face = color if cell.low_data else "white"
    axes.plot(x, value.value, marker, color=color, markersize=5, markerfacecolor=face)


def _fraction(axes: Axes, one: DirectionResult) -> None:
    axes.axhline(1.0, color="0.5", linewidth=0.8)
    for curve in one.scratch:
        style = style_of(curve.size_index)
        cells = [cell for cell in one.cells if cell.size_index == curve.size_index]
        axes.plot(
            [_beside(cell, one) for cell in cells],
            [cell.fraction.value for cell in cells],
            color=style.color,
            linewidth=0.8,
            linestyle=style.dashes,
        )
        for cell in cells:
            _mark(axes, cell, cell.fraction, one, bound="v")
    _log(axes, "x", "y")
    axes.set_xlabel("fine-tuning tokens D_F")
    axes.set_ylabel("fraction from fine-tuning, D_F/D_E")
    axes.set_title("Above 1: pre-training hurts (ossification)")


def _forgetting(axes: Axes, one: DirectionResult) -> None:
    axes.axhline(0.0, color="0.5", linewidth=0.8)
    for size in dict.fromkeys(point.size_index for point in one.forgetting):
        style = style_of(size)
        points = [point for point in one.forgetting if point.size_index == size]
        tokens = [point.finetune_tokens for point in points]
        axes.plot(tokens, [point.rise_nats.value for point in points], color=style.color, marker=style.marker,
                  markersize=4, linewidth=1.0, linestyle=style.dashes)  # fmt: skip
        for point in points:
            if known(point.rise_nats):
                axes.plot([point.finetune_tokens] * 2, [point.rise_nats.low, point.rise_nats.high],
                          color=style.color, linewidth=0.9)  # fmt: skip
    _log(axes, "x")
    axes.set_xlabel("fine-tuning tokens D_F")
    axes.set_ylabel("rise of the loss on the source (nats)")
    axes.set_title(f"Forgetting of {plain(one.source)}")


@styled
def compute(one: DirectionResult, axis: CostAxis) -> Figure | None:
    """Loss against compute at few, some and much target data; None where nothing was trained both ways."""
    mine = [frontier for frontier in one.frontiers if frontier.cost_axis is axis]
    amounts = sorted({frontier.target_tokens for frontier in mine})
    if not amounts:
        return None
    chosen = [amounts[round(index)] for index in np.linspace(0, len(amounts) - 1, min(_PANELS, len(amounts)))]
    figure, panels = new_figure(1.2 + 2.9 * len(chosen), 3.7, 1, len(chosen))
    for panel, tokens in zip(panels, chosen, strict=True):
        for frontier in mine:
            if frontier.target_tokens == tokens:
                _staircase(panel, frontier)
        _log(panel, "x", "y")
        panel.set_title(f"{human_count(tokens)} target tokens")
        panel.set_xlabel(AXIS_LABELS[axis], fontsize=7)
    panels[0].set_ylabel("validation loss (nats per token)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _staircase(axes: Axes, frontier: CostFrontier) -> None:
    style = style_of(_KIND_STYLES[frontier.kind])
    axes.plot([point.cost for point in frontier.points], [point.loss_nats for point in frontier.points],
              color=style.color, linestyle=style.dashes, marker=style.marker, markersize=3.5, linewidth=1.2,
              drawstyle="steps-post", label=frontier.kind.value)  # fmt: skip


@styled
def ossification(directions: Sequence[DirectionResult]) -> Figure:
    """D_E/D_F by size and D_F, a panel for each direction; framed where the sign is told apart."""
    columns = min(len(directions), 3)
    rows = -(-len(directions) // columns)
    largest = max(len({cell.size_index for cell in one.cells}) for one in directions)
    figure, panels = new_figure(1.0 + 3.4 * columns, (1.3 + 0.42 * largest) * rows, rows, columns)
    for panel, one in zip(panels, directions, strict=False):
        _map(panel, one)
    for panel in panels[len(directions) :]:
        panel.set_visible(False)
    return figure


def _map(axes: Axes, one: DirectionResult) -> None:
    sizes = sorted({(cell.size_index, cell.non_embedding_params) for cell in one.cells})
    tokens = sorted({cell.finetune_tokens for cell in one.cells})
    signs = {Censoring.NONE: "", Censoring.ABOVE: ">", Censoring.BELOW: "<"}
    grid = np.full((len(sizes), len(tokens)), np.nan)
    reach = _reach([cell.multiplier.value for cell in one.cells])
    for cell in one.cells:
        row = [size for size, _ in sizes].index(cell.size_index)
        column = tokens.index(cell.finetune_tokens)
        grid[row, column] = np.log2(cell.multiplier.value)
        mark = {"transfer": "", "ossification": "!", "not told apart": "~"}[cell.effect.value]
        dark = abs(grid[row, column]) > 0.6 * reach
        text = f"{signs[cell.censored]}{number(cell.multiplier.value, 2)}{mark}"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    axes.imshow(grid, cmap="PuOr", vmin=-reach, vmax=reach, aspect="auto", origin="lower")
    axes.set_xticks(range(len(tokens)), [human_count(value) for value in tokens], fontsize=7, rotation=30)
    axes.set_yticks(range(len(sizes)), [human_count(params) for _, params in sizes], fontsize=7)
    axes.set_xlabel("D_F")
    axes.set_ylabel("N")
    axes.set_title(f"{plain(one.name)}: D_E/D_F")


@styled
def matrix(directions: Sequence[DirectionResult]) -> Figure:
    """Geometric mean of D_E/D_F for each source and target, each over the cells whose interval lies within the data."""
    sources = list(dict.fromkeys(one.source for one in directions))
    targets = list(dict.fromkeys(one.target for one in directions))
    figure, (axes,) = new_figure(2.2 + 1.15 * len(targets), 1.5 + 0.6 * len(sources))
    grid = np.full((len(sources), len(targets)), np.nan)
    reach = _reach([one.mean_multiplier.value for one in directions if one.mean_multiplier is not None])
    for one in directions:
        row, column = sources.index(one.source), targets.index(one.target)
        mean = one.mean_multiplier
        if mean is None:
            axes.text(column, row, _bound_words(one), ha="center", va="center", fontsize=7)
            continue
        grid[row, column] = np.log2(mean.value)
        span = f"\n[{number(mean.low, 2)}, {number(mean.high, 2)}]" if known(mean) else ""
        axes.text(column, row, f"{number(mean.value)}{span}", ha="center", va="center", fontsize=8,
                  color="white" if abs(grid[row, column]) > 0.6 * reach else "black")  # fmt: skip
    axes.imshow(grid, cmap="PuOr", vmin=-reach, vmax=reach, aspect="auto")
    axes.set_xticks(range(len(targets)), [plain(one) for one in targets])
    axes.set_yticks(range(len(sources)), [plain(one) for one in sources])
    axes.set_xlabel("target")
    axes.set_ylabel("source")
    axes.set_title("D_E/D_F: geometric mean [95 %], or bounds")
    return figure


def _bound_words(one: DirectionResult) -> str:
    """What is known where there is no mean: the bounds of single pairs of N and D_F, and at how many."""
    said = [
        f"{sign} {range_text(found)}\nat {counted(len(found), 'pair')}"
        for sign, found in zip("≥≤", bounds(one), strict=True)
        if found
    ]
    return "\n".join(said) or "not known"


def _reach(multipliers: Sequence[float]) -> float:
    """Half the width of the colour scale of log2 D_E/D_F, at least a factor 4 either way."""
    return max([2.0, *(abs(float(np.log2(value))) for value in multipliers)])


def _log(axes: Axes, *which: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    texts: dict[str, Callable[[float, object], str]] = {
        "x": lambda value, _: human_count(value),
        "y": lambda value, _: f"{value:g}" if value < 1000 else human_count(value),
    }
    for name in which:
        getattr(axes, f"set_{name}scale")("log")
        low, high = getattr(axes, f"get_{name}lim")()
        axis = getattr(axes, f"{name}axis")
        if high / low < 4:
            # Less than a decade holds too few round powers: round steps instead.
            ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
            axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
        elif high / low < 1000:
            subs = (1, 2, 3, 5) if high / low < 12 else (1, 2, 5) if high / low < 60 else (1, 3)
            axis.set_major_locator(LogLocator(subs=subs))
        axis.set_major_formatter(FuncFormatter(texts[name]))
        axis.set_minor_formatter(NullFormatter())
