"""The figure of the audit: multipliers over the baseline, one row for each convention."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from archbench.analysis.frontier.audit import AS_FITTED, FrontierAuditRow
from archbench.report.plotting import new_figure, plain, styled
from archbench.report.words import known, number
from archbench.results.fits import FitStatus


@styled
def audit(rows: Sequence[FrontierAuditRow], contenders: Sequence[str]) -> Figure:
    """Multiplier over the baseline by variant, a panel for each contender; refused ones by their status."""
    variants = list(dict.fromkeys(row.variant for row in rows))
    columns = min(len(contenders), 3)
    lines = -(-len(contenders) // columns)
    figure, panels = new_figure(2.0 + 2.6 * columns, (0.8 + 0.21 * len(variants)) * lines + 0.3, lines, columns)
    for place, (panel, name) in enumerate(zip(panels, contenders, strict=False)):
        panel.axvline(1.0, color="0.5", linewidth=0.8)
        panel.set_xscale("log")
        own = {row.variant: row for row in rows if row.contender == name}
        for height, variant in enumerate(variants):
            row = own[variant]
            found = row.comparison.headline if row.comparison is not None else None
            readable = found is not None and found.status is FitStatus.OK
            difference = found.multiplier if found is not None and readable else None
            if difference is None:
                status = row.result.status
                panel.text(0.02, height, status.value, fontsize=7, color="0.4", va="center",
                           transform=panel.get_yaxis_transform(), zorder=5,
                           bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8})  # fmt: skip
                continue
            if variant == AS_FITTED and known(difference):
                panel.axvspan(difference.low, difference.high, color="0.92", linewidth=0)
            changed = row.same_conclusion is False
            color = "#d55e00" if changed else "#1b1b1b"
            if known(difference):
                panel.plot([difference.low, difference.high], [height] * 2, color=color, linewidth=1.4)
            panel.plot(difference.value, height, "s" if changed else "o", color=color, markersize=5,
                       markerfacecolor="white" if changed else color)  # fmt: skip
        panel.set_yticks(range(len(variants)), variants if place % columns == 0 else [""] * len(variants))
        panel.set_ylim(len(variants) - 0.5, -0.5)
        panel.set_title(plain(name))
        panel.set_xlabel("multiplier (above 1: needs less)")
        panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=5))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 2)))
        panel.xaxis.set_minor_formatter(NullFormatter())
    for panel in panels[len(contenders) :]:
        panel.set_visible(False)
    return figure
