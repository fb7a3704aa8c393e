"""What the leaderboard's pages keep: the same bytes with and without, and nothing that is out of date."""

import json
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from archbench.analysis.comparison import ranking
from archbench.analysis.comparison.compare import Contender, read_pair
from archbench.analysis.frontier.reading import Reading
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.contracts.report import ScanResults
from archbench.leaderboard import board as board_module
from archbench.leaderboard import page, page_cache
from archbench.leaderboard.board import read_board
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.entry_files import write_entry
from archbench.leaderboard.page_cache import PageCache
from archbench.runs.sealed import seal
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

SMALL = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(3, 2, 1), points=8)


def add(board: Path, scan: str, names: tuple[str, ...], *, seed: int = 0) -> None:
    """Adds a made-up scan, a group of its own, of the contenders `names`."""
    for entry in entries(scan, names, seed):
        write_entry(board, entry)


@lru_cache
def entries(scan: str, names: tuple[str, ...], seed: int) -> list[LeaderboardEntry]:
    law = SyntheticLaw(noise_std=0.003)
    records = [
        record
        for number, name in enumerate(names)
        for record in synthetic_records(name, replace(law, A=12 + number / 9), SMALL, seed=seed + number)
    ]
    frontiers, comparisons = analyse_scan(records, baseline=names[0], options=StudyOptions(num_resamples=2))
    results = ScanResults(scan, "Made up", names[0], tuple(records), frontiers, comparisons, {"name": scan}, {})
    return make_entries(results)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    add(tmp_path / "board", "one", ("gpt2", "reformer"))
    add(tmp_path / "board", "two", ("gpt2", "mamba2"), seed=9)
    return tmp_path / "board"


class Made:
    """Counts what a cache had to make."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        for module, name in ((board_module, "check_figures"), (page, "make_standings"), (page, "evidence")):
            monkeypatch.setattr(module, name, self._counted(name, getattr(module, name)))

    def _counted(self, name: str, function: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.names.append(name)
            return function(*args, **kwargs)

        return counted

    def since(self) -> dict[str, int]:
        """How often each was called since the last question."""
        names, self.names = self.names, []
        return {name: names.count(name) for name in sorted(set(names))}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


def test_only_what_changed_is_computed_and_the_bytes_are_those_without_a_cache(
    board: Path, tmp_path: Path, made: Made
) -> None:
    cache = PageCache(tmp_path / "cache")
    without = page.render(board)
    assert made.since() == {"check_figures": 4, "evidence": 4, "make_standings": 2}
    assert page.render(board, cache) == without
    assert made.since() == {"check_figures": 4, "evidence": 4, "make_standings": 2}
    assert page.render(board, cache) == without
    assert made.since() == {}
    add(board, "three", ("llama",), seed=20)
    assert page.render(board, cache) == page.render(board)
    assert made.since() == {"check_figures": 1 + 5, "make_standings": 1 + 3, "evidence": 1 + 5}


def test_a_pair_is_tested_once_whoever_joins_the_table(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested: list[set[str]] = []

    def counted(one: Contender, other: Contender, **settings: Any) -> Reading:
        tested.append({one.name, other.name})
        return read_pair(one, other, **settings)

    def grown(names: tuple[str, ...], cache: PageCache) -> dict[Path, bytes]:
        add(board, "one", names)
        tested.clear()
        return {path.relative_to(board): content for path, content in page.render(board, cache).items()}

    monkeypatch.setattr(ranking, "read_pair", counted)
    cache = PageCache(tmp_path / "cache")
    grown(("gpt2", "reformer", "llama"), cache)
    whole = grown(("gpt2", "reformer", "llama", "mamba2"), cache)
    assert {name for pair in tested for name in pair} == {"gpt2", "reformer", "llama", "mamba2"}
    assert all("mamba2" in pair for pair in tested)
    assert whole == grown(("gpt2", "reformer", "llama", "mamba2"), PageCache())
    assert {"gpt2", "reformer"} in tested


def test_an_entry_that_is_forged_after_it_was_found_sound_is_left_out(board: Path, tmp_path: Path) -> None:
    cache = PageCache(tmp_path / "cache")
    page.write(board, cache)
    path = board / "entries" / "one--gpt2.json"
    content = json.loads(path.read_text())
    content["figures"]["exact"]["alpha"] = 0.9
    del content["digest"]
    path.write_bytes(seal(content, content["format"]))
    for _ in range(2):
        (problem,) = read_board(board, cache).left_out
        assert "alpha is stated as 0.9" in problem


def test_a_damaged_value_is_made_anew(board: Path, tmp_path: Path, made: Made) -> None:
    cache = PageCache(tmp_path / "cache")
    expected = page.render(board, cache)
    made.since()
    for path in (tmp_path / "cache").rglob("*.json"):
        path.write_bytes(path.read_bytes()[:-2] + b"x}")
    assert page.render(board, cache) == expected
    assert made.since() == {"check_figures": 4, "evidence": 4, "make_standings": 2}


def test_values_of_other_code_are_not_used(
    board: Path, tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PageCache(tmp_path / "cache")
    page.render(board, cache)
    made.since()
    monkeypatch.setattr(page_cache, "code_sha256", lambda: "0" * 64)
    page.render(board, cache)
    assert made.since() == {"check_figures": 4, "evidence": 4, "make_standings": 2}


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(board: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert page.render(board, PageCache(tmp_path / "cache")) == page.render(board)


def test_charts_that_do_not_fit_stand_in_pages_of_their_own(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pages() -> dict[str, str]:
        made = page.render(board)
        return {str(path.relative_to(board)): made[path].decode() for path in made if path.suffix == ".html"}

    whole = pages()
    assert [name for name in whole if name.startswith("groups/")] == []
    monkeypatch.setattr("archbench.leaderboard.html._PAGE_BYTES", 0)
    parted = pages()
    first, second = (name for name in parted if name.startswith("groups/"))
    assert len(parted["index.html"]) < len(whole["index.html"]) / 3
    assert 'id="charts"' not in parted["index.html"]
    for name in (first, second):
        assert f'href="{name}"' in parted["index.html"]
        assert 'id="charts"' in parted[name]
    links = re.findall(r'href="(\.\./evidence/[^"]+)"', parted[first] + parted[second])
    assert {link.removeprefix("../") for link in links} == {name for name in parted if name.startswith("evidence/")}


def test_of_many_contenders_the_best_and_the_baseline_are_drawn(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_MOST_DRAWN", 2)
    add(board, "many", ("slow", "middle", "fast"), seed=30)
    text = page.render(board)[board / "README.md"].decode()
    assert text.count("Drawn are 2 of 3: the best and the reference; the tables hold all.") == 1
