"""The table of docs/figures_changed.md is what its script makes of the pages of two commits."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from doc_blocks import ROOT

PAGE = (ROOT / "docs" / "figures_changed.md").read_text()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "benchmarks" / "leaderboard_changes.py"
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_row_of_the_page_is_found(script: ModuleType) -> None:
    page = (ROOT / "leaderboard" / "README.md").read_text().partition("## History")[0]
    rows = [line for line in page.splitlines() if line.startswith("| [") and "](evidence/" in line]
    linked = re.findall(r"\[(\w+)\]\(evidence", "\n".join(rows))
    assert sorted(name for _, name in script.rows_of(page)) == sorted(linked)
    assert linked


def test_rows_of_both_pages_stand_side_by_side(script: ModuleType) -> None:
    def page(*rows: str) -> str:
        head = "| rank | architecture | alpha | multiplier |\n| --- | --- | ---: | ---: |"
        return "\n".join(["## Causal models on text, laptop tier", "", head, *rows])

    before = page("| 1 | [a](x.md) | 0.1 | 2x |", "| 2 | [gone](x.md) | 0.3 | 1x |")
    after = page("| - | [a](y.md) | 0.2 | `extrapolated` |")
    assert script.table(before, after).splitlines()[2:] == [
        "| Causal models | a | 0.1 | 0.2 | 2x | `extrapolated` |",
        "| Causal models | gone | 0.3 | - | 1x | - |",
    ]


def test_the_table_is_what_the_command_beside_it_prints(script: ModuleType) -> None:
    commits = re.search(r"leaderboard_changes\.py --before (\w+) --after (\w+)", PAGE)
    assert commits is not None
    for commit in commits.groups():
        there = subprocess.run(["git", "cat-file", "-e", commit], cwd=ROOT, capture_output=True, check=False)
        if not Path(ROOT / ".git").exists() or there.returncode:
            pytest.skip(f"{commit} is not in this checkout's history")
    assert script.table(*(script.page_of(commit) for commit in commits.groups())) in PAGE
