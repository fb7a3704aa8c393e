"""A kind of study in one file is planned, trained, resumed and reported like archbench's own."""

import json
import re
from pathlib import Path

import pytest
from command_line import archbench

from archbench.testing.small_runs import write_small_text

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"

SPEC = """
name: contexts
contenders: {gpt2: {architecture: {kind: gpt2}}}
objective: {kind: causal_lm}
data:
  dataset: {kind: text_files, paths: ["text.jsonl"], text_field: text}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan: {sizes: [5e3, 1e4]}
studies:
  contexts: {kind: context_scan, contexts: [16, 32, 64], tokens: 131072}
training: {seq_len: 32, batch_tokens: 512, learning_rate: 1e-2, schedule: {kind: cosine, warmup_steps: 9}}
evaluation: {tokens: 1024, points: 3, prefix_audit_positions: 4}
"""


def study_file(folder: Path) -> Path:
    (example,) = re.findall(r"```python\n(\"\"\"L\(T\).*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(example.splitlines()) <= 120
    path = folder / "context_scan.py"
    path.write_text(example)
    return path


@pytest.mark.slow
@pytest.mark.thorough
def test_a_study_of_one_file_is_planned_trained_and_reported(tmp_path: Path) -> None:
    plugin = ("--plugin", str(study_file(tmp_path)))
    write_small_text(tmp_path / "text.jsonl")
    (tmp_path / "contexts.yaml").write_text(SPEC)

    planned = archbench(tmp_path, "plan", "contexts.yaml", *plugin)
    assert planned.returncode == 0, planned.stderr
    assert "3 runs, 3 to train" in planned.stdout

    ran = archbench(tmp_path, "run", "contexts.yaml", *plugin)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "gpt2, contexts: L(T)" in ran.stdout
    report = (tmp_path / "reports" / "contexts" / "report.md").read_text()
    assert "## Loss against context, L(T)" in report
    assert "L = E + (T_c/T)^alpha_T" in report
    index = json.loads((tmp_path / "reports" / "contexts" / "data" / "tables.json").read_text())
    assert {"study_contexts_points", "study_laws"} <= {table["name"] for table in index}
    records = sorted((tmp_path / "runs").glob("*/record.json"))
    contexts = {json.loads(one.read_text())["identity"]["dims"]["seq_len"] for one in records}
    assert contexts == {16, 32, 64}

    before = [one.read_bytes() for one in records]
    records[0].unlink()  # as if it had never ended
    again = archbench(tmp_path, "run", "contexts.yaml", *plugin)
    assert again.returncode == 0, again.stderr
    assert "1 run to train" in again.stdout + again.stderr
    assert [one.read_bytes() for one in records] == before


def test_contexts_that_make_up_no_batch_are_told_with_their_place(tmp_path: Path) -> None:
    plugin = ("--plugin", str(study_file(tmp_path)))
    write_small_text(tmp_path / "text.jsonl")
    (tmp_path / "contexts.yaml").write_text(SPEC.replace("[16, 32, 64]", "[16, 48]"))
    planned = archbench(tmp_path, "plan", "contexts.yaml", *plugin)
    assert planned.returncode == 2
    assert planned.stderr.splitlines()[-1] == (
        "archbench: contexts.yaml:11: studies.contexts: gpt2: rows of 48 tokens do not make up a batch of 512; choose "
        "contexts of which 512 tokens are a multiple"
    )


def test_without_its_plug_in_the_study_is_named_and_the_report_is_written(tmp_path: Path) -> None:
    (tmp_path / "contexts.yaml").write_text(SPEC)
    planned = archbench(tmp_path, "plan", "contexts.yaml")
    assert planned.returncode == 3
    assert "contexts.yaml:11: studies.contexts.kind: study 'context_scan' is not registered" in planned.stderr
