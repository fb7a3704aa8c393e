"""A live view loses no line, whatever becomes of the terminal and of the program."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import click
import pytest
from rich.console import Console, ConsoleDimensions
from rich.text import Text

from archbench.cli.live import LiveView


@pytest.fixture
def size(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Columns and rows of the terminal, to be changed by a test."""
    now = [80, 24]
    monkeypatch.setattr(Console, "size", property(lambda console: ConsoleDimensions(*now)))
    return now


def drawn(stream: StringIO) -> list[str]:
    """The lines of the newest drawing."""
    newest = stream.getvalue().rpartition("\x1b[H")[2]
    return newest.replace("\x1b[J", "").replace("\x1b[K", "").split("\r\n")


def test_a_view_is_never_higher_or_wider_than_the_terminal(size: list[int]) -> None:
    size[:] = [20, 6]
    stream = StringIO()
    view = LiveView(lambda columns, rows: Text("\n".join("abcdefghij")), stream)
    view.draw()
    assert drawn(stream) == list("abcdef")


def test_the_newest_lines_fill_the_room_above_broken_between_words(size: list[int]) -> None:
    size[:] = [20, 5]
    stream = StringIO()
    view = LiveView(lambda columns, rows: Text("foot"), stream)
    for line in ("forgotten for now", "first", "a line that is longer than twenty columns"):
        view.print(line)
    view.draw()
    assert drawn(stream) == ["first", "a line that is", "longer than twenty", "columns", "foot"]
    size[0] = 80
    view.draw()
    assert drawn(stream) == ["forgotten for now", "first", "a line that is longer than twenty columns", "foot"]


def test_every_line_is_on_the_ordinary_screen_in_the_end(size: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    stream = StringIO()

    def interrupted() -> None:
        with LiveView(lambda columns, rows: Text("foot"), stream) as view:
            view.print("first")
            click.echo("second")
            click.echo("third", err=True)
            print("half", end="")
            print(" a line, and no end", end="")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    written = stream.getvalue()
    assert written.startswith("\x1b[?1049h")
    assert written.rpartition("\x1b[?1049l")[2] == "first\nsecond\nthird\nhalf a line, and no end\n"
    assert capsys.readouterr() == ("", "")
    print("restored")
    assert capsys.readouterr().out == "restored\n"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[list[str]]:
    """tmux on a socket of its own."""
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("needs tmux")
    command = [tmux, "-L", tmp_path.name, "-f", "/dev/null"]
    script = tmp_path / "script.py"
    script.write_text(
        "import time\nfrom rich.text import Text\nfrom archbench.cli.live import LiveView\n"
        "print('above')\n"
        "with LiveView(lambda c, r: Text('\\n'.join(f'{n} ' + 'x' * min(c - 8, 60) for n in range(4)))) as block:\n"
        "    block.print('told')\n    time.sleep(12)\nprint('ended')\ntime.sleep(60)\n"
    )
    session = [*command, "new-session", "-d", "-x", "80", "-y", "20", f"{sys.executable} {script}"]
    subprocess.run(session, check=True, cwd=Path(__file__).parents[3])
    yield command
    subprocess.run([*command, "kill-server"], check=False)


@pytest.mark.thorough
def test_a_real_terminal_shows_each_line_once_whatever_its_width(terminal: list[str]) -> None:
    def shown() -> list[str]:
        done = subprocess.run([*terminal, "capture-pane", "-p"], check=True, capture_output=True, text=True)
        return [line.split()[0] for line in done.stdout.splitlines() if line]

    def comes(expected: list[str], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while shown() != expected and time.monotonic() < deadline:
            time.sleep(0.1)
        return shown() == expected

    view = ["told", "0", "1", "2", "3"]
    assert comes(view, 60), shown()
    for columns in (40, 60, 25):
        subprocess.run([*terminal, "resize-window", "-x", str(columns), "-y", "20"], check=True)
        assert comes(view, 5), shown()
    assert comes(["above", "told", "ended"], 30), shown()


class Screen:
    """A terminal that breaks no lines: what its cells show after it was written to."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.cells = [["?"] * columns for _ in range(rows)]
        self.row = self.column = 0

    def write(self, text: str) -> None:
        for sequence, letter in re.findall(r"\x1b\[([0-9;?]*[A-Za-z])|(.)", text, re.DOTALL):
            here = self.cells[self.row]
            at = min(self.column, self.columns - 1)
            if sequence == "H":
                self.row = self.column = 0
            elif sequence == "K":
                here[at:] = [" "] * (self.columns - at)
            elif sequence == "J":
                here[at:] = [" "] * (self.columns - at)
                for row in self.cells[self.row + 1 :]:
                    row[:] = [" "] * self.columns
            elif letter == "\r":
                self.column = 0
            elif letter == "\n":
                self.row += 1
            elif letter:
                here[at] = letter
                self.column = at + 1

    @property
    def lines(self) -> list[str]:
        return ["".join(row) for row in self.cells]


@pytest.mark.parametrize("rows", [3, 5])
def test_a_line_as_wide_as_the_terminal_keeps_its_last_cell(size: list[int], rows: int) -> None:
    size[:] = [12, rows]
    stream = StringIO()
    view = LiveView(lambda columns, rows: Text("0123456 10.2k\nabc\n0123456 10.9k".replace(" ", "")), stream)
    view.draw()
    view.draw()
    screen = Screen(12, rows)
    screen.write(stream.getvalue())
    assert screen.lines[:3] == ["012345610.2k", "abc         ", "012345610.9k"]
    assert screen.lines[3:] == [" " * 12] * (rows - 3)


def test_a_printed_line_cannot_act_on_the_screen(size: list[int]) -> None:
    stream = StringIO()
    view = LiveView(lambda columns, rows: Text("foot"), stream)
    view.print("failed: \x1b[2Jgone")
    view.draw()
    assert drawn(stream) == [r"failed: \x1b[2Jgone", "foot"]
