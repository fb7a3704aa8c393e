"""Runs of a few steps on made-up text: for a plug-in's author to try an architecture, and for archbench's own tests."""

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

from archbench.contracts.architecture import ModelDims
from archbench.contracts.objective import model_vocab_size
from archbench.contracts.schedule import ScheduleSettings
from archbench.data.corpus import Corpus
from archbench.data.prepare import prepare_corpus
from archbench.numerics import NUMERICS
from archbench.registry import Registered, Registry
from archbench.runs.directory import RunDirectory
from archbench.spec.identity import (
    DataIdentity,
    EvaluationSettings,
    ExecutionSettings,
    Role,
    RunFacts,
    RunIdentity,
    RunPlan,
    StartingPoint,
    TrainingSettings,
)
from archbench.spec.versions import component_identity, installed_libraries, required
from archbench.testing.small_texts import small_texts
from archbench.units import kaplan_train_flops


def write_small_text(path: Path, num_documents: int = 120) -> Path:
    """A JSON-lines file of `num_documents` made-up documents, the same each time."""
    lines = [json.dumps({"text": text}) for text in small_texts(num_documents)]
    path.write_text("\n".join(lines) + "\n")
    return path


def small_corpus(folder: Path, registry: Registry) -> Corpus:
    """A corpus of made-up text as bytes, prepared in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = write_small_text(folder / "text.jsonl")
    return prepare_corpus(
        registry.datasets["text_files"].config.model_validate({"kind": "text_files", "paths": [str(text)]}),
        registry.tokenizers["bytes"].config.model_validate({"kind": "bytes"}),
        validation_fraction=0.2,
        cache_dir=folder / "cache",
    )


def plan_small_run(
    folder: Path,
    corpus: Corpus,
    registry: Registry,
    *,
    architecture: Mapping[str, Any] | None = None,
    objective: Mapping[str, Any] | None = None,
    dims: ModelDims | None = None,
    seq_len: int = 32,
    rows: int = 4,
    total_steps: int = 12,
    seed: int = 0,
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    execution: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    start: StartingPoint | None = None,
) -> RunDirectory:
    """A run directory inside `folder`, named by its run id, whose plan a worker can carry out in seconds.

    Without `architecture` and `objective` it is GPT-2 under `causal_lm`; `training`, `evaluation`, `execution` and
    `data` replace single settings.
    """
    architecture = architecture or {"kind": "gpt2"}
    objective = objective or {"kind": "causal_lm"}
    architectures = registry.architectures[str(architecture["kind"])]
    objectives = registry.objectives[str(objective["kind"])]
    config = architectures.config.model_validate(dict(architecture))
    goal = objectives.config.model_validate(dict(objective))
    vocab_size = model_vocab_size(corpus.text_vocab_size, goal)
    dims = dims or ModelDims(vocab_size=vocab_size, seq_len=seq_len, d_model=16, n_layers=2, n_heads=2, d_ff=64)
    params = config.num_params(dims)
    flops = config.forward_flops_per_token(dims, goal.attention)
    settings: dict[str, Any] = {
        "batch_tokens": rows * seq_len,
        "total_steps": total_steps,
        "peak_learning_rate": 3e-3,
        "schedule": ScheduleSettings(warmup_steps=3),
    }
    settings |= training or {}
    optimizer = {"kind": "adamw", **settings.get("optimizer", {})}
    optimizers = registry.optimizers[str(optimizer["kind"])]
    settings["optimizer"] = optimizers.config.model_validate(optimizer).model_dump(mode="json")
    components: dict[Role, Registered[Any]] = {
        "architecture": architectures,
        "objective": objectives,
        "optimizer": optimizers,
    }
    identity = RunIdentity(
        architecture=config.model_dump(mode="json"),
        dims=dims,
        objective=goal.model_dump(mode="json"),
        data=DataIdentity(**{"corpus_hash": corpus.corpus_hash, "order": "stream", **(data or {})}),
        training=TrainingSettings(**settings),
        evaluation=EvaluationSettings(
            **{"tokens": 1024, "points": 4, "prefix_audit_positions": 8, **(evaluation or {})}
        ),
        seed=seed,
        start=start,
        numerics=NUMERICS,
        components={role: component_identity(entry) for role, entry in components.items()},
        libraries=required(installed_libraries((config, goal))),
    )
    share = goal.predicted_fraction(seq_len)
    plan = RunPlan(
        identity=identity,
        facts=RunFacts(
            track=goal.track,
            non_embedding_params=params.non_embedding,
            embedding_params=params.embedding,
            kaplan_flops_per_token=kaplan_train_flops(params.active, 1),
            exact_flops_per_token=flops.train(share),
            exact_flops_by_component=dict(flops.components),
            unique_tokens=corpus.unique_tokens,
        ),
        execution=ExecutionSettings(**{"corpus_dir": str(corpus.directory), "device": "cpu", **(execution or {})}),
    )
    directory = RunDirectory(folder / identity.run_id)
    directory.write_plan(plan)
    return directory


class StopAfter(Event):
    """A request to stop that is made after `steps` steps: the training loop looks at it once after each."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def is_set(self) -> bool:
        """Whether it has been looked at often enough."""
        self._left -= 1
        return self._left <= 0
