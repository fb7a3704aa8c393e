"""A plan of a library's models costs a process with torch once; every later one is quick and loads none of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archbench.testing.small_runs import write_small_text

pytestmark = [pytest.mark.thorough, pytest.mark.slow]

SPEC = """
name: library
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
  qwen3: {architecture: {kind: transformers, model_type: qwen3}}
  olmoe:
    architecture:
      {kind: transformers, model_type: olmoe, sized_by: active, config: {num_experts: 4, num_experts_per_tok: 2}}
  mamba2: {architecture: {kind: transformers, model_type: mamba2, config: {chunk_size: 32, state_size: 16}}}
objective: {kind: causal_lm}
common: {tie_output: true, output_bias: false, initialisation: by_width}
data:
  dataset: {kind: text_files, paths: ["text.jsonl"], text_field: text}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan: {sizes: [1.2e4, 2.4e4, 4.8e4], seeds: {default: 1, smallest_two: 1}, tokens: 4096}
training: {seq_len: 64, batch_tokens: 512, learning_rate: 3e-3, schedule: {kind: cosine, warmup_steps: 2}}
evaluation: {tokens: 1024, points: 3, prefix_audit_positions: 4}
"""

PLAN = """
import json, sys, time
from archbench.cli.main import main
try:
    main(["plan", "library.yaml"])
except SystemExit as end:
    code = end.code
told = {"code": code, "seconds": time.process_time(), "torch": "torch" in sys.modules}
print(json.dumps(told))
"""


def test_a_second_plan_takes_seconds_and_no_torch_and_says_what_n_counts(tmp_path: Path) -> None:
    write_small_text(tmp_path / "text.jsonl")
    (tmp_path / "library.yaml").write_text(SPEC)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ARCHBENCH_CACHE": str(tmp_path / "cache")}
    outputs = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PLAN],
            cwd=tmp_path,
            env={**environment, "XDG_STATE_HOME": str(tmp_path / "state"), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    for output in outputs:
        told = json.loads(output.splitlines()[-1])
        assert (told["code"], told["torch"]) == (0, False)
        assert "mixtures of experts: olmoe: N counts all parameters without embeddings" in output
        assert "N a token uses" in output
        assert "warning: mamba2: {kind: mamba2} is archbench's own" in output
    assert json.loads(outputs[1].splitlines()[-1])["seconds"] < 5.0
