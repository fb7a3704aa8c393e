"""Output never costs a result: what a stream cannot show is escaped, what it cannot take is told, files are written."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archbench.cli import main as program
from archbench.cli import terminal
from archbench.cli.common import print_json, table_console
from archbench.cli.finish import finish_scan
from archbench.host import default_host
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

Fill = Callable[..., None]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, fill: Fill) -> RunStore:
    store = RunStore(tmp_path_factory.mktemp("output") / "runs")
    scan = SyntheticScan(seeds=(1, 1, 1, 1, 1))
    fill(store, "demo", synthetic_records("[red]модель[/red] :smile:", SyntheticLaw(noise_std=0.003), scan))
    return store


class Stream(io.TextIOWrapper):
    """Standard output of an encoding, whose writing ends with an error where one is given."""

    error: OSError | None = None

    def __init__(self, encoding: str) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding)

    def flush(self) -> None:
        if self.error is not None:
            raise self.error
        super().flush()

    @property
    def text(self) -> str:
        self.flush()
        return self.bytes.getvalue().decode(self.encoding)


@contextlib.contextmanager
def said(encoding: str, error: OSError | None = None) -> Iterator[Stream]:
    """Standard output, made fit as the command line does it."""
    before, stream = sys.stdout, Stream(encoding)
    sys.stdout = stream
    try:
        terminal.prepare_streams()
        stream.error = error
        yield stream
    finally:
        sys.stdout, stream.error = before, None


def finish(store: RunStore, folder: Path) -> None:
    finish_scan(
        store.scan("demo"), store, default_host(), reports_dir=folder / "reports", leaderboard_dir=folder / "lb"
    )


def test_a_terminal_without_greek_costs_no_report(store: RunStore, tmp_path: Path) -> None:
    with said("latin-1") as stream:
        finish(store, tmp_path)
    assert (tmp_path / "reports/demo/report.md").is_file()
    assert (tmp_path / "lb/README.md").is_file()
    assert r"\u03b1 (95 %)" in stream.text
    assert r"[red]\u043c\u043e" in stream.text


def test_a_full_disk_behind_standard_output_costs_no_report(store: RunStore, tmp_path: Path) -> None:
    with said("utf-8", OSError(28, "No space left on device")):
        finish(store, tmp_path)
    assert (tmp_path / "reports/demo/report.html").is_file()
    assert list((tmp_path / "lb/entries").iterdir())
    assert terminal.lost_output() == (
        "standard output cannot be written: No space left on device; what was said there is lost, results in files are "
        "whole"
    )


def test_a_reader_that_has_gone_costs_no_report_and_is_no_problem(store: RunStore, tmp_path: Path) -> None:
    with said("utf-8", BrokenPipeError(32, "Broken pipe")):
        finish(store, tmp_path)
    assert (tmp_path / "lb/README.md").is_file()
    assert terminal.unread()
    assert terminal.lost_output() is None


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_every_encoding(encoding: str) -> None:
    value = {"name": "é α 😀 \x1b[2J \x9b"}
    with said(encoding) as stream:
        print_json(value)
    assert json.loads(stream.text) == value
    assert "\x9b" not in stream.text


def test_a_table_shows_markup_and_escapes_of_names_as_letters() -> None:
    from rich.table import Table

    table = Table("[b]head[/b]")
    table.add_row("[red]x[/red] :smile: \x1b]0;title\x07\x1b[2J")
    with said("utf-8") as stream:
        table_console().print(table)
    assert r"[red]x[/red] :smile: \x1b]0;title\x07\x1b[2J" in stream.text
    assert "[b]head[/b]" in stream.text
    assert "\x1b" not in stream.text


def archbench(store: RunStore, *arguments: str, redirect: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command whose streams a shell redirects."""
    command = [sys.executable, "-m", "archbench.cli.main", *arguments, "--runs", str(store.root)]
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *command],
        capture_output=True,
        env=os.environ | environment,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_closed_standard_output_is_no_problem(store: RunStore) -> None:
    assert archbench(store, "status", redirect=">&-") == (0, "", "")


def test_a_full_standard_output_is_told_in_one_line(store: RunStore) -> None:
    code, _, told = archbench(store, "status", redirect="> /dev/full")
    assert code == program.EXIT_USAGE
    assert told == (
        "archbench: standard output cannot be written: No space left on device; what was said there is lost, results "
        "in files are whole\n"
    )


def test_help_to_a_full_disk_is_told_as_well(capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "archbench.cli.main", "--help"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == program.EXIT_USAGE
    assert "No space left on device" in done.stderr


def test_closed_errors_leave_the_exit_code_alone(store: RunStore) -> None:
    assert archbench(store, "status", "nosuch", redirect="2>&-") == (4, "", "")


def test_an_ascii_terminal_shows_every_name(store: RunStore) -> None:
    code, out, errors = archbench(store, "status", "demo", redirect="", PYTHONIOENCODING="ascii")
    assert (code, errors) == (0, "")
    assert r"[red]\u043c\u043e\u0434\u0435\u043b\u044c[/red] :smile:" in out
    assert out.isascii()


def test_an_escape_in_an_error_reaches_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["status", "\x1b]0;title\x07"], ["\x1b[2J"], ["status", "--\x1b[2J"]):
        with pytest.raises(SystemExit):
            program.main(arguments)
        assert "\x1b" not in "".join(capsys.readouterr())
