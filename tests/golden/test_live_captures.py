"""The live table as a real terminal shows it, at six widths: figures stand whole, sizes without room are counted.

`ARCHBENCH_WRITE_CAPTURES=1 pytest tests/golden/test_live_captures.py` writes the captures anew; look at them then.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CAPTURES = Path(__file__).parent / "live"
SCRIPT = Path(__file__).with_name("live_scan.py")
WIDTHS = (30, 40, 60, 80, 110, 250)
ROWS = 24
WRITE = "ARCHBENCH_WRITE_CAPTURES" in os.environ
FIGURES = {"12000/66000", "2.345", "10.2k", "2.400", "2.250", "2.200", "18%", "37%"}
COLOURS = {"colour": "COLORTERM=truecolor", "no_colour": "NO_COLOR=1"}


class Tmux:
    """One program in a terminal of its own."""

    def __init__(self, socket: str, colour: str) -> None:
        self.colour = colour
        self.command = [shutil.which("tmux") or "tmux", "-L", socket, "-f", "/dev/null"]
        program = f"env -u COLUMNS -u LINES {COLOURS[colour]} {sys.executable} {SCRIPT}"
        self.call("new-session", "-d", "-x", "80", "-y", str(ROWS), program)

    def call(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.command, *arguments], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2]
        )
        return done.stdout

    def capture(self, columns: int) -> str:
        """What stands on the screen at this width, once it has stood still."""
        self.call("resize-window", "-x", str(columns), "-y", str(ROWS))
        before, deadline = "", time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.6)
            shown = "\n".join(line.rstrip() for line in self.call("capture-pane", "-p").splitlines()).strip("\n")
            if shown == before and "of 12 runs" in shown:
                return shown + "\n"
            before = shown
        pytest.fail(f"the screen does not stand still at {columns} columns:\n{before}")


@pytest.fixture(scope="module", params=COLOURS)
def terminal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    terminal = Tmux(tmp_path_factory.mktemp("tmux").name, request.param)
    yield terminal
    subprocess.run([*terminal.command, "kill-server"], check=False)


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_live_table_is_the_captured_one(terminal: Tmux, columns: int) -> None:
    shown, path = terminal.capture(columns), CAPTURES / f"{terminal.colour}_{columns}.txt"
    if WRITE:
        CAPTURES.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("columns", WIDTHS)
def test_every_figure_of_a_capture_stands_whole(columns: int, colour: str) -> None:
    lines = (CAPTURES / f"{colour}_{columns}.txt").read_text(encoding="utf-8").splitlines()
    table = next(number for number, line in enumerate(lines) if re.match(r" +(\+\d+ +)?\d+k", line))
    assert max(map(len, lines)) <= columns
    hidden = sum(int(count) for count in re.findall(r"\+(\d+)", lines[table]))
    assert hidden + len(re.findall(r"\d[kM]\b", lines[table])) == 6
    found = set(re.findall(r"\d+\.\d+k?|\d+/\d+|\d+%", "\n".join(lines[table + 1 :])))
    assert found <= FIGURES, found - FIGURES
