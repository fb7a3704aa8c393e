"""The live table is readable however wide the terminal is."""

from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from archbench.cli.watch import LiveWatcher, Pace, schedule_words
from archbench.contracts.executor import Progress


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


def drawn(width: int, *contenders: str) -> list[str]:
    """The table's lines on `width` columns."""
    watcher = LiveWatcher(Pace({}))
    watcher._live.console = Console(width=width, file=StringIO(), force_terminal=True, color_system=None)
    runs = [a_run(contender) for contender in contenders]
    watcher.total = len(runs)
    for run in runs:
        watcher.progressed(run, Progress(run.run_id, 12_345, 66_000, 3.14159, 123_456.0))
    with watcher._live.console.capture() as capture:
        watcher._live.console.print(watcher._table())
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [50, 60, 80, 100, 130])
def test_figures_stay_whole_in_the_live_table(width: int) -> None:
    lines = drawn(width, "gpt2", "transformer_xl")
    assert max(map(len, lines)) <= width
    for figure in ("12345/66000", "3.142", "123k", "tokens/s"):
        assert any(figure in line for line in lines), lines
    assert "…" not in "".join(lines)


def test_a_run_is_one_line_with_its_bar_at_80_columns_and_names_its_parameters_where_there_is_room() -> None:
    narrow, wide = drawn(80, "transformer_xl"), drawn(130, "transformer_xl")
    assert len(narrow) == len(wide) == 3
    assert narrow[1].startswith("transformer_xl size 5 seed 2  ━")
    assert wide[1].startswith("transformer_xl size 5 (349,123,456 parameters) seed 2  ━")


def test_there_is_no_table_before_a_run_has_made_a_step() -> None:
    watcher = LiveWatcher(Pace({}))
    watcher.total = 2
    watcher._live.console = Console(width=80, file=StringIO())
    with watcher._live.console.capture() as capture:
        watcher._live.console.print(watcher._table())
    assert capture.get().startswith("0 of 2 runs")


def test_one_run_is_counted_in_the_singular() -> None:
    one, two = [a_run("gpt2")], [a_run("gpt2"), a_run("xl")]
    assert schedule_words(one, [], 1) == "1 run to train; 1 at once"
    assert schedule_words(two, one, 2) == "2 runs to train, 1 is in the store; 2 at once"
    assert schedule_words([], one, 0) == "the only run is in the store; nothing to train"
