"""Models of transformers by the bridge go the whole way: resumed bit for bit, exported, and loaded by the library."""

from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from archbench.api import CurvePoint, ModelDims
from archbench.cli.main import cli
from archbench.contracts.objective import IGNORE_TARGET, model_vocab_size
from archbench.data.corpus import Corpus
from archbench.registry import Registry
from archbench.runs.directory import RunDirectory
from archbench.testing.small_runs import StopAfter, plan_small_run
from archbench.training.evaluation import load_evaluation_set
from archbench.training.run_attempt import attempt_run

SAME = 2e-5
"""Relative. The same weights by the library's own forward over all positions at once: sums in another order."""

EVERY_DAY = [("qwen3", {}, "causal_lm"), ("modernbert", {}, "masked_lm")]
OTHERS = [
    ("gpt_neox", {}, "causal_lm"),
    ("opt", {}, "causal_lm"),
    ("gemma3_text", {}, "causal_lm"),
    ("olmo2", {}, "causal_lm"),
    ("phi3", {}, "causal_lm"),
    ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}, "causal_lm"),
    # Experts of whole 16 bytes: the library's product by groups, which `from_pretrained` takes, needs them.
    ("deepseek_v3", {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}, "causal_lm"),
    ("electra", {}, "masked_lm"),
]


def small_run(
    folder: Path, corpus: Corpus, registry: Registry, model_type: str, settings: dict[str, Any], objective: str
) -> RunDirectory:
    """Planned, of twelve steps, whose weights are kept."""
    architecture = {"kind": "transformers", "model_type": model_type, "config": settings}
    goal = registry.objectives[objective].config(kind=objective)
    config: Any = registry.architectures["transformers"].config.model_validate(architecture)
    vocab_size = model_vocab_size(corpus.text_vocab_size, goal)
    dims = config.adapted(ModelDims(vocab_size=vocab_size, seq_len=32, d_model=16, n_layers=2, n_heads=2, d_ff=64))
    return plan_small_run(
        folder,
        corpus,
        registry,
        architecture=architecture,
        objective={"kind": objective},
        dims=dims,
        execution={"keep_weights": True},
    )


def untimed(curve: tuple[CurvePoint, ...]) -> list[CurvePoint]:
    return [replace(point, device_seconds=None, processor_seconds=None) for point in curve]


@torch.no_grad()
def library_loss_nats(folder: Path, directory: RunDirectory, corpus: Corpus, registry: Registry) -> float:
    """The mean loss over the evaluation set of the model that `from_pretrained` loads from `folder`."""
    identity = directory.read_plan().identity
    kind = str(identity.objective["kind"])
    auto = AutoModelForMaskedLM if kind == "masked_lm" else AutoModelForCausalLM
    model = auto.from_pretrained(folder).eval()
    rows = identity.training.batch_tokens // identity.dims.seq_len
    found = load_evaluation_set(
        corpus,
        registry.objectives[kind].config(kind=kind),
        identity.evaluation,
        seq_len=identity.dims.seq_len,
        rows=rows,
        rows_per_pass=rows,
        carries_state=False,
        device=torch.device("cpu"),
    )
    total, count = 0.0, 0
    for batch in found.batches:
        targets = batch["targets"].flatten()
        logits = model(input_ids=batch["tokens"]).logits.flatten(0, 1).double()
        total += float(cross_entropy(logits, targets, reduction="sum"))
        count += int((targets != IGNORE_TARGET).sum())
    return total / count


@pytest.mark.parametrize(
    ("model_type", "settings", "objective"),
    [*EVERY_DAY, *(pytest.param(*one, marks=pytest.mark.thorough) for one in OTHERS)],
)
def test_a_family_resumes_bit_for_bit_and_is_loaded_by_the_library_with_the_same_loss(
    model_type: str,
    settings: dict[str, Any],
    objective: str,
    tmp_path: Path,
    corpus: Corpus,
    registry: Registry,
) -> None:
    whole, stopped = (
        small_run(tmp_path / name, corpus, registry, model_type, settings, objective) for name in ("whole", "stopped")
    )
    uninterrupted = attempt_run(whole, registry, lambda report: None, Event())
    assert attempt_run(stopped, registry, lambda report: None, StopAfter(6)) is None
    resumed = attempt_run(stopped, registry, lambda report: None, Event())
    assert uninterrupted is not None
    assert resumed is not None
    assert uninterrupted.state.value == "done", uninterrupted.reason
    assert untimed(resumed.curve) == untimed(uninterrupted.curve)
    weights = [(one.weights_dir / "model.safetensors").read_bytes() for one in (whole, stopped)]
    assert weights[0] == weights[1]
    stored = RunDirectory(whole.path.rename(whole.path.with_name(whole.path.name[:16])))
    target = tmp_path / "model"
    command = ["export", stored.path.name, "--runs", str(stored.path.parent), "--to", str(target)]
    exported = CliRunner().invoke(cli, command)
    assert exported.exit_code == 0, (exported.output, exported.exception)
    loss = library_loss_nats(target, stored, corpus, registry)
    assert loss == pytest.approx(uninterrupted.curve[-1].validation_loss_nats, rel=SAME)
