"""A clone stays clean: one's own results stand beside the published ones, and are published when that is said."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL_SCAN, archbench, write_texts

ROOT = Path(__file__).parents[2]
SPEC = (
    SMALL_SCAN
    + """\
name: tiny
contenders: {gpt2: {architecture: {kind: gpt2}}}
scan: {sizes: [5e3, 1e4], seeds: {smallest_two: 1}, tokens: 1280}
"""
)
OTHER_RATE = ("-o", "training.learning_rate=2e-3", "--runs", "runs/other")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of a repository with archbench's own .gitignore, a spec, and the published entry that it gave."""
    published = tmp_path_factory.mktemp("published")
    git(published, "init", "--quiet")
    shutil.copy(ROOT / ".gitignore", published)
    (published / "tiny.yaml").write_text(SPEC)
    write_texts(published, 8)
    said(published, "run", "tiny.yaml")
    said(published, "leaderboard", "add", "tiny.yaml")
    git(published, "add", "--all")
    git(published, "commit", "--quiet", "--message", "A scan, published")
    clone = tmp_path_factory.mktemp("clones") / "clone"
    git(published, "clone", "--quiet", str(published), str(clone))
    return clone


def said(folder: Path, *arguments: str) -> Any:
    """A command in `folder` that ends well, its cache beside the folder."""
    done = archbench(folder, *arguments, cache=folder.parent / "cache")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("git") is None, reason="git says whether a clone is clean")
def test_a_clone_is_clean_after_runs_of_a_scan_that_is_published_otherwise(clone: Path) -> None:
    assert [path.name for path in (clone / "leaderboard" / "entries").iterdir()] == ["tiny--gpt2.json"]
    before = files(clone / "leaderboard")

    # The published entry has this scan's name and another rate: it is no obstacle, and stays as it is.
    ran = said(clone, "run", "tiny.yaml", *OTHER_RATE)
    assert "leaderboard  results/leaderboard/README.md" in ran.stdout.splitlines()
    assert git(clone, "status", "--porcelain") == ""
    again = said(clone, "run", "tiny.yaml", *OTHER_RATE)
    assert "nothing to train" in again.stdout
    assert [path.name for path in (clone / "results/leaderboard/entries").iterdir()] == ["tiny--gpt2.json"]
    page = (clone / "results/leaderboard/README.md").read_text()
    assert "| [gpt2](../../leaderboard/evidence/tiny--gpt2.md) |" in page
    assert "| [gpt2 (own)](evidence/tiny--gpt2.md) |" in page
    shown = said(clone, "leaderboard")
    assert "1 entry of your own (results/leaderboard) beside 1 published (leaderboard), of which 1 has" in shown.stderr
    assert git(clone, "status", "--porcelain") == ""
    assert files(clone / "leaderboard") == before
