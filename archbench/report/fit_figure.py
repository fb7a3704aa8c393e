"""The figure of one fit: measured points, the law through them, and what is left over.

Legend: N parameters, D tokens, C compute, L loss.
"""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.power_sum import Array
from archbench.errors import SpecError
from archbench.names import file_stem
from archbench.report.plotting import new_figure, plain, png_bytes, style_of, styled, svg_bytes
from archbench.units import human_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMS = {".png": png_bytes, ".svg": svg_bytes}
_MAX_LINES = 8
"""Lines of a law of two variables; with more, the legend would hide the points."""
_LABELS = {
    "N": "parameters N",
    "D": "tokens D",
    "C": "compute C",
    "S": "steps S",
    "L": "loss L",
    "B": "critical batch B (tokens)",
    "D_F": "fine-tuning tokens D_F",
    "D_T": "effective data transferred D_T",
}


def numbered(path: Path, arch: str, count: int) -> Path:
    """Where the figure of one of `count` architectures goes."""
    return path if count == 1 else path.with_name(f"{path.stem}_{file_stem(arch)}{path.suffix}")


def check_form(path: Path) -> None:
    """Raises SpecError where `path` is no figure's name, or its folder is missing."""
    if path.suffix.lower() not in _FORMS:
        raise SpecError(f"--plot {path}: figures are {' or '.join(_FORMS)}; name the file so")
    if not path.parent.is_dir():
        raise SpecError(f"--plot {path}: there is no folder {path.parent}")


def draw_fit(path: Path, fit: LawFit, *, title: str = "", loss_unit: str) -> None:
    """Stores the figure of `fit` as `path`: points alone where the fit may not be read."""
    path.write_bytes(_FORMS[path.suffix.lower()](fit_figure(fit, title=title, loss_unit=loss_unit)))


@styled
def fit_figure(fit: LawFit, *, title: str = "", loss_unit: str) -> "Figure":
    """Points, the law through them and what is left over: points alone where the fit may not be read."""
    figure, panels = new_figure(6.4, 5.6 if fit.ok else 4.2, rows=2 if fit.ok else 1)
    above, below = panels[0], panels[-1]
    across, groups = _across(fit), _groups(fit)
    response = np.exp(fit.points.observed)
    for number, (label, chosen) in enumerate(groups):
        style = style_of(number)
        marks: dict[str, Any] = {"color": style.color, "marker": style.marker, "s": 14, "linewidths": 0.6}
        above.scatter(across[chosen], response[chosen], label=label, **marks)
        if fit.ok:
            line, value = _line(fit, chosen)
            above.plot(line, value, color=style.color, linestyle=style.dashes, linewidth=1.0)
            missed = np.expm1(fit.points.observed - np.log(_predicted(fit)))
            below.scatter(across[chosen], 100.0 * missed[chosen], **marks)
    name = f"{plain(title)}: {fit.result.law}" if title else fit.result.law
    status = "" if fit.ok else f" ({fit.result.status.value}: no law is drawn)"
    above.set_title(name + status)
    for axes in panels:
        axes.set_xscale("log")
    if fit.ok:
        _residuals(above, below)
    above.set_yscale("log")
    _plain_ticks(above)
    above.set_ylabel(_LABELS[fit.law.response] + (f" ({loss_unit})" if fit.law.response == "L" else ""))
    below.set_xlabel(_x_label(fit))
    if len(groups) > 1:
        above.legend(title=_group_title(fit), ncols=1 if len(groups) < 5 else 2)
    return figure


def _residuals(above: "Axes", below: "Axes") -> None:
    """The lower panel of a law: a third as high, on the axis of the upper one."""
    if (rows := above.get_gridspec()) is not None:
        rows.set_height_ratios([3, 1])
    above.tick_params(which="both", labelbottom=False)
    below.sharex(above)
    below.axhline(0.0, color="#7f7f7f", linewidth=0.8)
    below.set_ylabel("measured\nless law (%)")


def _x_label(fit: LawFit) -> str:
    if fit.law.variables == ("N", "D"):
        return "compute 6·N·D (FLOPs)"
    return _LABELS[fit.law.variables[-1]]


def _group_title(fit: LawFit) -> str:
    return _LABELS[fit.law.variables[0]]


def _variables(fit: LawFit) -> Array:
    return np.asarray(np.exp(fit.points.logs + fit.points.centre[:, None]))


def _across(fit: LawFit) -> Array:
    """What lies on the horizontal axis: compute where the law has N and D, else its last variable."""
    values = _variables(fit)
    return np.asarray(6.0 * values.prod(axis=0) if fit.law.variables == ("N", "D") else values[-1])


def _groups(fit: LawFit) -> list[tuple[str, np.ndarray]]:
    """Points by their first variable where there are two: single values where these are few, else bands of it."""
    values = _variables(fit)
    if len(values) == 1:
        return [("", np.arange(values.shape[1]))]
    logs = np.round(np.log(values[0]), 6)
    levels = np.unique(logs)
    if len(levels) <= _MAX_LINES:
        return [(human_count(round(float(np.exp(level)))), np.flatnonzero(logs == level)) for level in levels]
    edges = np.linspace(logs.min(), logs.max() + 1e-6, _MAX_LINES + 1)
    bands = [np.flatnonzero((logs >= low) & (logs < high)) for low, high in pairwise(edges)]
    return [(_band(values[0][chosen]), chosen) for chosen in bands if len(chosen)]


def _band(values: Array) -> str:
    low, high = (human_count(round(float(end))) for end in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _line(fit: LawFit, chosen: np.ndarray) -> tuple[Array, Array]:
    """The law at the group's middle first variable, over its span of the last one."""
    logs = fit.points.logs[:, chosen]
    last = np.linspace(logs[-1].min(), logs[-1].max(), 100)
    at = np.repeat(np.median(logs, axis=1, keepdims=True), 100, axis=1)
    at[-1] = last
    value = np.exp(fit.law.design(at).value(fit.theta[None, :])[0])
    values = np.exp(at + fit.points.centre[:, None])
    across = 6.0 * values.prod(axis=0) if fit.law.variables == ("N", "D") else values[-1]
    return np.asarray(across), np.asarray(value)


def _predicted(fit: LawFit) -> Array:
    return np.asarray(np.exp(fit.design().value(fit.theta[None, :])[0]))


def _plain_ticks(axes: "Axes") -> None:
    """A few plain numbers: a loss spans less than a decade, where a logarithmic axis has few marks or too many."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    low, high = axes.get_ylim()
    ticks = [tick for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
    if high < 100.0 * low and len(ticks) > 1:
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
