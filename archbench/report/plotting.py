"""How every figure looks and is stored: legible in grey, vector and bitmap, the same bytes for the same numbers."""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from archbench.display import markdown_cell, markdown_text
from archbench.durable import write_whole
from archbench.results.runs import CostAxis
from archbench.units import human_count

if TYPE_CHECKING:
    # Matplotlib takes a third of a second; every command that only knows of report sections would wait for it.
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

AXIS_LABELS = {
    CostAxis.KAPLAN: "training compute 6ND (FLOPs, N without embeddings)",
    CostAxis.EXACT: "training compute executed (FLOPs)",
    CostAxis.DEVICE_SECONDS: "time in training steps (device seconds)",
    CostAxis.PROCESSOR_SECONDS: "processor time in training steps (processor seconds)",
}
AXIS_NAMES = {
    CostAxis.KAPLAN: "6ND FLOPs",
    CostAxis.EXACT: "executed FLOPs",
    CostAxis.DEVICE_SECONDS: "device seconds",
    CostAxis.PROCESSOR_SECONDS: "processor seconds",
}
DATA = "data"
"""Folder of the data tables beside a report."""
LOSS_LABEL = "validation loss (nats per predicted token)"


@dataclass(frozen=True, slots=True)
class Style:
    """How one contender is drawn: hue for the screen; lightness, dashes and marker for a print in grey."""

    color: str
    dashes: str | tuple[int, tuple[int, ...]]
    marker: str


_STYLES = (
    Style("#1b1b1b", "-", "o"),
    Style("#d55e00", (0, (6, 2)), "s"),
    Style("#0072b2", (0, (2, 1)), "^"),
    Style("#009e73", (0, (6, 2, 1, 2)), "D"),
    Style("#cc79a7", (0, (1, 1)), "v"),
    Style("#8a6d00", (0, (4, 1, 1, 1, 1, 1)), "P"),
    Style("#56b4e9", (0, (8, 3)), "X"),
    Style("#7f7f7f", (0, (3, 3)), "*"),
)

FAMILY = "DejaVu Sans"
"""Comes with matplotlib."""

_SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "archbench",
    "svg.fonttype": "path",
    "font.family": FAMILY,
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.dpi": 100.0,
    "savefig.dpi": 150.0,
    "path.simplify": False,
}


_COARSE = (1.0, 2.0, 5.0)
_MIDDLING = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
_DENSE = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0, 8.0, 9.0)
"""Ticks in each decade of a logarithmic axis: of a long one, and of one that spans a factor of four at most."""
_LEAST_TICKS = 3
_LABEL_LETTERS = 40
"""Letters of a name that a figure has room for."""

_PLACES = re.compile(rb'(?<= d=")[^"]*|(?<= [xy]=")[^"]*|translate\([^)]*\)')
"""Where an SVG holds coordinates: paths, marks, and the origins of texts."""
_LONG = re.compile(rb"-?\d+\.\d{3,}")


def plain(text: str) -> str:
    """`text` as a figure shows it letter by letter: no formula between dollars, nothing that legends leave out.

    Long text loses its middle: it would take the room of what is drawn.
    """
    if len(text) > _LABEL_LETTERS:
        text = f"{text[: _LABEL_LETTERS - 17]}…{text[-16:]}"
    return (" " * text.startswith("_") + text).replace("$", r"\$")


def style_of(index: int) -> Style:
    """The style of contender number `index`; the baseline is 0."""
    return _STYLES[index % len(_STYLES)]


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """`draw` under the settings that all figures share; matplotlib's own stay as they are."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib

        with matplotlib.rc_context(_SETTINGS):  # type: ignore[arg-type]  # its stubs list every key
            return draw(*args, **kwargs)

    return drawn


def placed_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """As `new_figure`, with room for labels of known size left beforehand: measuring them takes half of a drawing.

    For axes of losses against costs or tokens whose legends stand inside, and annotations that may end outside.
    """
    from matplotlib.figure import Figure

    left, right, bottom, top = 0.62, 0.36, 0.5, 0.3
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(rows, columns, squeeze=False)
    own_width, own_height = (width - left - right) / columns - left, (height - bottom - top) / rows - bottom
    figure.subplots_adjust(
        left=left / width,
        right=1.0 - right / width,
        bottom=bottom / height,
        top=1.0 - top / height,
        wspace=left / max(own_width, 0.1),
        hspace=(bottom + top) / max(own_height, 0.1),
    )
    return figure, list(axes.ravel())


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> "tuple[Figure, list[Axes]]":
    """A figure of `width` × `height` inches with its axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def labelled_figure(width: float, height: float, margin: float, lines_below: int = 0) -> "tuple[Figure, Axes]":
    """A figure whose axes are `height` inches high, with `margin` inches for labels to their right; titled.

    lines_below: that the name of the horizontal axis has beside its first.
    """
    from matplotlib.figure import Figure

    left, bottom, top = 0.68, 0.5 + 0.17 * lines_below, 0.36
    figure = Figure(figsize=(width + margin, height + bottom + top))
    axes = figure.add_axes((
        left / (width + margin),
        bottom / (height + bottom + top),
        (width - left) / (width + margin),
        height / (height + bottom + top),
    ))  # fmt: skip
    return figure, axes


def log_cost_axis(axes: "Axes", label: str, *, counts_below: float = 1e9) -> None:
    """The horizontal axis in logarithms, named, with ticks that a narrow range still shows; as `log_axes` has it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    left, right = axes.get_xlim()
    if right / left < 100:
        axes.xaxis.set_major_locator(LogLocator(subs=_COARSE))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value, counts_below)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def log_multiplier_axis(axes: "Axes", low: float, high: float) -> None:
    """The vertical axis from `low` to `high` in logarithms, with ticks that its range lets be read."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.set_ylim(low, high)
    subs = _COARSE if high / low > 30 else _MIDDLING if high / low > 3 else _DENSE
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def log_axes(axes: "Axes", xlabel: str, ylabel: str, *, counts_below: float = 1e9) -> None:
    """Both axes in logarithms, named, with ticks that a narrow range still shows.

    counts_below: up to where the horizontal axis counts as people do, `200k`; from there on `5e11`.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    ticks = LogLocator(subs=_COARSE if high / low > 4 else _DENSE)
    axes.yaxis.set_major_locator(ticks)
    if sum(low <= tick <= high for tick in ticks.tick_values(low, high)) < _LEAST_TICKS:
        axes.yaxis.set_major_locator(FixedLocator(MaxNLocator(5).tick_values(low, high)))
        axes.set_ylim(low, high)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    log_cost_axis(axes, xlabel, counts_below=counts_below)
    axes.set_ylabel(ylabel)


def short_count(value: float, counts_below: float = 1e12) -> str:
    """A number on an axis: `30`, `200k`, and from `counts_below` on `5e11`."""
    if value < counts_below:
        return human_count(value)
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


@styled
def svg_bytes(figure: "Figure") -> bytes:
    """The figure as SVG; no date and no random ids in it, a path on one line, coordinates to 0.01 points."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    thinned = _PLACES.sub(lambda found: b" ".join(_LONG.sub(_rounded, found[0]).split()), buffer.getvalue())
    # Trailing blanks would be noise in every diff.
    return b"\n".join(line.rstrip() for line in thinned.splitlines()) + b"\n"


def _rounded(number: re.Match[bytes]) -> bytes:
    """Two decimals at most."""
    value = round(float(number[0]), 2) + 0.0  # which makes a negative zero a plain one
    return f"{value:.2f}".rstrip("0").rstrip(".").encode()


@styled
def png_bytes(figure: "Figure") -> bytes:
    """The figure as PNG at 150 dots per inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    figure.set_dpi(150.0)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def save(figure: "Figure", directory: Path, name: str, alt: str, data: Sequence[str] = ()) -> str:
    """Stores `name`.svg and `name`.png in `directory`; returns the Markdown that shows the SVG.

    alt: what the figure shows, for those who do not see it. data: names of the tables that hold its numbers. A disk
    that is full leaves an older figure, or none, and never half of one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(directory / f"{name}.svg", svg_bytes(figure))
    # The first drawing has placed everything; placing it again would take as long as drawing.
    figure.set_layout_engine("none")
    write_whole(directory / f"{name}.png", png_bytes(figure))
    files = ", ".join(f"[{form.upper()}]({directory.name}/{name}.{form})" for form in ("svg", "png"))
    tables = ", ".join(f"[{table}]({DATA}/{table}.csv)" for table in data)
    numbers = f" Numbers: {tables}." if tables else ""
    return f"![{markdown_text(alt)}]({directory.name}/{name}.svg)\nFor print: {files}.{numbers}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table; columns numbered in `right` are right-aligned.

    Cells are text, whose statuses may be code spans; what is meant as Markdown is given as such.
    """
    rules = ["---:" if number in right else "---" for number in range(len(header))]
    lines = [header, rules, *([markdown_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
