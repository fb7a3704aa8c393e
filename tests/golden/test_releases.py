"""Stores and entries of every release, as it wrote them: each later version opens, reports, compares and checks them.

A release whose formats differ from the last one's adds a folder: `runs`, a small store that it trained, and `entries`,
what `archbench leaderboard add` made of its scan.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from archbench.cli.main import exit_code_of
from archbench.host import default_host
from archbench.leaderboard.entry import FORMAT, LeaderboardEntry
from archbench.leaderboard.entry_files import read_entry, write_entry
from archbench.leaderboard.forgery import upgraded
from archbench.leaderboard.submission import Checked, check_submission
from archbench.results.runs import RunState
from archbench.runs.store import RunStore

RELEASES = sorted(Path(__file__).parent.glob("release_*"))
OLDER_ENTRIES = sorted(Path(__file__).parent.glob("release_*/entries_of_format_*/*.json"))
"""Entries that stood on the leaderboard of a release, in a format before its own."""

Archbench = Callable[..., str]


@pytest.fixture(scope="module", params=RELEASES, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a release wrote, where commands find it."""
    folder = tmp_path_factory.mktemp(request.param.name)
    shutil.copytree(request.param / "runs", folder / "runs")
    shutil.copytree(request.param / "entries", folder / "leaderboard" / "entries")
    return folder


@pytest.fixture
def archbench(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Archbench:
    """Carries out a command in the folder, which must end well, and gives what it printed."""
    monkeypatch.chdir(folder)

    def carry_out(*words: str) -> str:
        code = exit_code_of(words, debug=False)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    return carry_out


def scan_of(folder: Path) -> str:
    (name,) = RunStore(folder / "runs").scan_names()
    return name


def entries(folder: Path) -> dict[str, LeaderboardEntry]:
    return {path.name: read_entry(path) for path in sorted((folder / "leaderboard" / "entries").glob("*.json"))}


def test_the_first_release_is_there() -> None:
    assert RELEASES[0].name == "release_0_1_0"
    assert OLDER_ENTRIES


def test_every_run_is_there_and_done(folder: Path, archbench: Archbench) -> None:
    store = RunStore(folder / "runs")
    records, problems = store.records(store.scan(scan_of(folder)))
    assert problems == ()
    assert {record.state for record in records} == {RunState.DONE}
    assert len(list(store.directories())) == len(records)
    assert archbench("status", scan_of(folder)).startswith(f"{scan_of(folder)}: {len(records)} done\n")


def test_it_is_reported_and_compared(folder: Path, archbench: Archbench) -> None:
    index = RunStore(folder / "runs").scan(scan_of(folder))
    first, *others = dict.fromkeys(run.contender for run in index.runs)
    verdict = archbench("report", index.name).splitlines()[0]
    assert others[0] in verdict
    assert (folder / "reports" / index.name / "report.html").is_file()
    assert verdict in archbench("compare", first, others[0]).splitlines()


def test_its_entries_are_good_and_their_runs_are_those_of_its_store(folder: Path, archbench: Archbench) -> None:
    stored = entries(folder)
    for name in stored:
        checked = check_submission(folder / "leaderboard" / "entries" / name, default_host())
        assert checked.problems == ()
    archbench("leaderboard", "add", scan_of(folder))
    made = entries(folder)
    assert made.keys() == stored.keys()
    for name, entry in made.items():
        assert entry.runs_sha256 == stored[name].runs_sha256
        assert (entry.added, entry.history) == (stored[name].added, stored[name].history)
        assert check_submission(folder / "leaderboard" / "entries" / name, default_host()).problems == ()
    archbench("leaderboard", "--check")


@pytest.mark.parametrize("path", OLDER_ENTRIES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_entry_of_a_format_that_the_release_read_as_well_is_good_and_written_anew(
    path: Path, tmp_path: Path
) -> None:
    entry = read_entry(path)
    assert path.parent.name == f"entries_of_format_{entry.format}"
    assert check_submission(path, default_host()) == Checked(path, ())
    new = read_entry(write_entry(tmp_path, upgraded(entry)))
    assert (new.format, new.runs) == (FORMAT, upgraded(entry).runs)
    assert [run.curve for run in new.runs] == [run.curve for run in entry.runs]
