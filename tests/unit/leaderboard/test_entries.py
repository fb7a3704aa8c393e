"""Entries: what they give back, what of them is refused by name, and older formats."""

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_boards import LAW, edit, identified, left_out, scan

from archbench.contracts.report import ScanResults
from archbench.errors import ArchbenchError, SpecError
from archbench.host import default_host
from archbench.leaderboard import page
from archbench.leaderboard.board import read_board
from archbench.leaderboard.bounds import MAX_ENTRY_BYTES
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry import FORMAT, LeaderboardEntry
from archbench.leaderboard.entry_files import add_entry, read_entry, write_entry
from archbench.leaderboard.forgery import check_figures, upgraded
from archbench.leaderboard.page_cache import PageCache
from archbench.leaderboard.replan import Replanned, replan
from archbench.leaderboard.submission import check_submission
from archbench.results.runs import RunState
from archbench.runs.files import NewerFormat
from archbench.runs.sealed import seal
from archbench.spec.identity import IDENTITY_FORMAT
from archbench.testing.synthetic import SyntheticScan, synthetic_records

NESTED: dict[str, Any] = {}
for _ in range(40):
    NESTED = {"deeper": NESTED}


def test_an_entry_gives_back_the_very_curves_that_it_was_made_from(results: ScanResults, board: Path) -> None:
    entry = read_entry(board / "entries" / "demo--gpt2.json")
    originals = {record.run_id: record for record in results.records if record.contender == "gpt2"}
    assert {record.run_id: record.curve for record in entry.records()} == {
        run_id: record.curve for run_id, record in originals.items()
    }


def test_figures_computed_again_from_an_entrys_own_curves_are_those_stated(board: Path) -> None:
    for path in (board / "entries").iterdir():
        assert check_figures(read_entry(path)) == []


def test_an_entry_names_only_its_own_plug_in(board: Path) -> None:
    assert read_entry(board / "entries" / "demo--reformer.json").environment["plugins"] == {"reformer": {"plugin": "r"}}


def test_a_forged_figure_is_refused_and_named(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    edit(path, "figures", "exact", "alpha", value=0.2)
    assert f"{path}: exact: alpha is stated as 0.2, its curves give 0.09" in left_out(board, kept)
    assert "(evidence/demo--gpt2.md)" not in page.render(board, kept)[board / "README.md"].decode()


def test_a_forged_curve_is_refused_by_the_figures_that_it_gives(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    losses = json.loads(path.read_text())["runs"][0]["curve"]["validation_loss_nats"]
    edit(path, "runs", 0, "curve", "validation_loss_nats", value=[loss * 0.9 for loss in losses])
    assert "its curve is not the one whose hash it states" in left_out(board, kept)
    edit(path, "runs", 0, "curve_sha256", value=None)
    assert "its curves give" in left_out(board, kept)


def test_a_forged_identity_is_refused_by_its_hash(board: Path) -> None:
    path = board / "entries" / "demo--gpt2.json"
    edit(path, "runs", 0, "identity", "seed", value=99)
    with pytest.raises(SpecError, match="its id is not the hash of its identity"):
        read_entry(path)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("track",), None, "track: Input should be a valid string"),
        (("track",), "../../causal", "track: String should match pattern"),
        (("family",), "a/b", "family: String should match pattern"),
        (("scan",), "s" * 129, "has 129 characters, a name has at most 128"),
        (("runs",), [], "runs: Tuple should have at least 1 item"),
        (("environment", "plugins"), [1], "environment: Value error, plugins: expected an object, got list"),
        (("environment", "controls"), [1], "environment: Value error, controls: expected an object, got list"),
        (("spec", "data"), NESTED, "spec: Value error, has more than 32 levels"),
        (("runs", 0, "seed"), "7", "runs.0.seed: Input should be a valid integer"),
        (("runs", 0, "non_embedding_params"), 10**19, "runs.0.non_embedding_params: Input should be less than or"),
        (
            ("runs", 0, "curve", "validation_loss_nats", 3),
            -5.0,
            "nats.3: Input should be greater than 0",
        ),
        (
            ("runs", 0, "curve", "validation_loss_nats", 3),
            1e308,
            "nats.3: Input should be less than or",
        ),
        (("runs", 0, "curve", "exact_flops", 3), 1e308, "exact_flops.3: Input should be less than or equal to 1"),
        (("runs", 0, "curve", "exact_flops", 3), "1e9", "exact_flops.3: Input should be a valid number"),
        (("runs", 0, "curve", "exact_flops", 3), 0.5, "exact_flops: falls from one point to the next"),
        (("runs", 0, "curve", "step", 3), 0, "step: does not rise from point to point"),
        (("runs", 0, "curve", "validation_loss_nats", 3), 1.33, "point 3: .* belie each other"),
        (("runs", 0, "curve", "finished", 3), 1, "finished.3: Input should be a valid boolean"),
        (("colour",), "red", "colour: Extra inputs are not permitted"),
        (("runs", 0, "run_id"), "abc", "runs.0.run_id: String should match pattern"),
        (("runs", 0, "curve", "step"), [1], "columns of a curve differ in length"),
        (("format",), 0, "format is 0"),
        (("format",), 9, "has format 9, this archbench reads up to 4; update archbench"),
    ],
)
def test_a_malformed_entry_is_one_clear_line(board: Path, keys: tuple[Any, ...], value: Any, message: str) -> None:
    path = board / "entries" / "demo--gpt2.json"
    edit(path, *keys, value=value)
    with pytest.raises(ArchbenchError, match=message) as caught:
        read_entry(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def of_format_1(path: Path) -> None:
    """Makes the entry what the first format held: no back-tests, no hashes of curves, no dates."""
    content = json.loads(path.read_text()) | {"format": 1}
    for figure in content["figures"].values():
        del figure["back_test_error"]
    for run in content["runs"]:
        del run["curve_sha256"]
        del run["arithmetic"]
    for name in ("family", "added", "history", "digest"):
        del content[name]
    path.write_text(json.dumps(content))


def test_an_entry_of_the_first_format_is_shown_and_written_anew_from_its_curves(board: Path, kept: PageCache) -> None:
    page.write(board, kept)
    text = (board / "README.md").read_bytes()
    path = board / "entries" / "demo--gpt2.json"
    now = path.read_bytes()
    of_format_1(path)
    assert page.check(board, kept) == [f"{path}: is of format 1, not 4"]
    assert page.write(board, kept) == [path]
    assert path.read_bytes() == now
    assert (board / "README.md").read_bytes() == text


def test_a_forged_back_test_is_refused(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    edit(path, "figures", "exact", "back_test_error", value=0.0)
    assert "exact: back_test_error is stated as 0.0, its curves give" in left_out(board, kept)


def test_a_contender_without_a_usable_run_gets_no_entry(results: ScanResults) -> None:
    failed = [replace(record, state=RunState.FAILED) for record in results.records if record.contender == "gpt2"]
    assert make_entries(replace(results, records=tuple(failed))) == []


def test_noise_that_few_seeds_borrow_from_the_other_contenders_is_no_forgery(tmp_path: Path, kept: PageCache) -> None:
    """Two seeds at one size are not enough for noise of their own, and an entry holds no other contender's runs."""
    few = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(2, 1, 1))
    records = [
        *synthetic_records("gpt2", LAW, few),
        *synthetic_records("reformer", replace(LAW, noise_std=0.03), few, seed=1),
    ]
    for entry in make_entries(scan("few", [identified(record) for record in records])):
        assert check_figures(entry) == []
        write_entry(tmp_path, entry)
    page.write(tmp_path, kept)


def test_an_entry_that_is_replaced_stays_in_the_history_of_the_new_one(
    entries: list[LeaderboardEntry], tmp_path: Path, kept: PageCache
) -> None:
    first, then = datetime.date(2026, 1, 1), datetime.date(2026, 2, 1)
    old = next(entry for entry in entries if entry.contender == "gpt2")
    path = add_entry(tmp_path, old, first)
    unchanged = path.read_bytes()
    add_entry(tmp_path, old, then)
    assert path.read_bytes() == unchanged
    others = [identified(record) for record in synthetic_records("gpt2", replace(LAW, A=12), seed=9)]
    (new,) = make_entries(scan("demo", others))
    add_entry(tmp_path, new, then)
    stored = read_entry(path)
    assert stored.added == then
    assert [past.until for past in stored.history] == [then]
    assert stored.history[0].figures == old.figures
    text = page.render(tmp_path, kept)[tmp_path / "README.md"].decode()
    history = text.split("## History")[1].split("##")[0]
    assert "| 2026-02-01 | [gpt2 of demo](evidence/demo--gpt2.md) |" in history


def test_an_entry_of_a_newer_version_is_refused_with_what_to_do_and_not_replaced(
    entries: list[LeaderboardEntry], tmp_path: Path, kept: PageCache
) -> None:
    entry = next(entry for entry in entries if entry.contender == "gpt2")
    path = add_entry(tmp_path, entry, datetime.date(2026, 1, 1))
    whole = json.loads(path.read_bytes())
    del whole["digest"]
    of_the_entry = seal({**whole, "later": 1}, FORMAT + 1)
    whole["runs"][0]["identity"] |= {"format": IDENTITY_FORMAT + 1, "later": 1}
    of_an_identity = seal(whole, FORMAT)
    for newer, latest in ((of_the_entry, FORMAT), (of_an_identity, IDENTITY_FORMAT)):
        path.write_bytes(newer)
        problem = f"has format {latest + 1}, this archbench reads up to {latest}; update archbench"
        assert left_out(tmp_path, kept).endswith(problem)
        with pytest.raises(NewerFormat, match=f"{problem}$"):
            add_entry(tmp_path, entry, datetime.date(2026, 2, 1))
        (refused,) = check_submission(path, default_host()).problems
        assert refused.endswith(problem)
        assert path.read_bytes() == newer


@pytest.mark.parametrize("number", [b"1e308", b"1" + b"0" * 400, b"-5.0", b"NaN", b"1e999"])
def test_a_number_that_no_run_can_have_measured_is_refused_with_the_files_name(board: Path, number: bytes) -> None:
    path = stranger(board, number)
    with pytest.raises(ArchbenchError, match=re.escape(str(path))):
        read_entry(path)


def test_one_strangers_entry_never_stops_the_page(board: Path, kept: PageCache) -> None:
    path = stranger(board, b"1" + b"0" * 400)
    assert board / "README.md" in page.write(board, kept)
    assert str(path) in left_out(board, kept)


def stranger(board: Path, number: bytes) -> Path:
    """An entry of somebody else, in which one loss is `number`."""
    whole = (board / "entries" / "demo--twin.json").read_bytes()
    theirs = re.sub(rb'("validation_loss_nats": \[\s+)[0-9.]+', rb"\g<1>" + number, whole, count=1)
    assert theirs != whole
    path = board / "entries" / "demo--stranger.json"
    path.write_bytes(theirs)
    return path


def test_an_entry_under_another_name_replaces_nothing(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    of_format_1(path)
    copy = path.with_name("demo--copy.json")
    copy.write_bytes(path.read_bytes().replace(b"Made up", b"Made over"))
    read = read_board(board, kept)
    (problem,) = read.left_out
    assert problem.startswith(f"{copy}: the file must be called demo--gpt2.json")
    assert "Made over" not in {entry.description for entry in read.entries}


def test_what_is_too_large_is_not_read(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    with path.open("ab") as stream:
        stream.truncate(MAX_ENTRY_BYTES + 1)
    assert "bytes, at most" in left_out(board, kept)


def test_a_curve_of_a_million_points_is_refused_before_it_is_analysed(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    content = json.loads(path.read_text())
    curve = content["runs"][0]["curve"]
    for name, column in curve.items():
        curve[name] = list(range(100_000)) if name == "step" else column[-1:] * 100_000
    path.write_text(json.dumps(content))
    del content["digest"]
    path.write_bytes(seal(content, content["format"]))
    assert "should have at most 10001 items" in left_out(board, kept)


def test_entries_of_0_1_0_are_opened_and_written_anew_in_the_format_of_today(tmp_path: Path) -> None:
    old = Path(__file__).parents[2] / "golden" / "release_0_1_0" / "entries"
    for path in sorted(old.glob("*.json")):
        entry = read_entry(path)
        assert entry.format == 3
        new = read_entry(write_entry(tmp_path, upgraded(entry)))
        assert (new.format, new.runs) == (4, entry.runs)
        assert check_figures(entry) == check_figures(new) == []


LINES = {"unigram": 5.0, "bigram": 4.0, "trigram": 3.5}


def with_lines(records: Any, lines: dict[str, float]) -> list[Any]:
    return [identified(replace(record, reference_lines=lines)) for record in records]


def test_reference_lines_travel_in_an_entry_and_one_without_them_keeps_its_bytes(tmp_path: Path) -> None:
    records = synthetic_records("gpt2", LAW, SyntheticScan(seeds=(1, 1, 1, 1, 1)))
    (bare,) = make_entries(scan("demo", [identified(record) for record in records]))
    assert b"reference_lines" not in write_entry(tmp_path, bare).read_bytes()
    (entry,) = make_entries(scan("demo", with_lines(records, LINES)))
    found = read_entry(write_entry(tmp_path, entry))
    assert [record.reference_lines for record in found.records()] == [LINES] * 5
    assert check_figures(found) == []


def test_other_reference_lines_are_other_runs_and_without_lines_the_hash_is_what_it_was() -> None:
    records = synthetic_records("gpt2", LAW, SyntheticScan(seeds=(1, 1, 1, 1, 1)))
    bare, one, other = (
        make_entries(scan("demo", with_lines(records, lines)))[0] for lines in ({}, LINES, LINES | {"bigram": 4.5})
    )
    assert len({bare.runs_sha256, one.runs_sha256, other.runs_sha256}) == 3
    path = Path(__file__).parents[2] / "golden" / "byte_level" / "reformer--gpt2.json"
    assert read_entry(path).runs_sha256 == "7569256bfa6a11eb6688f07f1da3456ae776091bfdf4223d66ed46cfb462dd1e"


def test_lines_that_are_none_are_refused(tmp_path: Path) -> None:
    records = synthetic_records("gpt2", LAW, SyntheticScan(seeds=(1, 1, 1, 1, 1)))
    (entry,) = make_entries(scan("demo", with_lines(records, LINES)))
    path = write_entry(tmp_path, entry)
    edit(path, "runs", 0, "reference_lines", value={"bigram": 4.0})
    with pytest.raises(SpecError, match="expected unigram, bigram, trigram or unigram, neighbours"):
        read_entry(path)


def test_entries_on_the_plateau_are_listed_and_unranked_with_the_reason(tmp_path: Path) -> None:
    plan = SyntheticScan(seeds=(1, 1, 1, 1, 1))
    records = [
        *with_lines(synthetic_records("gpt2", LAW, plan), {"unigram": 3.0, "bigram": 2.5, "trigram": 2.0}),
        *with_lines(synthetic_records("reformer", LAW, plan, seed=1), {"unigram": 9.0, "bigram": 8.0, "trigram": 2.0}),
    ]
    for entry in make_entries(scan("demo", records)):
        assert read_entry(write_entry(tmp_path, entry)).contender == entry.contender
    text = page.render(tmp_path)[tmp_path / "README.md"].decode()
    row = next(line for line in text.splitlines() if "demo--gpt2" in line)
    assert row.startswith("| - |")
    assert "`on_plateau`" in row
    assert "gpt2 has no place: on_plateau: all 5 sizes of gpt2 end on or above the bigram line" in text
    assert "multipliers over reformer" in text


def test_an_entry_of_0_1_0_is_planned_anew_from_its_spec() -> None:
    """Its spec sets `execution.kernels`, which is gone."""
    old = Path(__file__).parents[2] / "golden" / "release_0_1_0" / "entries"
    for path in sorted(old.glob("*.json")):
        entry = read_entry(path)
        assert "kernels" in entry.spec["execution"]
        replanned = replan(entry, default_host())
        assert replanned.problems == ()
        assert replanned == Replanned() or "embeddings: unknown key" in (replanned.unchecked or "")
