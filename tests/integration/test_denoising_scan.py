"""Objectives that corrupt or split text, and encoders of every kind, from the command line to the leaderboard."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = """
name: denoising
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
  prefix: {architecture: {kind: bert}, objective: {kind: prefix_lm}}
  spans: {architecture: {kind: gpt2}, objective: {kind: span_corruption}}
  electra: {architecture: {kind: modernbert, local_attention: 8}, objective: {kind: replaced_token_detection}}
  albert: {architecture: {kind: albert}, objective: {kind: masked_lm}}
objective: {kind: causal_lm}
data:
  dataset: {kind: text_files, paths: ["text.jsonl"], text_field: text}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan:
  sizes: [1e4]
  seeds: {default: 1, smallest_two: 1}
  tokens: 16384
training: {seq_len: 32, batch_tokens: 512, learning_rate: 3e-3, schedule: {kind: cosine, warmup_steps: 2}}
evaluation: {tokens: 2048, points: 4, prefix_audit_positions: 8}
"""

TRACKS = {
    "gpt2": "causal",
    "prefix": "prefix",
    "spans": "span_corruption",
    "electra": "replaced_token",
    "albert": "masked",
}


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_objective_is_planned_trained_and_reported_in_its_own_track(tmp_path: Path) -> None:
    sources = sorted((Path(__file__).parents[2] / "archbench").rglob("*.py"))
    with (tmp_path / "text.jsonl").open("w") as stream:
        stream.writelines(json.dumps({"text": path.read_text()}) + "\n" for path in sources)
    (tmp_path / "spec.yaml").write_text(SPEC)

    ran = subprocess.run(
        [sys.executable, "-m", "archbench.cli.main", "run", "spec.yaml"],
        cwd=tmp_path,
        env={**os.environ, "ARCHBENCH_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/record.json")]
    assert len(records) == len(TRACKS)
    plans = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/plan.json")]
    assert {plan["facts"]["track"] for plan in plans} == set(TRACKS.values())
    for record in records:
        losses = [point["validation_loss_nats"] for point in record["curve"]]
        assert losses[-1] < losses[0], f"nothing was learnt: {losses}"
    report = (tmp_path / "reports" / "denoising" / "report.md").read_text()
    assert all(name in report for name in TRACKS)
