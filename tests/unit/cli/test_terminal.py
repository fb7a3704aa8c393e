"""Colours and live views are for terminals alone; exit codes are those of the reference."""

import io
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.table import Table

from archbench import errors
from archbench.cli import main
from archbench.cli.console import DataConsole
from archbench.cli.reference import reference
from archbench.results.runs import RunState
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, fill: Callable[..., None]) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    law = SyntheticLaw(noise_std=0.003)
    records = synthetic_records("gpt2", law) + synthetic_records("reformer", SyntheticLaw(A=13), seed=1)
    assert all(record.state is RunState.DONE for record in records)
    fill(RunStore(folder / "runs"), "demo", records)
    return folder


def on_a_terminal(folder: Path, *arguments: str, **variables: str) -> str:
    """What the command writes to a terminal."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **variables}
    command = [sys.executable, "-m", "archbench.cli.main", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, close_fds=True
    ) as process:
        os.close(slave)
        written = b""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    piece = os.read(master, 65536)
                except OSError:  # the other end is closed
                    break
                if not piece:
                    break
                written += piece
            elif process.poll() is not None:
                break
        process.wait(timeout=10)
    os.close(master)
    return written.decode()


def test_colours_are_for_terminals_and_can_be_forbidden(folder: Path) -> None:
    shown = on_a_terminal(folder, "compare", "gpt2", "reformer")
    assert COLOUR.search(shown)
    plain = on_a_terminal(folder, "compare", "gpt2", "reformer", NO_COLOR="1")
    assert not re.search(r"\x1b\[(3|4|9|10)[0-9]", plain), "no colour; bold may stay"
    command = [sys.executable, "-m", "archbench.cli.main", "compare", "gpt2", "reformer"]
    piped = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "\x1b" not in piped.stdout + piped.stderr


def test_a_followed_scan_is_drawn_on_a_screen_of_its_own(folder: Path) -> None:
    shown = on_a_terminal(folder, "status", "demo", "--watch")
    before, _, after = shown.partition("\x1b[?1049l")
    assert before.startswith("\x1b[?1049h")
    assert "reformer" in before
    # What remains is the ordinary status.
    assert re.search(r"demo: \d+ done", after)
    dumb = on_a_terminal(folder, "status", "demo", "--watch", TERM="dumb")
    assert "\x1b[?1049h" not in dumb


def test_a_dumb_terminal_has_lines_of_its_width_and_nothing_that_acts_on_it(folder: Path) -> None:
    shown = on_a_terminal(folder, "compare", "gpt2", "reformer", TERM="dumb", COLUMNS="44")
    assert "\x1b" not in shown
    lines = shown.replace("\r", "").splitlines()
    assert len(lines) > 10
    assert max(map(len, lines)) <= 44


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 80, 110, 250])
def test_figures_of_a_table_stand_whole_at_any_width(columns: int) -> None:
    rows = [
        ("gpt2", "kaplan", "0.0846 [0.0415, 0.1312]", "not_identifiable", "none"),
        ("transformer_xl", "exact", "0.1086 [0.0523, 0.1725]", "0.1211 [0.0674, 0.2072]", "not resolved: 2-3"),
    ]
    table = Table("contender", "cost axis", "α (95 %)", "α with floor", "tiers", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    written = io.StringIO()
    DataConsole(file=written, width=columns, height=25).print_whole(table)
    lines = written.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    words = written.getvalue().split()
    assert {word for row in rows for cell in row for word in cell.split()} <= set(words)


def test_the_only_scan_of_a_store_is_followed_without_its_name_and_one_of_several_is_not(
    tmp_path: Path, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    store = RunStore(tmp_path / "runs")
    fill(store, "demo", synthetic_records("gpt2", SyntheticLaw(noise_std=0.003)))
    with pytest.raises(SystemExit) as ending:
        main.main(["status", "--watch"])
    assert ending.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("demo: ")
    assert [run.run_id[:16] in shown for run in store.scan("demo").runs] == [True] * len(store.scan("demo").runs)
    fill(store, "other", synthetic_records("bert", SyntheticLaw(), seed=1))
    with pytest.raises(SystemExit) as ending:
        main.main(["status", "--watch"])
    assert ending.value.code == 2
    assert capsys.readouterr().err == (
        "archbench: runs: holds 2 scans, demo, other; --watch follows one of them: name it\n"
    )


def test_exit_codes_are_those_of_the_reference() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", reference(), flags=re.MULTILINE)}
    kinds = [
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ArchbenchError)
    ]
    assert documented == {0, 1, *kinds, main.EXIT_USAGE, main.EXIT_DEFECT, main.EXIT_INTERRUPTED}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status",), 0),
        (("leaderboard", "--check", "--leaderboard", "none"), 1),
        (("plan", "none.yaml"), 2),
        (("plan",), 2),
        (("plan", "demo", "--nonsense"), 2),
        (("status", "--watch"), 0),
        (("status", "--watch", "--json"), 2),
        (("status", "demo", "-o", "name=x"), 2),
        (("plugins", "show", "nonsense"), 3),
        (("status", "nonsense"), 4),
        (("runs", "show", "nonsense"), 4),
        (("export", "nonsense"), 4),
    ],
)
def test_commands_end_with_the_code_that_is_documented(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ending:
        main.main(arguments)
    assert ending.value.code == code
