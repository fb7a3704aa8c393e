"""The executor on the page of clusters is one: it passes the suite that archbench's own pass."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from doc_blocks import ROOT, Block, blocks_of

PAGE = ROOT / "docs" / "cluster.md"
MOST_LINES = 90
"""Of the executor, blank ones and imports included: it is to be read."""


def examples() -> tuple[Block, Block]:
    """The executor and its tests."""
    first, second = (block for block in blocks_of(PAGE) if block.language == "python")
    return first, second


def test_the_executor_of_the_page_is_short() -> None:
    executor, _ = examples()
    assert executor.text.startswith("# background.py\n")
    lines = [line for line in executor.text.splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
    assert ast.parse(executor.text)


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(1200)
def test_the_executor_of_the_page_passes_the_suite(tmp_path: Path) -> None:
    executor, tests = examples()
    (tmp_path / "background.py").write_text(executor.text)
    (tmp_path / "test_background.py").write_text(tests.text.replace('"background.py"', f'"{tmp_path}/background.py"'))
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_background.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
