"""Runs on a CUDA device: the same bits again, resumed or repeated, in fp32 and in bf16."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from archbench.api import Ended, Job
from archbench.builtins.execution.local import LocalExecutorConfig
from archbench.host import load_host
from archbench.results.runs import RunState
from archbench.testing.small_runs import StopAfter, plan_small_run, small_corpus
from archbench.training.run_attempt import attempt_run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["gpt2", "transformer_xl"])
def test_interrupted_run_on_cuda_leaves_an_undisturbed_runs_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, kind: str
) -> None:
    # cuBLAS reads it when it makes its first handle; the worker sets it likewise.
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    registry = load_host().registry
    corpus = small_corpus(tmp_path / "corpus", registry)
    settings: dict[str, Any] = {
        "architecture": {"kind": kind},
        "training": {"precision": precision},
        "execution": {"device": "cuda"},
    }
    directories = []
    for name in ("undisturbed", "interrupted"):
        (tmp_path / name).mkdir()
        directories.append(plan_small_run(tmp_path / name, corpus, registry, **settings))
    undisturbed, interrupted = directories
    outcome = attempt_run(undisturbed, registry, lambda report: None, threading.Event())
    assert outcome is not None
    assert outcome.state is RunState.DONE, outcome.reason
    assert attempt_run(interrupted, registry, lambda report: None, StopAfter(5)) is None
    attempt_run(interrupted, registry, lambda report: None, threading.Event())
    assert interrupted.record_file.read_bytes() == undisturbed.record_file.read_bytes()


def test_two_runs_that_share_a_device_end_like_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    registry = load_host().registry
    corpus = small_corpus(tmp_path, registry)
    records: dict[str, list[bytes]] = {}
    for name, runs_per_device in (("alone", 1), ("together", 2)):
        directories = [
            plan_small_run(tmp_path / name, corpus, registry, seed=seed, total_steps=30, execution={"device": "cuda"})
            for seed in (0, 1)
        ]
        config = LocalExecutorConfig(runs_per_device=runs_per_device)
        with config.open(num_jobs=2, log_dir=tmp_path / "logs") as executor:
            assert executor.capacity == runs_per_device
            for directory in directories:
                executor.submit(Job(directory.path.name, directory.path, 1.0))
            ended = 0
            while ended < len(directories):
                ended += sum(isinstance(event, Ended) for event in executor.poll(1.0))
        records[name] = [directory.record_file.read_bytes() for directory in directories]
    assert records["alone"] == records["together"]
