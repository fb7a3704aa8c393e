"""The live table is readable however wide the terminal is."""

import re
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from archbench.cli.live_watch import LiveWatcher, make_watcher
from archbench.cli.scan_view import ShownRun, scan_table, sparkline
from archbench.cli.watch import LineWatcher, Pace, schedule_words
from archbench.contracts.executor import Progress
from archbench.results.runs import RunState


def a_run(contender: str) -> Any:
    plan = SimpleNamespace(facts=SimpleNamespace(non_embedding_params=349_123_456))
    return SimpleNamespace(
        contender=contender,
        size_index=4,
        seed=2,
        run_id=contender,
        plan=plan,
        study="scan",
        role="result",
        one_of_budgets=False,
    )


def shown(watcher: LiveWatcher, width: int, rows: int = 50) -> list[str]:
    """The lines of the block on `width` columns."""
    console = Console(width=width, file=StringIO(), force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(watcher.view(width, rows))
    return [line.rstrip() for line in capture.get().splitlines()]


def drawn(width: int, *contenders: str) -> list[str]:
    """The lines about runs at work, and the summary."""
    watcher = LiveWatcher(Pace({}))
    runs = [a_run(contender) for contender in contenders]
    watcher.total = len(runs)
    for run in runs:
        watcher.progressed(run, Progress(run.run_id, 10, 66_000, 5.5, 123_456.0))
        watcher.progressed(run, Progress(run.run_id, 12_345, 66_000, 3.14159, 123_456.0))
    return shown(watcher, width)


@pytest.mark.parametrize("width", [50, 60, 80, 100, 130])
def test_figures_stay_whole_in_the_live_table(width: int) -> None:
    lines = drawn(width, "gpt2", "transformer_xl")
    assert max(map(len, lines)) <= width
    for figure in ("12345/66000", "3.142", "123k", "tokens/s"):
        assert any(figure in line for line in lines), lines
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", [14, 20, 25, 30, 40])
def test_where_there_is_no_room_figures_are_left_out_and_never_cut(width: int) -> None:
    lines = drawn(width, "gpt2", "a_long_name_of_a_contender")
    assert max(map(cell_len, lines)) <= width
    assert sum("12345/66000" in line for line in lines) == 2, lines
    assert sum("3.142" in line for line in lines) == 2 * (width >= 30), lines
    assert set(re.findall(r"\b(?:1234|3\.|123)\S*", "\n".join(lines[1:]))) <= {"12345/66000", "3.142", "123k"}, lines


@pytest.mark.parametrize("width", [16, 20, 30, 40])
def test_sizes_and_losses_of_the_scan_stand_whole_on_few_columns(width: int) -> None:
    runs = [
        ShownRun("модель с длинным именем и ещё слово", size, params, RunState.DONE, 1.0, 10.2345)
        for size, params in enumerate((10_200, 20_400, 163_000))
    ]
    console = Console(width=width, file=StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(scan_table(runs, width))
    head, row = capture.get().splitlines()
    assert max(cell_len(head), cell_len(row)) <= width
    shown_sizes = [word for word in head.split() if not word.startswith("+")]
    hidden = sum(int(word) for word in head.split() if word.startswith("+"))
    assert shown_sizes == ["10k", "20k", "160k"][: len(shown_sizes)]
    assert (len(shown_sizes), hidden) == (1, 2)
    assert row.split()[-1] == "10.235"


def test_a_run_is_one_line_with_its_bar_at_80_columns_and_names_its_parameters_where_there_is_room() -> None:
    narrow, wide = drawn(80, "transformer_xl"), drawn(130, "transformer_xl")
    assert len(narrow) == len(wide) == 3
    assert narrow[1].startswith("transformer_xl size 5 seed 2  ━")
    assert wide[1].startswith("transformer_xl size 5 (349,123,456 parameters) seed 2  ━")
    assert "█" in narrow[1]
    assert "▁" in narrow[1], "the curve of the loss falls"


def test_there_is_no_table_before_a_run_has_made_a_step() -> None:
    watcher = LiveWatcher(Pace({}))
    watcher.total = 2
    assert shown(watcher, 80)[0].strip().startswith("━") or "0 of 2 runs" in shown(watcher, 80)[0]
    assert len(shown(watcher, 80)) == 1


def runs_of_a_scan(state: RunState = RunState.PLANNED) -> list[ShownRun]:
    return [
        ShownRun(name, size, 10_000 * 2**size, state)
        for name in ("gpt2", "a_contender_with_a_rather_long_name")
        for size in range(12)
    ]


def table_lines(runs: list[ShownRun], width: int) -> list[str]:
    console = Console(width=width, file=StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(scan_table(runs, width))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [40, 80, 140])
def test_the_table_of_a_scan_fits_and_keeps_its_figures_whole(width: int) -> None:
    runs = [replace(run, state=RunState.DONE, loss_nats=12.3456) for run in runs_of_a_scan()]
    lines = table_lines(runs, width)
    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    assert "12.346" in lines[1]


def test_the_table_shows_where_the_work_is_when_not_all_sizes_fit() -> None:
    runs = [replace(run, state=RunState.DONE if run.size_index < 6 else run.state) for run in runs_of_a_scan()]
    header = table_lines(runs, 80)[0].split()
    assert header == ["+6", "640k", "1.3M", "2.6M", "5.1M", "10M", "+1"]
    header = table_lines(runs_of_a_scan(), 80)[0].split()
    assert (header[0], header[-1]) == ("10k", "+7")
    assert "+" not in table_lines(runs_of_a_scan(), 140)[0]


@pytest.mark.parametrize("width", range(30, 251, 5))
def test_every_size_is_shown_or_counted_at_any_width(width: int) -> None:
    runs = [replace(run, state=RunState.DONE if run.size_index < 4 else run.state) for run in runs_of_a_scan()]
    lines = table_lines(runs, width)
    assert max(map(cell_len, lines)) <= width
    header = lines[0].split()
    assert len([word for word in header if word[0] != "+"]) + sum(int(word) for word in header if word[0] == "+") == 12


def test_a_dumb_terminal_is_told_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert type(make_watcher(Pace({}))) is LineWatcher
    monkeypatch.setenv("TERM", "xterm")
    assert type(make_watcher(Pace({}))) is LiveWatcher


def test_a_cell_says_how_far_its_runs_are() -> None:
    run = ShownRun("gpt2", 0, 10_000, RunState.DONE, 1.0, 2.0)
    going = replace(run, state=RunState.RUNNING, share=0.5, loss_nats=None)
    waiting = replace(run, state=RunState.PLANNED, share=0.0, loss_nats=None)

    def cell(*runs: ShownRun) -> str:
        return table_lines(list(runs), 80)[1].split(maxsplit=1)[1]

    assert cell(run, replace(run, loss_nats=3.0)) == "2.500"
    assert cell(run, going) == "75%"
    assert cell(run, waiting) == "1 of 2"
    assert cell(waiting, waiting) == "·"
    assert cell(run, replace(run, state=RunState.FAILED)) == "failed"


def test_the_curve_of_a_falling_loss_falls() -> None:
    curve = sparkline([(step, 6.0 / step**0.3) for step in range(1, 1000)], 12)
    assert len(curve) == 12
    assert (curve[0], curve[-1]) == ("█", "▁")
    assert list(curve) == sorted(curve, reverse=True)
    assert sparkline([(1, 2.0), (9, 2.0)], 5) == "▁" * 5
    assert sparkline([(1, 2.0)], 5) == ""
    assert len(sparkline([(1, 2.0), (9, float("nan"))], 5)) == 5


def test_the_block_never_fills_more_rows_than_there_are() -> None:
    watcher = LiveWatcher(Pace({}))
    runs = [a_run(f"contender {number}") for number in range(30)]
    watcher._runs = {run.run_id: run for run in runs}
    watcher.total = 30
    assert len(shown(watcher, 80, rows=12)) == 1
    assert len(shown(watcher, 80, rows=50)) > 30


def test_what_was_told_on_the_way_is_kept_for_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = LineWatcher(Pace({}))
    watcher.told("gpt2: lost (killed); goes on from its last checkpoint")
    assert watcher.warnings == ["gpt2: lost (killed); goes on from its last checkpoint"]
    assert "goes on" in capsys.readouterr().out


def test_one_run_is_counted_in_the_singular() -> None:
    one, two = [a_run("gpt2")], [a_run("gpt2"), a_run("xl")]
    assert schedule_words(one, [], 1) == "1 run to train; 1 at once"
    assert schedule_words(two, one, 2) == "2 runs to train, 1 is in the store; 2 at once"
    assert schedule_words([], one, 0) == "the only run is in the store; nothing to train"
