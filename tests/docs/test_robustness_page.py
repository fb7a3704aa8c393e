"""docs/robustness.md names the test behind each line: it is there."""

import re

from doc_blocks import ROOT

PAGE = (ROOT / "docs" / "robustness.md").read_text()


def test_every_test_that_the_page_names_is_there() -> None:
    suites = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "archbench" / "testing").glob("*.py")]
    tests = {name for path in suites for name in re.findall(r"def (test_\w+)\(", path.read_text())}
    named = re.findall(r"`(test_\w+?)(_?\.\.\.)?`", PAGE)
    assert len(named) > 30
    for name, cut in named:
        assert any(test.startswith(name) if cut else test == name for test in tests), name
    for file in re.findall(r"`(?:[\w/]*/)?(test_\w+\.py)`", PAGE):
        assert any(path.name == file for path in suites), file
    for path in re.findall(r"`((?:tests|archbench|benchmarks)/[\w/.]+)", PAGE):
        assert (ROOT / path).exists(), path
