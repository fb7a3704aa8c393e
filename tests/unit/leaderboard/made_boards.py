"""Made-up scans as leaderboards, and ways to forge them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from archbench.analysis.frontier.scan import analyse_scan
from archbench.contracts.architecture import ModelDims
from archbench.contracts.report import ScanResults
from archbench.leaderboard.board import read_board
from archbench.leaderboard.page_cache import PageCache
from archbench.numerics import NUMERICS
from archbench.results.runs import RunRecord
from archbench.runs.sealed import seal
from archbench.spec.identity import DataIdentity, EvaluationSettings, RunIdentity, TrainingSettings
from archbench.testing.synthetic import SyntheticLaw

LAW = SyntheticLaw(noise_std=0.003)


def identified(record: RunRecord, corpus: str = "c" * 64, objective: str = "causal_lm") -> RunRecord:
    """The record as if trained: its run id is the hash of an identity."""
    identity = RunIdentity(
        architecture={"kind": record.contender, "size": record.non_embedding_params},
        dims=ModelDims(vocab_size=264, seq_len=128, d_model=32, n_layers=1, n_heads=2, d_ff=128),
        objective={"kind": objective},
        data=DataIdentity(corpus_hash=corpus, order="stream"),
        training=TrainingSettings(batch_tokens=4096, total_steps=976, peak_learning_rate=3e-3),
        evaluation=EvaluationSettings(),
        seed=record.seed,
        numerics=NUMERICS,
    )
    return replace(record, run_id=identity.run_id, details={"identity": identity.model_dump(mode="json")})


def scan(name: str, records: list[RunRecord], baseline: str = "gpt2") -> ScanResults:
    frontiers, comparisons = analyse_scan(records, baseline=baseline)
    environment = {"versions": {"python": "3.11"}, "plugins": {"gpt2": {"plugin": "gpt2"}, "reformer": {"plugin": "r"}}}
    spec = {"data": {"dataset": {"kind": "installed_docs"}}}
    return ScanResults(name, "Made up", baseline, tuple(records), frontiers, comparisons, spec, environment)


def edit(path: Path, *keys: Any, value: Any) -> None:
    """Changes one value and makes a new digest, as a forger would."""
    content = json.loads(path.read_text())
    del content["digest"]
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_bytes(seal(content, content["format"]))


def left_out(board: Path, kept: PageCache) -> str:
    """Why the one entry that is on no page is not."""
    (problem,) = read_board(board, kept).left_out
    return problem
