"""`archbench view`: a page that follows a scan while it trains, and shows and compares runs; or the same as files."""

import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from archbench.bundled_specs import names_a_file
from archbench.cli import complete
from archbench.cli.common import PATH, note, plugin_option, reports_option, runs_option
from archbench.cli.terminal import echo
from archbench.errors import SpecError, StoreError, nearest
from archbench.names import file_stem
from archbench.report.files import PAGE_FILE, REPORT_FILE
from archbench.runs.directory import ID_DIGITS
from archbench.runs.remote.working_folder import kept_fresh
from archbench.runs.store import RunStore

if TYPE_CHECKING:
    from archbench.view.catalogue import Catalogue

_DIGITS = re.compile(r"[0-9a-f]{4,64}")


@dataclass(slots=True)
class _Wanted:
    """What the words of the command line mean."""

    scans: list[str] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    def start(self, store: RunStore) -> str:
        """What the page shows first, as the fragment of its address."""
        scan = self.scans[0] if self.scans else _scan_of(store, self.runs) if self.runs else self._reported(store)
        parts = [f"scan={quote(scan, safe='')}"] if scan is not None else []
        parts += [f"run={self.runs[0]}"] if len(self.runs) == 1 else []
        parts += [f"only={','.join(self.runs)}"] if len(self.runs) > 1 else []
        return "&".join(parts)

    def _reported(self, store: RunStore) -> str | None:
        """The scan of the first report, where the store holds it."""
        stems = [report.resolve().name for report in self.reports[:1]]
        return next((name for name in store.scan_names() if file_stem(name) in stems), None)


@click.command()
@click.argument(
    "what", type=PATH, nargs=-1, metavar="[SCAN | REPORT | RUN]...", shell_complete=complete.scans_reports_and_runs
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port; any that is free by default."
)
@click.option("--open", "opens", is_flag=True, help="Open the page in this machine's browser.")
@click.option(
    "--export",
    "folder",
    type=PATH,
    metavar="DIR",
    help="Write the page into DIR instead, for a web server or a paper's supplement.",
)
@runs_option
@reports_option
@plugin_option
def view(
    what: tuple[Path, ...],
    port: int,
    opens: bool,
    folder: Path | None,
    runs_dir: Path,
    reports_dir: Path,
    plugin_files: tuple[Path, ...],
) -> None:
    """Follow scans and compare runs in a browser.

    Serves a page on this machine alone, at an address with a token, until Ctrl-C; nothing is written to the store.
    SCAN is a scan's name or a spec's file, REPORT a folder that `archbench report` wrote, RUN the first digits of a
    run's id; several runs are laid over each other. Without any of them the page begins with the scans of the store.

    \b
    Examples:
      archbench view quickstart
      archbench view 3f2a 9c01
      archbench view quickstart --export page
    """
    from archbench.view.catalogue import catalogue_of

    store = RunStore(runs_dir)
    wanted = _meant(store, reports_dir, what)
    if not wanted.reports and not store.scan_names() and next(store.directories(), None) is None:
        raise StoreError(f"{runs_dir}: holds no run; `archbench run SPEC` or `archbench import` makes some")
    catalogue = catalogue_of(runs_dir, reports_dir, wanted.reports, plugin_files, wanted.start(store))
    if folder is not None:
        from archbench.view.export import export

        chosen = wanted.scans or ([_scan_of(store, wanted.runs)] if wanted.runs else None)
        try:
            echo(str(export(catalogue, folder, chosen, note)))
        finally:
            catalogue.answers.close()
        return
    with kept_fresh(runs_dir, note):
        _serve(catalogue, port, opens=opens)


def _serve(catalogue: "Catalogue", port: int, *, opens: bool) -> None:
    from archbench.view.server import LOOPBACK, Server

    try:
        server = Server(catalogue, port)
    except OSError as error:
        raise SpecError(f"--port {port}: cannot be listened on: {error.strerror}; take another, or none") from error
    if (scan := catalogue.first_scan) is not None:
        server.read_ahead(scan)
    echo(server.address)
    note("Only who has this address sees the page. Ctrl-C ends it; runs go on as they were.")
    note(
        f"From another machine: ssh -L {server.server_port}:{LOOPBACK}:{server.server_port} HOST, then the same address"
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a verdict that is being computed ends with the page
    with ExitStack() as open_files:
        try:
            if opens:
                click.launch(str(open_files.enter_context(_doorway(server.address))))
            server.serve_forever()
        except KeyboardInterrupt:
            note("the page is closed; the runs go on as they were")
        finally:
            server.close()


@contextmanager
def _doorway(address: str) -> Iterator[Path]:
    """A file that leads to `address` and that only this user can read: everybody sees the words of a command."""
    with TemporaryDirectory(prefix="archbench-view-") as folder:
        path = Path(folder) / "open.html"
        path.write_text(f'<!DOCTYPE html><meta http-equiv="refresh" content="0;url={address}">\n', encoding="utf-8")
        yield path


def _meant(store: RunStore, reports_dir: Path, words: Sequence[Path]) -> _Wanted:
    """What each word means: a report, a scan or a run. Raises SpecError for one that is none of them."""
    from archbench.cli.status import scan_name

    wanted = _Wanted()
    names = store.scan_names()
    for word in words:
        text = str(word)
        if (report := _report_folder(word)) is not None:
            wanted.reports.append(report)
        elif text in names or names_a_file(word):
            wanted.scans.append(scan_name(store, word))
            store.scan(wanted.scans[-1])
        elif _DIGITS.fullmatch(text) and _has_run(store, text):
            wanted.runs.append(store.find(text).path.name)
        else:
            near = nearest(text, names)
            raise SpecError(
                f"{text!r}: is no scan of {store.root}{near}, no folder with a {PAGE_FILE}, and no run's first digits "
                "(four at least); `archbench status` and `archbench runs list` show what is there"
            )
    return wanted


def _report_folder(word: Path) -> Path | None:
    """The folder of the report that `word` names: itself, or that of its page or its Markdown."""
    folder = word.parent if word.name in (PAGE_FILE, REPORT_FILE) else word
    return folder if (folder / PAGE_FILE).is_file() else None


def _has_run(store: RunStore, digits: str) -> bool:
    return any(one.path.name.startswith(digits[:ID_DIGITS]) for one in store.directories())


def _scan_of(store: RunStore, runs: Sequence[str]) -> str:
    """The first scan that lists all of `runs`; where there is none the empty name, which means all of the store."""
    for name in store.scan_names():
        try:
            listed = {run.run_id[:ID_DIGITS] for run in store.scan(name).runs}
        except StoreError:
            continue
        if listed.issuperset(runs):
            return name
    return ""
