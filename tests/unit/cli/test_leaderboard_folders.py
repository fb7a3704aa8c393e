"""Which folder each leaderboard command reads and writes, and what it says where there is nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from archbench.cli.leaderboard import leaderboard
from archbench.errors import SpecError
from archbench.leaderboard import folders
from archbench.leaderboard.folders import OWN, PUBLISHED
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

SEEDS = {"theirs": (2, 2, 2), "mine": (3, 2, 2)}


@pytest.fixture
def folder(tmp_path: Path, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: two scans in its store, and no leaderboard."""
    law = SyntheticLaw(noise_std=0.003)
    for name, seeds in SEEDS.items():
        scan = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=seeds, points=6)
        fill(RunStore(tmp_path / "runs"), name, synthetic_records("gpt2", law, scan))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def archbench(*arguments: object) -> Any:
    return CliRunner().invoke(leaderboard, [str(one) for one in arguments])


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_where_no_entry_is_one_line_says_so_and_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_FOLDERS", (PUBLISHED,))
    said = archbench()
    assert (said.exit_code, said.stdout) == (0, "")
    assert said.stderr == (
        "no entry is here, neither of your own (results/leaderboard) nor published (leaderboard); `archbench run SPEC` "
        "makes yours\n"
    )
    assert not (folder / "results").exists()
    assert not (folder / "leaderboard").exists()
    assert json.loads(archbench("--json").stdout) == {"changed": [], "problems": [], "standings": [], "verdicts": {}}
    assert archbench("--check").stderr.endswith("out of date; `archbench leaderboard add SCAN` makes them\n")


def test_outside_of_a_clone_the_published_ones_are_those_that_came_with_archbench(folder: Path) -> None:
    shown = archbench()
    assert shown.stderr.startswith("no entry of your own yet (results/leaderboard); ")
    board = shown.stderr.split("published: ")[1].removesuffix("/README.md\n")
    assert Path(board).is_absolute()
    assert len(folders.entry_paths(Path(board))) > 0
    assert not (folder / "leaderboard").exists()


def test_add_publishes_and_what_is_published_is_shown_without_a_page_of_ones_own(folder: Path) -> None:
    added = archbench("add", "theirs")
    assert added.exit_code == 0, added.output
    assert added.stdout.splitlines()[0] == "leaderboard/entries/theirs--gpt2.json"
    assert {path.parts[0] for path in map(Path, added.stdout.splitlines())} == {"leaderboard"}
    shown = archbench()
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr.startswith("no entry of your own yet (results/leaderboard); ")
    assert shown.stderr.endswith("1 entry published: leaderboard/README.md\n")
    assert not (folder / "results").exists()
    assert archbench("--check").exit_code == 0


def test_standings_are_of_both_and_say_whose(folder: Path) -> None:
    assert archbench("add", "theirs").exit_code == 0
    assert archbench("--leaderboard", OWN, "add", "mine").exit_code == 0
    before = files(PUBLISHED)
    shown = archbench("--json")
    assert shown.exit_code == 0, shown.output
    assert {(row["name"], row["whose"]) for row in json.loads(shown.stdout)["standings"]} == {
        ("gpt2", "published"),
        ("gpt2 (own)", "own"),
    }
    (OWN / "README.md").write_text("edited")
    assert archbench("--check").exit_code == 0, "published pages are checked"
    assert archbench("--check", "--leaderboard", OWN).exit_code == 1
    again = archbench()
    assert again.stdout == "results/leaderboard/README.md\n"
    assert again.stderr == (
        "1 entry of your own (results/leaderboard) beside 1 published (leaderboard), of which 1 has a protocol of "
        "yours: results/leaderboard/README.md\n"
    )
    alone = json.loads(archbench("--leaderboard", PUBLISHED, "--json").stdout)["standings"]
    assert {(row["name"], row["whose"]) for row in alone} == {("gpt2", None)}
    assert files(PUBLISHED) == before


def test_check_takes_the_published_entries_and_says_where_there_are_none(folder: Path) -> None:
    assert archbench("--leaderboard", OWN, "add", "mine").exit_code == 0
    none = archbench("check")
    assert (none.exit_code, none.stdout) == (0, "")
    assert none.stderr == (
        "leaderboard/entries: there is no entry; `archbench leaderboard add SCAN` publishes a scan's\n"
    )
    assert archbench("add", "theirs").exit_code == 0
    assert archbench("check").stdout.startswith("leaderboard/entries/theirs--gpt2.json: ")
    assert archbench("--leaderboard", OWN, "check").stdout.startswith(f"{OWN}/entries/mine--gpt2.json: ")


def test_a_folder_that_is_named_and_absent_is_a_mistake(folder: Path) -> None:
    error = archbench("--leaderboard", "leaderbord").exception
    assert isinstance(error, SpecError)
    assert str(error) == (
        "leaderbord: there is no such folder; `archbench leaderboard --leaderboard leaderbord add SCAN` makes it"
    )
    assert not (folder / "leaderbord").exists()


def test_a_page_that_is_out_of_date_names_the_command_that_renders_it(folder: Path) -> None:
    assert archbench("add", "theirs").exit_code == 0
    (PUBLISHED / "README.md").write_text("edited")
    said = archbench("--check").stderr
    assert said.endswith(
        "1 file is out of date; `archbench leaderboard --leaderboard leaderboard` renders them again\n"
    )
    assert archbench("--leaderboard", PUBLISHED).exit_code == 0
    assert archbench("--check").exit_code == 0
