"""Two architectures are trained; then one of them is taken from its entry, and the comparison is the same."""

import json
from pathlib import Path

import pytest
from command_line import SMALL_SCAN, archbench, write_texts

SPEC = (
    SMALL_SCAN
    + """\
name: both
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
  llama: {architecture: {kind: llama}}
scan: {sizes: [5e3, 1e4, 2e4], seeds: {smallest_two: 1}, tokens: 1280}
"""
)


@pytest.mark.thorough
@pytest.mark.slow
def test_an_entry_stands_in_for_the_runs_that_it_was_made_of(tmp_path: Path) -> None:
    write_texts(tmp_path, 8)
    (tmp_path / "both.yaml").write_text(SPEC)
    mine = SPEC.replace("name: both", "name: mine").replace("{architecture: {kind: gpt2}}", "{entry: both--gpt2}")
    (tmp_path / "mine.yaml").write_text(mine)
    trained = archbench(tmp_path, "run", "both.yaml")
    assert trained.returncode == 0, trained.stderr
    entry = tmp_path / "results" / "leaderboard" / "entries" / "both--gpt2.json"
    published = entry.read_bytes()

    # The runs of llama are in the store, and nothing of gpt2 is asked for: it comes from the entry alone.
    ran = archbench(tmp_path, "run", "mine.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "gpt2 is a published entry (both--gpt2" in ran.stderr
    plans = len(list(tmp_path.glob("runs/*/plan.json")))
    assert (plans, len(list(tmp_path.glob("runs/*/imported.json")))) == (6, 3)
    first, second = (
        json.loads(archbench(tmp_path, "compare", "gpt2", "llama", "--scan", scan, "--json").stdout)
        for scan in ("both", "mine")
    )
    assert second["comparisons"] == first["comparisons"]
    assert {pair["cost_axis"] for pair in first["comparisons"]} >= {"exact", "kaplan", "device_seconds"}
    assert entry.read_bytes() == published
    assert not entry.with_name("mine--gpt2.json").exists()
    assert json.loads(entry.with_name("mine--llama.json").read_text())["baseline"] == "gpt2"

    other = archbench(tmp_path, "run", "mine.yaml", "-o", "training.batch_tokens=128")
    assert other.returncode == 2
    assert "is of another protocol than 'llama': batch_tokens is 64 there, 128 here" in other.stderr
    entry.write_bytes(published.replace(b'"seed": 0', b'"seed": 1', 1))
    changed = archbench(tmp_path, "run", "mine.yaml")
    assert changed.returncode == 2
    assert (
        f"{entry.relative_to(tmp_path)}: is damaged: its content is not what its digest was made of" in changed.stderr
    )
