"""Runs of other libraries' models: stopped and continued to the same bits, exported to the library they come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from archbench.api import ModelDims
from archbench.contracts.objective import IGNORE_TARGET
from archbench.data.corpus import Corpus
from archbench.registry import Registry
from archbench.runs.directory import RunDirectory
from archbench.runs.records import Outcome, read_outcome
from archbench.testing.small_runs import StopAfter
from archbench.training.evaluation import load_evaluation_set
from archbench.training.export import export_model
from archbench.training.weights import read_weights

OLMOE = {"kind": "transformers", "model_type": "olmoe", "config": {"num_experts": 4, "num_experts_per_tok": 2}}
QWEN3 = {"kind": "transformers", "model_type": "qwen3"}
MODERN = {"kind": "x_transformers", "decoder": {"rotary_pos_emb": True, "ff_glu": True, "attn_qk_norm": True}}


def shape(registry: Registry, architecture: dict[str, Any]) -> ModelDims:
    config = registry.architectures[architecture["kind"]].config.model_validate(architecture)
    dims: ModelDims = config.adapted(ModelDims(vocab_size=264, seq_len=32, d_model=16, n_layers=2, n_heads=2, d_ff=64))
    return dims


@pytest.mark.parametrize("architecture", [OLMOE, MODERN], ids=lambda one: one["kind"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    architecture: dict[str, Any],
    plan: Callable[..., RunDirectory],
    train_to_end: Callable[..., Outcome | None],
    registry: Registry,
) -> None:
    settings = {
        "architecture": architecture,
        "dims": shape(registry, architecture),
        "execution": {"keep_weights": True},
    }
    whole, stopped = plan("whole", **settings), plan("stopped", **settings)
    train_to_end(whole)
    assert train_to_end(stopped, StopAfter(5)) is None
    train_to_end(stopped)
    first, second = (read_outcome(one) for one in (whole, stopped))
    assert first is not None
    assert first == second
    run_id = whole.read_plan().identity.run_id
    left, right = (read_weights(one.weights_dir, run_id) for one in (whole, stopped))
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def test_an_exported_model_has_the_same_loss_in_its_library(
    plan: Callable[..., RunDirectory],
    train_to_end: Callable[..., Outcome | None],
    registry: Registry,
    corpus: Corpus,
    tmp_path: Path,
) -> None:
    directory = plan(architecture=QWEN3, dims=shape(registry, QWEN3), execution={"keep_weights": True})
    outcome = train_to_end(directory)
    assert outcome is not None
    folder = tmp_path / "exported"
    folder.mkdir()
    assert export_model(directory, registry, folder).model_class == "Qwen3ForCausalLM"
    disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    identity = directory.read_plan().identity
    batches = load_evaluation_set(
        corpus,
        registry.objectives["causal_lm"].config.model_validate(dict(identity.objective)),
        identity.evaluation,
        seq_len=32,
        rows=4,
        rows_per_pass=4,
        carries_state=False,
        device=torch.device("cpu"),
    ).batches
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            logits, targets = model(batch["tokens"]).logits.flatten(0, 1).double(), batch["targets"].flatten()
            total += float(cross_entropy(logits, targets, reduction="sum"))
            count += int((targets != IGNORE_TARGET).sum())
    # Other kernels and another order of summing, of fp32.
    assert total / count == pytest.approx(outcome.curve[-1].validation_loss_nats, rel=2e-5)


def test_versions_of_the_library_are_part_of_a_runs_identity(
    plan: Callable[..., RunDirectory], registry: Registry
) -> None:
    directory = plan(architecture=QWEN3, dims=shape(registry, QWEN3))
    identity = directory.read_plan().identity
    assert identity.libraries.keys() == {"transformers"}
    other = identity.model_copy(update={"libraries": {"transformers": "5.0.0"}})
    assert other.run_id != identity.run_id
