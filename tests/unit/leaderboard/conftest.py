"""A leaderboard of one made-up scan."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_boards import LAW, identified, scan

from archbench.contracts.report import ScanResults
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.entry_files import write_entry
from archbench.leaderboard.page_cache import PageCache
from archbench.testing.synthetic import synthetic_records


@pytest.fixture(scope="session")
def results() -> ScanResults:
    records = [
        *synthetic_records("gpt2", LAW),
        *synthetic_records("reformer", replace(LAW, A=13), seed=1),
        *synthetic_records("twin", LAW, seed=2),
        *synthetic_records("bert", LAW, seed=3, track="masked"),
    ]
    return scan("demo", [identified(record) for record in records])


@pytest.fixture(scope="session")
def entries(results: ScanResults) -> list[LeaderboardEntry]:
    """One a contender."""
    return make_entries(results)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> PageCache:
    """What one test computed from its entries is not computed again for those of the next."""
    return PageCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def board(entries: list[LeaderboardEntry], tmp_path: Path) -> Path:
    for entry in entries:
        write_entry(tmp_path, entry)
    return tmp_path
