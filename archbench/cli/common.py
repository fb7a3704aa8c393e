"""Options and helpers that several commands share."""

import json
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

from archbench.answers.plain import finite
from archbench.bundled_specs import meant_spec
from archbench.cli import complete
from archbench.cli.terminal import echo
from archbench.display import json_escape, json_text, terminal_text
from archbench.errors import PluginError, SpecError
from archbench.leaderboard.folders import OWN, PUBLISHED
from archbench.store_urls import BINDING_FILE, is_url
from archbench.user_folders import cache_folder

if TYPE_CHECKING:
    from archbench.cli.console import DataConsole
    from archbench.host import Host

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

MOST_ROWS_FOLDED = 500
"""Rows up to which a table is fitted to a terminal."""
_ROWS = 25
_LEAST_COLUMNS, _PAGE_COLUMNS = 20, 140
"""What text is broken to on the narrowest terminal, and what tables take where nobody watches."""

_FOLDED = ("architecture", "objective", "from", "contender")
"""Columns of names, which a narrow terminal breaks; figures stay whole."""


class SpecPath(click.Path):
    """The path of a spec: of the file that is named, or of the bundled spec of that name."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; a bundled spec beside a file that may be meant is told."""
        word = Path(os.fsdecode(super().convert(value, param, ctx)))
        path = meant_spec(word)
        if path != word and (beside := word.with_name(f"{word.name}.yaml")).is_file():
            note(f"{word} is the bundled spec; {beside}, which is here too, is named with its ending")
        return path


SPEC = SpecPath()


def spec_argument(function: F) -> F:
    """The argument SPEC: a YAML file, or the name of a bundled spec."""
    return click.argument("spec", type=SPEC, metavar="SPEC", shell_complete=complete.specs)(function)


def override_option(function: F) -> F:
    """`-o KEY=VALUE`: sets one value of the spec."""
    return click.option(
        "-o",
        "--override",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set one value of SPEC, for example training.batch_tokens=8192; may be repeated.",
    )(function)


class RunsPlace(click.Path):
    """A folder of runs, or the URL of a store that is no folder: this machine's folder that follows it is then meant.

    `training`: whether the command writes there, and needs a folder that no other process is at.
    """

    def __init__(self, *, training: bool) -> None:
        super().__init__(path_type=Path)
        self._training = training

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The folder, brought up to date. Raises ArchbenchErrors where the store cannot be had."""
        word = os.fsdecode(value)
        if ctx is not None and ctx.resilient_parsing:
            return Path(word)
        if not is_url(word) and not (Path(word) / BINDING_FILE).is_file():
            return super().convert(value, param, ctx)
        from archbench.cli.places import followed

        return followed(word, training=self._training)


def runs_option(function: F) -> F:
    """`--runs`: the run store, to be read."""
    return _runs_option(function, training=False)


def written_runs_option(function: F) -> F:
    """`--runs`: the run store, to be trained in or changed."""
    return _runs_option(function, training=True)


def _runs_option(function: F, *, training: bool) -> F:
    return click.option(
        "--runs",
        "runs_dir",
        type=RunsPlace(training=training),
        default=Path("runs"),
        show_default=True,
        metavar="PLACE",
        help="Folder of the run store, or its URL (s3://BUCKET/FOLDER).",
    )(function)


def reports_option(function: F) -> F:
    """`--reports`: where reports go."""
    return click.option(
        "--reports", "reports_dir", type=PATH, default=Path("reports"), show_default=True, help="Folder of reports."
    )(function)


def leaderboard_option(function: F) -> F:
    """`--leaderboard`: one's own, where entries and their page go and where they are found by name."""
    return click.option(
        "--leaderboard",
        "leaderboard_dir",
        type=PATH,
        default=OWN,
        show_default=True,
        help=f"Folder of your leaderboard. What is published in {PUBLISHED}/ stands beside the default one; any other "
        "stands by itself.",
    )(function)


def cache_option(function: F) -> F:
    """`--cache`: where prepared text is kept. It changes no number."""
    return click.option(
        "--cache",
        "cache_dir",
        type=PATH,
        default=cache_folder,
        show_default="~/.cache/archbench",
        help="Folder of prepared text, shared by all scans; also $ARCHBENCH_CACHE.",
    )(function)


def plugin_option(function: F) -> F:
    """`--plugin PATH`: plug-ins by path, modules and folders of packages."""
    return click.option(
        "--plugin",
        "plugin_files",
        type=PATH,
        multiple=True,
        metavar="PATH",
        help="A plug-in by its path: a module, or the folder of a package with a pyproject.toml.",
    )(function)


def nproc_option(function: F) -> F:
    """`--nproc N`: processes that train each run together."""
    return click.option(
        "--nproc",
        type=click.IntRange(1, 4096),
        metavar="N",
        help="Processes (ranks) that train each run together; in place of the spec's execution.nproc.",
    )(function)


def tracker_option(function: F) -> F:
    """`--tracker KIND`: shows runs there, beside those of the spec's `execution.trackers`."""
    return click.option(
        "--tracker",
        "trackers",
        multiple=True,
        metavar="KIND",
        shell_complete=complete.trackers,
        help="Show runs in this tracker too, with its default settings: tensorboard, wandb, or a plug-in's.",
    )(function)


def replace_option(function: F) -> F:
    """`--replace`: lets a scan take the place of another one of its name."""
    return click.option(
        "--replace",
        "replaces",
        is_flag=True,
        help="Take the place of another scan of the same name, whose finished runs then stand in no list.",
    )(function)


def json_option(function: F) -> F:
    """`--json`: machine-readable output."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def yes_option(function: F) -> F:
    """`--yes`: does it without asking."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(function)


def confirm(question: str, *, yes: bool) -> None:
    """Asks whether to go on, unless `yes` was said. Raises click.Abort for no, SpecError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise SpecError(f"{question} Nobody can be asked here; say --yes, or look first by --dry-run or `runs list`")
    click.confirm(question, abort=True, err=True)


def shell_words(*words: object) -> str:
    """A command as a person can paste it into a shell."""
    return shlex.join(str(word) for word in words)


def host_with(plugin_files: Sequence[Path]) -> "Host":
    """The host of all installed plug-ins, and of those in `plugin_files`; failures of the latter are told."""
    from archbench.host import default_host, load_host
    from archbench.plugin_folders import is_package_folder, read_package_folder

    if not plugin_files:
        return default_host()
    for path in plugin_files:
        if is_package_folder(path):
            read_package_folder(path)
        elif path.is_dir():
            raise PluginError(f"{path}: is a folder without a pyproject.toml; give that of a package, or a module")
        elif not path.is_file():
            raise PluginError(f"{path}: no such plug-in; give the path of a Python module or of a package's folder")
    host = load_host(files=plugin_files)
    given = {str(path) for path in plugin_files}
    for info in host.plugins:
        if info.target in given and info.failures:
            note(f"warning: plug-in {info.name} failed: {info.failures[0]}")
        elif info.target in given and info.notes:
            note(f"warning: plug-in {info.name}: {info.notes[0]}")
    return host


def print_json(value: Any) -> None:
    """Prints `value` as JSON; a value that JSON has no word for becomes null rather than NaN.

    Commands print the classes of `archbench.cli.outputs` and `archbench.answers.outputs`: see docs/schemas.
    """
    text = json_text(json.dumps(finite(value), indent=2, sort_keys=True, ensure_ascii=False))
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        # JSON has escapes of its own for what the stream's encoding lacks.
        text = re.sub(r"[^\x00-\x7f]", lambda found: json_escape(found[0]), text)
    echo(text)


def note(line: str) -> None:
    """A line on standard error, so that standard output stays the result alone."""
    echo(_between_words(line) if sys.stderr.isatty() else line, err=True)


def interactive() -> bool:
    """Whether a person watches standard output in a terminal on which what stands there can be written over."""
    return on_screen() and os.environ.get("TERM") != "dumb"


def on_screen() -> bool:
    """Whether standard output is a terminal, dumb ones included: a line has as much room as that is wide."""
    return sys.stdout.isatty()


def wrapped(text: str) -> str:
    """`text` broken between words for a terminal, each line of a list indented; unchanged where nobody watches."""
    return _between_words(text) if on_screen() else text


def text_columns() -> int:
    """How many letters a line of text may have: as many as the terminal shows, or as a page that nobody watches."""
    return _screen_columns() if on_screen() else _PAGE_COLUMNS


def drawable(line: str) -> str:
    """`line` with its drawing in letters that standard output has."""
    from archbench.report.ranked import IN_ASCII

    encoding = sys.stdout.encoding or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return line.translate(IN_ASCII)
    return line


def _between_words(text: str) -> str:
    width = _screen_columns()
    lines = []
    for line in text.splitlines():
        start = " " * (len(line) - len(line.lstrip()))
        indent = start + ("  " if start or line.startswith("- ") else "")
        lines += textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return "\n".join(lines)


def _screen_columns() -> int:
    return max(_LEAST_COLUMNS, shutil.get_terminal_size().columns)


def table_console() -> "DataConsole":
    """A console for tables: as wide as the terminal, or wide enough not to wrap where nobody watches."""
    from archbench.cli.console import DataConsole, StandardOutput

    output = cast("TextIO", StandardOutput())  # rich asks for all of TextIO, and writes
    # Without a height rich takes a dumb terminal for one of 80 columns.
    return DataConsole(file=output, width=text_columns(), height=_ROWS, highlight=False)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[str]) -> None:
    """Prints columns two spaces apart, those of `left` flush left.

    A person at a terminal is given what fits it; what goes elsewhere, or is longer than anybody reads, is laid out at
    once: rich takes a minute for what a large store holds.
    """
    if on_screen() and len(rows) <= MOST_ROWS_FOLDED:
        _print_folded(headers, rows, left)
        return
    shown = [headers, *([" ".join(terminal_text(cell).split()) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    flush = [name in left for name in headers]
    lines = []
    for row in shown:
        cells = (
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(row, widths, flush, strict=True)
        )
        lines.append("  ".join(cells).rstrip())
    echo("\n".join(lines))


def _print_folded(headers: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[str]) -> None:
    from rich.table import Table

    from archbench.cli.console import NAME_COLUMNS

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        names = header in _FOLDED
        table.add_column(
            header,
            justify="left" if header in left else "right",
            no_wrap=not names,
            min_width=NAME_COLUMNS if names else None,
        )
    for row in rows:
        table.add_row(*row)
    table_console().print_whole(table)
