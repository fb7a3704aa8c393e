"""Runs of the store are trained again by real workers, without their spec, and end in the same bits."""

import json
from pathlib import Path

import pytest
from command_line import SMALL_SCAN, archbench, write_texts

from archbench.results.runs import RunState
from archbench.runs.records import Outcome, write_record
from archbench.runs.store import RunStore, directory_status

SPEC = (
    SMALL_SCAN
    + """\
name: trial
contenders: {softmax: {architecture: {kind: controlled}}}
scan: {sizes: [1e4, 2e4], seeds: {smallest_two: 1}, tokens: 640}
"""
)


@pytest.mark.thorough
@pytest.mark.slow
def test_failed_diverged_and_finished_runs_are_trained_again(tmp_path: Path) -> None:
    write_texts(tmp_path, 6)
    (tmp_path / "trial.yaml").write_text(SPEC)
    done = archbench(tmp_path, "run", "trial.yaml")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    store = RunStore(tmp_path / "runs")
    small, large = (store.directory(run.run_id) for run in store.scan("trial").runs)
    records = {directory.path: directory.record_file.read_bytes() for directory in (small, large)}

    # A finished run is trained again for its weights.
    again = archbench(tmp_path, "runs", "rerun", small.path.name, "--yes")
    assert again.returncode == 0, again.stderr
    assert "ended in the same bits" in again.stderr
    assert small.weights_dir.is_dir()
    assert "nothing to train" in archbench(tmp_path, "runs", "rerun", small.path.name, "--yes").stderr

    # Failed and diverged ones are found by their states, and end as they would have.
    write_record(small, small.read_plan(), Outcome(RunState.FAILED, reason="made up"))
    write_record(large, large.read_plan(), Outcome(RunState.DIVERGED, reason="made up"))
    again = archbench(tmp_path, "runs", "rerun", "--failed", "--diverged", "--scan", "trial", "--yes")
    assert again.returncode == 0, again.stderr
    assert "2 runs to train" in again.stdout
    for directory in (small, large):
        assert directory_status(directory).state is RunState.DONE
        assert directory.record_file.read_bytes() == records[directory.path]
    assert (
        "no run is diverged or failed; nothing to train"
        in archbench(tmp_path, "runs", "rerun", "--failed", "--diverged", "--yes").stderr
    )
    followed = archbench(tmp_path, "status", "trial", "--watch")
    assert followed.stdout.startswith("trial: 2 done; ")
    assert [row["state"] for row in json.loads(archbench(tmp_path, "runs", "list", "--json").stdout)] == ["done"] * 2
