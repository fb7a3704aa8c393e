"""Different names have different files, all of them inside of the folder that they belong to."""

import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from archbench.display import markdown_text, terminal_text
from archbench.leaderboard.entry_files import entry_file
from archbench.names import file_stem, problem_of
from archbench.report.study_tables import study_table_name
from archbench.runs.store import RunStore, ScanIndex

ANYTHING = st.text(max_size=200)
NEAR = st.text(alphabet="aAbB_-.~/ +h01", max_size=8)
"""Names that are near to each other and to what stands in file names."""
NAMES = NEAR | ANYTHING | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,70}", fullmatch=True)
SORTS = ("summary", "points", "trade_offs", "trade_offs_points", "scratch", "scratch_points", "rankings_pairs")


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True))
@settings(max_examples=500)
def test_two_names_have_two_files_on_any_file_system(names: list[str]) -> None:
    one, other = map(file_stem, names)
    assert one.casefold() != other.casefold()


@given(st.lists(st.lists(NEAR, min_size=1, max_size=3).map(tuple), min_size=2, max_size=2, unique=True))
@settings(max_examples=500)
def test_two_lists_of_names_have_two_files(lists: list[tuple[str, ...]]) -> None:
    one, other = (file_stem(*names) for names in lists)
    assert one.casefold() != other.casefold()


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_file_name_is_portable(names: list[str]) -> None:
    stem = file_stem(*names)
    assert re.fullmatch(r"[A-Za-z0-9_.+~-]{1,140}", stem)
    assert stem not in (".", "..")
    assert not stem.startswith(("-", "."))


@given(st.lists(st.tuples(NEAR, st.sampled_from(SORTS)), min_size=2, max_size=2, unique=True))
def test_two_tables_of_studies_have_two_names(tables: list[tuple[str, str]]) -> None:
    one, other = (study_table_name(*table) for table in tables)
    assert one.casefold() != other.casefold()


@given(NAMES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_written_outside_of_the_store_whatever_a_scan_is_called(tmp_path: Path, name: str) -> None:
    store = RunStore(tmp_path / "outer" / "runs")
    store.create()
    index = ScanIndex(name=name, description="", baseline=None, runs=(), spec={}, environment={})
    path = store.save_scan(index)
    assert path.parent == store.scans_dir
    assert store.scan(name) == index
    assert name in store.scan_names()
    path.unlink()
    left = [found for found in tmp_path.rglob("*") if found.is_file() and found != store.scans_dir / ".lock"]
    assert left == []


@given(NAMES, NAMES)
def test_an_entry_stands_among_the_entries_whatever_it_is_of(scan: str, contender: str) -> None:
    assert entry_file(Path("board"), scan, contender).parent == Path("board/entries")


@given(NAMES)
def test_a_name_that_is_allowed_shows_itself_on_terminals_and_in_markdown(name: str) -> None:
    if problem_of(name) is not None:
        return
    assert terminal_text(name) == name
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown_text(name))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children) == " ".join(name.split())
