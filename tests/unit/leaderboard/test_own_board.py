"""One's own leaderboard: entries beside the published ones of their protocols, marked apart."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_boards import LAW, identified, scan

from archbench.contracts.report import ScanResults
from archbench.leaderboard import folders, page
from archbench.leaderboard.board import read_board
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.entry_files import write_entry
from archbench.leaderboard.folders import OWN, PUBLISHED
from archbench.leaderboard.groups import Whose, grouped
from archbench.leaderboard.page_cache import PageCache
from archbench.leaderboard.standings import make_standings
from archbench.report.words import number
from archbench.results.runs import RunRecord
from archbench.testing.synthetic import synthetic_records

pytestmark = pytest.mark.thorough


@pytest.fixture
def published(results: ScanResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the made-up scan is published, as the working directory."""
    monkeypatch.chdir(tmp_path)
    for entry in make_entries(results):
        write_entry(PUBLISHED, entry)
    return PUBLISHED


@pytest.fixture(scope="module")
def mine() -> ScanResults:
    """A scan of one's own: a new architecture, and gpt2 trained again from other seeds."""
    records = [*synthetic_records("fresh", replace(LAW, A=11.5), seed=4), *synthetic_records("gpt2", LAW, seed=40)]
    return scan("mine", [other_seed(identified(record)) for record in records])


def other_seed(record: RunRecord) -> RunRecord:
    return identified(replace(record, seed=record.seed + 100))


def write_own(*entries: LeaderboardEntry) -> None:
    for entry in entries:
        write_entry(OWN, entry)


def rows_of(text: str) -> dict[str, str]:
    """Name in the first column of names -> row, of the main tables."""
    return {line.split("[")[1].split("]")[0]: line for line in text.splitlines() if "evidence/" in line and "|" in line}


def test_own_entries_stand_beside_published_ones_of_their_protocol_marked_apart(
    published: Path, mine: ScanResults, kept: PageCache
) -> None:
    page.write(published, kept)
    before = {path: path.read_bytes() for path in published.rglob("*") if path.is_file()}
    write_own(*make_entries(mine))
    page.write(OWN, kept)
    text = (OWN / "README.md").read_text()
    rows = rows_of(text)
    assert rows.keys() == {"gpt2", "reformer", "twin", "fresh (own)", "gpt2 (own)"}
    for name, scan_name in (("fresh", "mine"), ("gpt2", "mine")):
        assert f"[{name} (own)](evidence/{scan_name}--{name}.md)" in rows[f"{name} (own)"]
        assert "| own: " in rows[f"{name} (own)"]
        assert (OWN / f"evidence/{scan_name}--{name}.md").is_file()
    assert "(../../leaderboard/evidence/demo--reformer.md)" in rows["reformer"]
    assert "| published: " in rows["reformer"]
    assert "multipliers over gpt2, at losses of" in text
    assert "Masked language models" not in text
    assert "[All that is published](../../leaderboard/README.md) (entries: 4)" in text
    assert 'href="../../leaderboard/evidence/demo--twin.html"' in (OWN / "index.html").read_text()
    assert {path: path.read_bytes() for path in published.rglob("*") if path.is_file()} == before
    assert page.check(OWN, kept) == page.check(published, kept) == []


def test_what_is_published_is_ranked_and_named_as_before(results: ScanResults, mine: ScanResults) -> None:
    by_itself = make_standings(make_entries(results))[0].main
    beside = make_standings(make_entries(mine), published=make_entries(results))[0].main
    assert (beside.reference, beside.window_nats) == (by_itself.reference, by_itself.window_nats)
    whose = {row.name: row.whose for row in beside.rows}
    assert whose == {row.name: Whose.PUBLISHED for row in by_itself.rows} | {
        "fresh (own)": Whose.OWN, "gpt2 (own)": Whose.OWN
    }  # fmt: skip
    assert {row.whose for row in by_itself.rows} == {None}


def test_a_published_scan_that_was_trained_again_appears_once_and_says_how_near_it_came(
    results: ScanResults, published: Path, kept: PageCache
) -> None:
    gpt2 = next(entry for entry in make_entries(results) if entry.contender == "gpt2")
    (again,) = make_entries(scan("again", [elsewhere(one) for one in results.records if one.contender == "twin"]))
    write_own(gpt2, again)
    text = page.render(OWN, kept)[OWN / "README.md"].decode()
    assert rows_of(text).keys() == {"gpt2", "reformer", "twin"}
    assert text.count("| published and own: ") == 2
    assert "gpt2 was trained here too, to the same final losses; the table holds what was published." in text
    most = max(run.final_loss_nats or 0.0 for run in again.runs) * 2e-6
    assert f"twin was trained here too, to final losses that differ by up to {number(most)} nats;" in text
    assert "[Yours](evidence/again--twin.md)." in text


def elsewhere(record: RunRecord) -> RunRecord:
    """`record` as another machine might give it: the last loss differs in its sixth digit."""
    end = record.curve[-1]
    bits = None if end.bits_per_byte is None else 1.000002 * end.bits_per_byte
    end = replace(end, validation_loss_nats=1.000002 * end.validation_loss_nats, bits_per_byte=bits)
    return replace(record, curve=(*record.curve[:-1], end))


def test_own_entries_of_another_protocol_stand_alone_and_the_page_says_so(
    published: Path, mine: ScanResults, kept: PageCache
) -> None:
    longer = replace(mine, spec={**mine.spec, "scan": {"tokens": 8e6}})
    write_own(*make_entries(longer))
    text = page.render(OWN, kept)[OWN / "README.md"].decode()
    assert rows_of(text).keys() == {"fresh", "gpt2"}
    assert "No published entry has a protocol of yours" in text
    assert text.count("| own: ") == 2


@pytest.mark.parametrize("folder", ["elsewhere", "leaderboard"])
def test_any_other_folder_stands_by_itself(published: Path, mine: ScanResults, kept: PageCache, folder: str) -> None:
    for entry in make_entries(mine):
        write_entry(Path(folder), entry)
    text = page.render(Path(folder), kept)[Path(folder) / "README.md"].decode()
    assert "published" not in text.partition("## How to read it")[0]
    assert "(own)" not in text


def test_own_entries_by_themselves_are_a_page_like_any_other(
    mine: ScanResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: PageCache
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folders, "_FOLDERS", (folders.PUBLISHED,))
    write_own(*make_entries(mine))
    for entry in make_entries(mine):
        write_entry(Path("elsewhere"), entry)
    own, other = page.render(OWN, kept), page.render(Path("elsewhere"), kept)
    assert {path.relative_to(OWN): text for path, text in own.items()} == {
        path.relative_to("elsewhere"): text for path, text in other.items()
    }


def test_the_page_follows_what_is_published_whatever_is_kept(
    results: ScanResults, published: Path, mine: ScanResults, tmp_path: Path
) -> None:
    cache = PageCache(tmp_path / "cache")
    write_own(*make_entries(mine))
    whole = page.render(OWN, cache)
    (published / "entries" / "demo--reformer.json").unlink()
    fewer = page.render(OWN, cache)
    assert fewer != whole
    assert fewer == page.render(OWN)


def test_a_published_entry_that_is_damaged_is_named_and_hides_no_own_one(
    published: Path, mine: ScanResults, kept: PageCache
) -> None:
    path = published / "entries" / "demo--reformer.json"
    path.write_bytes(path.read_bytes().replace(b'"seed": 0', b'"seed": 1', 1))
    write_own(*make_entries(mine))
    board = read_board(OWN, kept)
    (problem,) = board.left_out
    assert problem.startswith(f"{path}: is damaged")
    assert problem.endswith("write it again with `archbench leaderboard add SCAN`")
    assert [entry.contender for entry in board.entries] == ["fresh", "gpt2"]
    assert [entry.contender for entry in board.published or ()] == ["gpt2", "twin"]


def test_a_damaged_entry_of_ones_own_is_written_again_where_it_stands(mine: ScanResults, published: Path) -> None:
    write_own(*make_entries(mine))
    (OWN / "entries" / "mine--gpt2.json").write_text("{}")
    (problem,) = read_board(OWN).left_out
    assert problem.endswith("write it again with `archbench leaderboard --leaderboard results/leaderboard add SCAN`")


def test_ones_own_are_drawn_however_many_are_better(
    published: Path, mine: ScanResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "_MOST_DRAWN", 3)
    write_own(*make_entries(mine))
    made = page.render(OWN)
    assert "Drawn are 3 of 5: yours, the best and the reference" in made[OWN / "README.md"].decode()
    (chart,) = [content.decode() for path, content in made.items() if path.name == "index.html"]
    drawn = chart.partition('id="charts">')[2]
    assert all(f'"{name}"' in drawn for name in ("gpt2", "gpt2 (own)", "fresh (own)"))
    assert '"twin"' not in drawn


def test_names_of_own_entries_are_told_apart_from_each_other_and_from_published_ones(
    results: ScanResults, mine: ScanResults
) -> None:
    first = next(entry for entry in make_entries(mine) if entry.contender == "gpt2")
    second = first.model_copy(update={"scan": "second", "runs": first.runs[1:]})
    stranger = first.model_copy(update={"contender": "fresh (own)", "runs": first.runs[2:]})
    fresh = first.model_copy(update={"contender": "fresh", "runs": first.runs[3:]})
    published = next(entry for entry in make_entries(results) if entry.contender == "gpt2")
    (group,) = grouped([first, second, fresh], [published, stranger])
    assert list(group.members()) == [
        "fresh (own)", "gpt2", "fresh (own)-2", "gpt2 (mine, own)", "gpt2 (second, own)"
    ]  # fmt: skip
