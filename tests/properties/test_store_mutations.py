"""Stores and entries whose content somebody changed: never a defect, never a file elsewhere, and always a name."""

import copy
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archbench.cli.main import EXIT_DEFECT, exit_code_of
from archbench.leaderboard import page
from archbench.leaderboard.board import read_board
from archbench.leaderboard.page_cache import PageCache
from archbench.runs.sealed import seal

EXAMPLES = int(os.environ.get("ARCHBENCH_MUTATIONS", "10"))
OLD = Path(__file__).parents[1] / "golden" / "release_0_1_0"
HOSTILE: tuple[Any, ...] = (
    *(None, True, -5, 0, 0.5, -1.0, 1e308, -1e308, 5e-324, 1e-30, 2**63, -(10**19), 10**400),
    *("", "x" * 5000, "../../outside", "/outside", "a\x00b", "\u202e", "done", "1e9", [], {}, [[1]], {"a": {"b": []}}),
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an old store and old entries, three levels below the folder that is watched."""
    folder = tmp_path_factory.mktemp("watched") / "a" / "b"
    shutil.copytree(OLD / "runs", folder / "runs")
    shutil.copytree(OLD / "entries", folder / "leaderboard" / "entries")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PageCache:
    """What is computed of the entry that nobody changes is computed once."""
    return PageCache(tmp_path_factory.mktemp("cache"))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from places(item, (*at, key))


def mutated(whole: bytes, rng: random.Random, version: int) -> bytes:
    """`whole` with one to three values changed, removed or doubled; half of the time with a digest that fits."""
    content = json.loads(whole)
    for _ in range(rng.randint(1, 3)):
        *way, key = rng.choice(list(places(content)))
        place = content
        for part in way:
            place = place[part]
        change = rng.randrange(4)
        if change == 0 and isinstance(place, dict):
            del place[key]
        elif change == 1 and isinstance(place, dict):
            place[f"{key}s"] = place[key]
        else:
            place[key] = copy.deepcopy(rng.choice(HOSTILE))  # a later change may be of what is in it
    if rng.random() < 0.5:
        content.pop("digest", None)
        return seal(content, version)
    return json.dumps(content).encode()


def elsewhere(stage: Path) -> dict[Path, bytes]:
    """All files of the watched folder that are no part of the store or the leaderboard."""
    own = (stage / "runs", stage / "leaderboard")
    files = [path for path in stage.parents[1].rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files if not any(path.is_relative_to(one) for one in own)}


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_a_mutated_store_is_read_or_its_file_named(
    stage: Path, capsys: pytest.CaptureFixture[str], rng: random.Random
) -> None:
    store = stage / "runs"
    path = rng.choice(sorted(store.glob("*/*.json")))
    whole, before = path.read_bytes(), elsewhere(stage)
    path.write_bytes(mutated(whole, rng, 2))
    words = rng.choice((["runs", "list"], ["status"], ["status", "old"], ["compare", "softmax", "linear"]))
    try:
        code = exit_code_of([*words, "--runs", str(store), *rng.choice(([], ["--json"]))], debug=False)
        said = "".join(capsys.readouterr())
    finally:
        path.write_bytes(whole)
    assert code != EXIT_DEFECT, said
    assert "Traceback" not in said
    if code:
        assert path.name in said or path.parent.name in said, said
    assert elsewhere(stage) == before


@pytest.mark.timeout(300 + EXAMPLES)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_a_mutated_entry_is_shown_or_left_out_by_name(
    stage: Path, cache: PageCache, capsys: pytest.CaptureFixture[str], rng: random.Random
) -> None:
    board = stage / "leaderboard"
    path = board / "entries" / "old--softmax.json"
    whole, before = path.read_bytes(), elsewhere(stage)
    path.write_bytes(mutated(whole, rng, 4))
    try:
        code = exit_code_of(["leaderboard", "--leaderboard", str(board), "check", str(path)], debug=False)
        read = read_board(board, cache)
        if not read.left_out and rng.random() < 0.2:
            page.write(board, cache, read)
        said = "".join(capsys.readouterr())
    finally:
        path.write_bytes(whole)
    assert code in (0, 1), said
    assert (not code) or f"{path}: refused" in said
    assert all(path.name in line and "\n" not in line for line in read.left_out)
    assert len(read.entries) + len(read.left_out) == 2
    assert elsewhere(stage) == before
