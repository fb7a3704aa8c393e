"""The tables of the search for a protocol are what its commands print from the committed records."""

import tarfile
from pathlib import Path

import protocol_table
import pytest
import tuning_table

STUDIES = Path(__file__).parents[2] / "docs" / "studies"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    with tarfile.open(STUDIES / "search_runs.tar.xz") as records:
        records.extractall(folder, filter="data")
    return folder


def rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]


@pytest.mark.parametrize(("page", "table"), [("protocol.md", protocol_table), ("rates.md", tuning_table)])
def test_the_page_has_every_row_that_the_command_prints(
    page: str, table: object, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.main(runs)  # type: ignore[attr-defined]
    printed = rows(capsys.readouterr().out)
    assert len(printed) > 10
    assert rows((STUDIES / page).read_text()) == printed
