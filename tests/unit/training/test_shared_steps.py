"""Runs that share their first steps, begin from another's weights, stop early, or see a part of the text."""

import threading
from typing import Any

import pytest

from archbench.results.runs import RunState
from archbench.spec.identity import StartingPoint
from archbench.training import checkpoint
from archbench.training.assembly import assemble
from archbench.training.measurement import arithmetic
from archbench.training.progress import _other_arithmetic

WSD = {"kind": "warmup_stable_decay", "warmup_steps": 3, "decay_fraction": 0.25}
TRANSFORMER_XL = {"kind": "transformer_xl"}


@pytest.mark.parametrize("architecture", [{"kind": "gpt2"}, TRANSFORMER_XL])
def test_branch_off_a_trunk_leaves_the_record_of_a_run_of_its_own(
    plan: Any, train_to_end: Any, architecture: dict[str, Any]
) -> None:
    training = {"schedule": WSD}
    branch_training = {"schedule": WSD, "total_steps": 16}
    alone = plan("alone", architecture=architecture, training=branch_training)
    trunk = plan(
        "shared", architecture=architecture, training={**training, "total_steps": 32}, execution={"keep_steps": (12,)}
    )
    trunk_id = trunk.read_plan().identity.run_id
    branch = plan(
        "shared",
        architecture=architecture,
        training=branch_training,
        execution={"branch_from": {"run_id": trunk_id, "step": 12}},
    )
    assert train_to_end(alone).state is RunState.DONE
    assert train_to_end(trunk).state is RunState.DONE
    kept = checkpoint.load_kept(trunk, trunk_id, 12)
    assert kept is not None
    assert train_to_end(branch).state is RunState.DONE
    assert branch.record_file.read_bytes() == alone.record_file.read_bytes()
    assert b'"attempts": 2' in branch.timings_file.read_bytes()


def test_branch_takes_its_first_steps_itself_where_the_trunk_kept_nothing(plan: Any, train_to_end: Any) -> None:
    training = {"schedule": WSD, "total_steps": 16}
    alone = plan("alone", training=training)
    orphan = plan("orphan", training=training, execution={"branch_from": {"run_id": "f" * 64, "step": 12}})
    assert train_to_end(alone).state is RunState.DONE
    assert train_to_end(orphan).state is RunState.DONE
    assert orphan.record_file.read_bytes() == alone.record_file.read_bytes()


def test_run_begins_from_the_final_weights_of_another(plan: Any, train_to_end: Any) -> None:
    first = plan(execution={"keep_weights": True})
    ended = train_to_end(first)
    second = plan(seed=1, start=StartingPoint(run_id=first.read_plan().identity.run_id))
    outcome = train_to_end(second)
    assert outcome.state is RunState.DONE
    assert outcome.curve[0].validation_loss_nats == ended.curve[-1].validation_loss_nats
    assert outcome.curve[-1].validation_loss_nats < ended.curve[-1].validation_loss_nats


def test_ended_run_is_repeated_for_its_weights_alone(plan: Any, train_to_end: Any) -> None:
    directory = plan()
    train_to_end(directory)
    record = directory.record_file.read_bytes()
    directory.write_plan(plan(execution={"keep_weights": True}).read_plan())
    assert not directory.weights_dir.exists()
    assert train_to_end(directory).state is RunState.DONE
    assert directory.weights_dir.is_dir()
    assert directory.record_file.read_bytes() == record


def test_damaged_or_missing_weights_to_begin_from_are_named(plan: Any, train_to_end: Any) -> None:
    first = plan(execution={"keep_weights": True})
    train_to_end(first)
    start = StartingPoint(run_id=first.read_plan().identity.run_id)
    file = first.weights_dir / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    outcome = train_to_end(plan(start=start))
    assert outcome.state is RunState.FAILED
    assert "does not match its SHA-256" in outcome.reason
    missing = train_to_end(plan(start=StartingPoint(run_id="e" * 64)))
    assert missing.state is RunState.FAILED
    assert "the weights to begin from cannot be read" in missing.reason


def test_weights_of_another_shape_are_refused_by_name(plan: Any, train_to_end: Any) -> None:
    first = plan(execution={"keep_weights": True})
    train_to_end(first)
    dims = first.read_plan().identity.dims.model_copy(update={"d_model": 24})
    outcome = train_to_end(plan(dims=dims, start=StartingPoint(run_id=first.read_plan().identity.run_id)))
    assert outcome.state is RunState.FAILED
    assert "start from a model of the same architecture, size and vocabulary" in outcome.reason


def test_run_that_stops_learning_ends_early(plan: Any, train_to_end: Any) -> None:
    directory = plan(
        data={"subset_tokens": 160},
        training={"total_steps": 400, "peak_learning_rate": 1e-2, "early_stopping": {"patience": 2}},
        evaluation={"spacing": "linear", "points": 41},
    )
    outcome = train_to_end(directory)
    assert outcome.state is RunState.DONE
    assert outcome.curve[-1].step < 400
    losses = [point.validation_loss_nats for point in outcome.curve]
    assert min(losses[-2:]) >= min(losses[:-2])
    assert not outcome.curve[-1].finished


def test_smaller_subset_is_the_beginning_of_a_larger_one(corpus: Any, registry: Any) -> None:
    from archbench.data.batches import TrainingBatches

    objective = registry.objectives["causal_lm"].config.model_validate({"kind": "causal_lm"})
    small, large = (
        TrainingBatches(corpus, objective, seq_len=16, rows=2, order="stream", seed=0, subset_tokens=count)
        for count in (200, 400)
    )
    assert (small.train.ids == large.train.ids[:200]).all()
    assert small.steps_per_epoch == 6
    seen = {tuple(row) for step in range(20) for row in small.batch(step)["tokens"]}
    assert len(seen) > 6  # each epoch is rotated anew
    assert all(set(row) <= set(large.train.ids.tolist()) for row in seen)


def test_loss_on_another_corpus_is_measured_at_the_end(
    plan: Any, train_to_end: Any, corpus: Any, tmp_path: Any
) -> None:
    directory = plan(
        data={"also_validated": (corpus.corpus_hash,)},
        execution={"other_corpora": {corpus.corpus_hash: str(corpus.directory)}},
    )
    outcome = train_to_end(directory)
    assert outcome.other_losses_nats == {corpus.corpus_hash: outcome.curve[-1].validation_loss_nats}


def test_checkpoint_of_another_arithmetic_is_left_unused(plan: Any, train_to_end: Any) -> None:
    """Half a run on one thread and half on two would have bits that no undisturbed run has."""
    undisturbed = plan("undisturbed")
    moved = plan("moved", execution={"threads": 2})
    assert train_to_end(undisturbed).state is RunState.DONE
    stop = threading.Event()
    stop.set()
    assert train_to_end(moved, stop) is None
    assert moved.checkpoints_dir.is_dir()
    moved.write_plan(undisturbed.read_plan())
    assert train_to_end(moved).state is RunState.DONE
    assert moved.record_file.read_bytes() == undisturbed.record_file.read_bytes()


@pytest.mark.parametrize("stored", [{"arithmetic": {"kernels": "kernels-1"}}, {"kernels": "kernels-1"}])
def test_checkpoint_that_names_kernels_is_not_gone_on_from(plan: Any, registry: Any, stored: dict[str, Any]) -> None:
    """Versions that had kernels of their own wrote it."""
    directory = plan()
    assembly = assemble(directory.read_plan(), registry, directory)
    try:
        here = arithmetic(assembly.device, assembly.plan.execution)
        assert _other_arithmetic(stored, assembly) == "made with kernels kernels-1, here is none"
        assert _other_arithmetic({"arithmetic": here}, assembly) is None
    finally:
        assembly.engine.close()
