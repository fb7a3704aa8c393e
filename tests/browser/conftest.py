"""A real browser, where the machine has one."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.cli.finish import report_sections
from archbench.contracts.report import ScanResults
from archbench.host import default_host
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry_files import write_entry
from archbench.leaderboard.page import HTML_PAGE
from archbench.leaderboard.page import write as write_board
from archbench.report.writer import PAGE_FILE, write_report
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOSTILE = "<script>xl</script>"


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'"
    )
    found = os.environ.get("ARCHBENCH_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(NAMES)}): apt-get install chromium")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def results() -> ScanResults:
    """Three contenders, one of which has a name that would be markup."""
    law = SyntheticLaw(noise_std=0.003)
    records = [
        *synthetic_records("gpt2", law),
        *synthetic_records("reformer", replace(law, A=12.6), seed=1),
        *synthetic_records(HOSTILE, law, seed=2, capacity_limit=40_000),
    ]
    frontiers, comparisons = analyse_scan(records, baseline="gpt2", options=StudyOptions(num_resamples=200))
    return ScanResults("demo", "Made-up runs", "gpt2", tuple(records), frontiers, comparisons, {"name": "demo"}, {})


@pytest.fixture(scope="session")
def leaderboard_page(tmp_path_factory: pytest.TempPathFactory, results: ScanResults) -> Path:
    """The leaderboard of these contenders."""
    folder = tmp_path_factory.mktemp("board")
    for entry in make_entries(results):
        write_entry(folder, entry)
    write_board(folder)
    return folder / HTML_PAGE


@pytest.fixture(scope="session", params=["report_page", "leaderboard_page"])
def any_page(request: pytest.FixtureRequest) -> Path:
    """Each kind of page."""
    page: Path = request.getfixturevalue(request.param)
    return page


@pytest.fixture(scope="session")
def report_page(tmp_path_factory: pytest.TempPathFactory, results: ScanResults) -> Path:
    """Their report."""
    folder = tmp_path_factory.mktemp("page")
    write_report(results, folder, report_sections(default_host()))
    return folder / PAGE_FILE
