"""The tutorial, walked: every command ends well and prints what the page shows.

Losses hang on the processor and times on the day, so that lines are compared without their figures, and some may differ
altogether, as a verdict's words do.
"""

import re
from pathlib import Path

import pytest
from doc_blocks import ROOT
from walk import walk

MOST = 0.6
"""Share of the lines shown that must be printed again."""


def masked(line: str) -> str:
    """`line` without ids of runs, archbench's version, figures, units of time and the width of columns."""
    words = re.sub(r"\b[0-9a-f]{12,}\b|(?<=archbench )\d[\w.+]*|[-+−]?\d[\d.,]*(e[-+]?\d+)?[kMGT]?", "#", line)
    return " ".join(re.sub(r"# (ms|s|min|h)\b( # s)?", "# s", words).split())


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_tutorial_is_what_a_reader_sees(tmp_path: Path) -> None:
    walked = 0
    for step in walk(ROOT / "docs" / "tutorial.md", tmp_path):
        assert step.exit_code == 0, f"{step.command}\n{step.printed}"
        assert "Traceback" not in step.printed
        printed = {masked(line) for line in step.printed.splitlines()}
        shown = [masked(line) for line in step.shown.splitlines() if line.strip()]
        again = [line for line in shown if line in printed]
        assert len(again) >= MOST * len(shown), f"{step.command}\n{step.printed}"
        walked += 1
    assert walked > 5
