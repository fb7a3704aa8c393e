"""The figure of tuning: loss against peak rate, a panel for each size."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from archbench.analysis.frontier.tuning import TunedSize
from archbench.report.plotting import new_figure, plain, style_of, styled
from archbench.report.words import number
from archbench.results.runs import size_number
from archbench.units import human_count


@styled
def tuning(sizes: Sequence[TunedSize], contenders: Sequence[str]) -> Figure:
    """Final loss of each trial by rate: the last rung bold, earlier ones pale, the choice ringed, crosses diverged."""
    indices = sorted({size.size_index for size in sizes})
    columns = min(len(indices), 5)
    lines = -(-len(indices) // columns)
    figure, panels = new_figure(1.0 + 2.2 * columns, 0.6 + 2.0 * lines, lines, columns)
    for panel, size_index in zip(panels, indices, strict=False):
        here = [size for size in sizes if size.size_index == size_index]
        for size in here:
            style = style_of(list(contenders).index(size.contender))
            last = max(one.rung for one in size.trials)
            for rung in range(last + 1):
                runs = sorted((one for one in size.trials if one.rung == rung), key=lambda one: one.rate)
                done = [(one.rate, one.loss_nats) for one in runs if one.loss_nats is not None]
                panel.plot(
                    [rate for rate, _ in done],
                    [loss for _, loss in done],
                    color=style.color,
                    linestyle=style.dashes,
                    marker=style.marker,
                    markersize=4,
                    linewidth=1.2,
                    alpha=1.0 if rung == last else 0.35,
                    label=plain(size.contender) if rung == last else None,
                )
                for one in runs:
                    if one.loss_nats is None:
                        panel.plot(one.rate, 0.97, "x", color=style.color, transform=panel.get_xaxis_transform())
                    elif rung == last and one.rate == size.rate:
                        panel.plot(one.rate, one.loss_nats, "o", color=style.color, markersize=10, fillstyle="none")
        panel.set_xscale("log")
        rates = sorted({one.rate for size in here for one in size.trials})
        shown = (rates[0], rates[len(rates) // 2], rates[-1])
        panel.set_xticks(shown, [number(rate, 2) for rate in shown])
        panel.set_xticks([], minor=True)
        panel.set_title(f"size {size_number(size_index)}, N {human_count(here[0].non_embedding_params)}")
        panel.set_xlabel("peak learning rate")
    panels[0].set_ylabel("final loss (nats per token)")
    panels[0].legend()
    for panel in panels[len(indices) :]:
        panel.set_visible(False)
    return figure
