"""A small text, and specs on it that are planned in milliseconds."""

from collections.abc import Callable
from pathlib import Path

import pytest
from made_specs import changed, spec_of

from archbench.host import default_host
from archbench.scans.planner import ScanPlan, plan_scan

TEXT = """\
name: trial
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
data:
  dataset: {kind: text_files, paths: ["FOLDER/*.txt"]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan:
  sizes: [1e4, 2e4, 4e4]
  seeds: {default: 1, smallest_two: 2}
  tokens: 40000
training:
  seq_len: 64
  batch_tokens: 512
  learning_rate: 3e-3
  schedule: {warmup_steps: 5}
evaluation: {tokens: 2000, points: 4}
"""


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    for number in range(20):
        (folder / f"{number}.txt").write_text(f"document {number}: " + "what is to be planned is planned here. " * 60)
    return folder


@pytest.fixture
def planned(text_folder: Path) -> Callable[..., ScanPlan]:
    """Plans the spec above with pieces of it replaced."""

    def plan(*replacements: tuple[str, str]) -> ScanPlan:
        spec = spec_of(changed(TEXT, *replacements).replace("FOLDER", str(text_folder)))
        return plan_scan(spec, default_host(), cache_dir=text_folder / "cache")

    return plan
