"""Whole runs of a few steps, in this process."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from archbench.contracts.schedule import ScheduleSettings
from archbench.registry import Registry
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DiskRefused
from archbench.runs.lease import LeaseLost, acquire, read_lease
from archbench.runs.records import Outcome, read_record
from archbench.spec.identity import ComponentIdentity
from archbench.testing.small_runs import StopAfter
from archbench.training import checkpoint, loop
from archbench.training.loop import Report
from archbench.training.run_attempt import attempt_run, failure_reason

REFORMER = {"kind": "reformer", "bucket_size": 16}


@pytest.mark.parametrize(
    ("architecture", "objective"),
    [
        ({"kind": "gpt2"}, None),
        (REFORMER, None),
        ({"kind": "transformer_xl"}, None),
        ({"kind": "bert"}, {"kind": "masked_lm"}),
    ],
)
def test_repeated_and_interrupted_runs_leave_the_same_record(
    plan: Any, train_to_end: Any, architecture: dict[str, Any], objective: dict[str, Any] | None
) -> None:
    directories = [plan(name, architecture=architecture, objective=objective) for name in ("one", "two", "three")]
    first, repeated, interrupted = directories
    assert train_to_end(first).state is RunState.DONE
    assert train_to_end(repeated).state is RunState.DONE
    for steps in (2, 3, 1):
        assert train_to_end(interrupted, StopAfter(steps)) is None
        assert read_record(interrupted, contender="x", size_index=0).state is RunState.PLANNED
    assert train_to_end(interrupted).state is RunState.DONE
    assert first.record_file.read_bytes() == repeated.record_file.read_bytes()
    assert first.record_file.read_bytes() == interrupted.record_file.read_bytes()
    assert not interrupted.checkpoints_dir.exists()


@pytest.mark.parametrize(
    ("architecture", "objective", "names"),
    [
        ({"kind": "gpt2"}, None, ["unigram", "bigram", "trigram"]),
        ({"kind": "bert"}, {"kind": "masked_lm"}, ["unigram", "neighbours"]),
        ({"kind": "bert"}, {"kind": "replaced_token_detection"}, []),
    ],
)
def test_a_run_records_the_lines_of_its_text(
    plan: Any, train_to_end: Any, architecture: dict[str, Any], objective: dict[str, Any] | None, names: list[str]
) -> None:
    directory = plan(architecture=architecture, objective=objective)
    outcome = train_to_end(directory)
    lines = read_record(directory, contender="x", size_index=0).reference_lines
    assert sorted(lines) == sorted(names)
    assert lines == outcome.reference_lines
    # 12 steps of 128 tokens: few, and enough to know letters from the other bytes.
    assert all(0.5 < line < 5.6 for line in lines.values())


def test_lines_that_fail_cost_no_run(plan: Any, train_to_end: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any) -> None:
        raise MemoryError("no room to count")

    monkeypatch.setattr("archbench.training.reference_lines.reference_lines", fails)
    directory = plan()
    assert train_to_end(directory).state is RunState.DONE
    assert read_record(directory, contender="x", size_index=0).reference_lines == {}


def test_curve_counts_tokens_and_flops_and_ends_finished(plan: Any, train_to_end: Any) -> None:
    directory = plan()
    outcome = train_to_end(directory)
    facts = directory.read_plan().facts
    assert [point.step for point in outcome.curve] == [0, 1, 3, 12]
    for point in outcome.curve:
        assert point.tokens == point.step * 128
        assert point.kaplan_flops == 6 * facts.non_embedding_params * point.tokens
        assert point.exact_flops == facts.exact_flops_per_token * point.tokens
    assert [point.finished for point in outcome.curve] == [False, False, False, True]
    assert [point.in_warmup for point in outcome.curve] == [True, True, False, False]
    assert [point.train_loss_nats is None for point in outcome.curve] == [True, False, False, False]
    losses = [point.validation_loss_nats for point in outcome.curve]
    # ln 264 = 5.58 for a model that knows nothing; a few steps already tell letters from the other bytes.
    assert losses[0] == pytest.approx(5.576, abs=0.1)
    assert losses[-1] < losses[0] - 0.2


def test_record_joins_identity_and_timings(plan: Any, train_to_end: Any) -> None:
    directory = plan()
    train_to_end(directory)
    record = read_record(directory, contender="mine", size_index=3)
    assert record is not None
    assert (record.contender, record.size_index, record.architecture, record.track) == ("mine", 3, "gpt2", "causal")
    assert record.run_id == directory.read_plan().identity.run_id
    assert record.usable
    timings = record.details["timings"]
    assert timings["tokens_per_second"] > 0
    assert 0.0 < timings["model_flop_utilisation"] < 1.0
    reached = timings["model_flop_utilisation"] * timings["matmul_peak_flop_per_s"]
    assert timings["exact_flop_per_s"] == pytest.approx(reached, rel=1e-3)  # rounded to four digits
    assert {"torch", "deepspeed", "python"} <= timings["versions"].keys()
    seconds = [point.device_seconds for point in record.curve]
    assert seconds[0] == 0.0
    assert seconds == sorted(seconds)
    content = json.loads(directory.record_file.read_bytes())
    assert all("device_seconds" not in point for point in content["curve"])
    assert str(directory.path.parent) not in directory.record_file.read_text()


def test_run_that_has_ended_is_not_trained_again(plan: Any, registry: Registry, train_to_end: Any) -> None:
    directory = plan()
    first = train_to_end(directory)
    stamp = directory.record_file.stat().st_mtime_ns
    reports: list[Report] = []
    again = attempt_run(directory, registry, reports.append, threading.Event())
    assert again is not None
    assert again.state is first.state
    assert directory.record_file.stat().st_mtime_ns == stamp
    assert reports == []


def test_rate_that_is_far_too_high_ends_the_run_as_diverged(plan: Any, train_to_end: Any) -> None:
    training = {"peak_learning_rate": 100.0, "schedule": ScheduleSettings(kind="constant", warmup_steps=0)}
    directory = plan(training=training, total_steps=40, evaluation={"points": 10})
    outcome = train_to_end(directory)
    assert outcome.state is RunState.DIVERGED
    assert "lower training.learning_rate" in outcome.reason
    record = read_record(directory, contender="x", size_index=0)
    assert record is not None
    assert not record.usable
    assert record.curve[-1].step < 40


def test_model_whose_first_loss_is_not_a_number_is_called_broken_and_no_rate_is_blamed(
    plan: Any, train_to_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archbench.builtins.objectives.causal_lm import CausalLmConfig

    sound = CausalLmConfig.loss

    def breaks(self: CausalLmConfig, *arguments: Any) -> Any:
        parts = sound(self, *arguments)
        return parts._replace(nats=parts.nats * float("nan"))

    monkeypatch.setattr(CausalLmConfig, "loss", breaks)
    outcome = train_to_end(plan())
    assert (outcome.state, outcome.curve) == (RunState.DIVERGED, ())
    assert "untrained model is not finite" in outcome.reason
    assert "learning_rate" not in outcome.reason


def test_loss_that_is_not_a_number_names_its_step(
    plan: Any, train_to_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archbench.builtins.objectives.causal_lm import CausalLmConfig

    sound = CausalLmConfig.loss
    calls = 0

    def breaks(self: CausalLmConfig, model: Any, head: Any, batch: Any, state: Any) -> Any:
        nonlocal calls
        parts = sound(self, model, head, batch, state)
        calls += model.training
        return parts._replace(nats=parts.nats * float("nan")) if calls == 70 and model.training else parts

    monkeypatch.setattr(CausalLmConfig, "loss", breaks)
    outcome = train_to_end(plan(total_steps=1000, evaluation={"points": 1}))
    assert (outcome.state, len(outcome.curve)) == (RunState.DIVERGED, 2)
    assert outcome.reason.startswith("the training loss is not finite in step 70;")


@pytest.mark.parametrize("architecture", [{"kind": "gpt2"}, {"kind": "transformer_xl"}, REFORMER])
def test_micro_batches_change_the_curve_by_rounding_only(
    plan: Any, train_to_end: Any, architecture: dict[str, Any]
) -> None:
    whole = train_to_end(plan("whole", architecture=architecture))
    cut = train_to_end(plan("cut", architecture=architecture, execution={"micro_batch_rows": 2}))
    for mine, expected in zip(cut.curve, whole.curve, strict=True):
        # Twelve Adam steps of 3e-3 amplify rounding of near-zero gradients; hash buckets may flip at a tie.
        assert mine.validation_loss_nats == pytest.approx(expected.validation_loss_nats, abs=2e-3)


def test_memory_is_carried_from_step_to_step(plan: Any, train_to_end: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from archbench.training.progress import Progress

    carried = train_to_end(plan("carried", architecture={"kind": "transformer_xl"}))
    monkeypatch.setattr(Progress, "states", property(lambda self: {}, lambda self, value: None), raising=False)
    forgotten = train_to_end(plan("forgotten", architecture={"kind": "transformer_xl"}))
    assert carried.curve[0] == forgotten.curve[0]
    assert carried.curve[-1].validation_loss_nats != forgotten.curve[-1].validation_loss_nats


def damage(path: Path, how: str) -> None:
    tensors = path / checkpoint.TENSORS
    content = tensors.read_bytes()
    match how:
        case "truncated":
            tensors.write_bytes(content[: len(content) // 2])
        case "bit flip":
            tensors.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
        case "missing file":
            (path / checkpoint.PROGRESS).unlink()
        case "manifest of another run":
            manifest = json.loads((path / checkpoint.MANIFEST).read_bytes())
            (path / checkpoint.MANIFEST).write_text(json.dumps(manifest | {"run_id": "0" * 64}))
        case "empty manifest":
            (path / checkpoint.MANIFEST).write_bytes(b"")


@pytest.mark.parametrize("how", ["truncated", "bit flip", "missing file", "manifest of another run", "empty manifest"])
def test_damaged_checkpoint_is_passed_over_for_the_one_before(
    plan: Any, train_to_end: Any, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed, damaged = plan("undisturbed"), plan("damaged")
    train_to_end(undisturbed)
    train_to_end(damaged, StopAfter(5))
    train_to_end(damaged, StopAfter(4))
    names = sorted(path.name for path in damaged.checkpoints_dir.iterdir())
    assert names == ["step-0000000005", "step-0000000009"]
    damage(damaged.checkpoints_dir / names[1], how)
    loaded = checkpoint.load_newest(damaged, damaged.read_plan().identity.run_id)
    assert loaded is not None
    assert loaded.step == 5
    assert "step-0000000009: passed over" in caplog.text
    train_to_end(damaged)
    assert damaged.record_file.read_bytes() == undisturbed.record_file.read_bytes()


def test_checkpoint_of_another_zero_stage_is_left_unused_and_that_is_told(plan: Any, train_to_end: Any) -> None:
    first = plan("first")
    train_to_end(first, StopAfter(5))
    again = plan("first", execution={"zero_stage": 1})
    assert again.path == first.path
    reports: list[Report] = []
    assert train_to_end(again, report=reports.append).state is RunState.DONE
    assert read_record(again, contender="x", size_index=0).details["timings"]["attempts"] == 1
    notes = [report.note for report in reports if report.note]
    assert notes == [
        "its checkpoints are damaged, or of another nproc, stage or arithmetic: it begins anew; see the log"
    ]


def test_checkpoint_of_several_ranks_is_passed_over_by_one_process(
    plan: Any, train_to_end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    directory = plan()
    train_to_end(directory, StopAfter(5))
    (manifest,) = directory.checkpoints_dir.glob("*/manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()) | {"ranks": 2}))
    assert train_to_end(directory).state is RunState.DONE
    assert "it was stored by 2 processes, the run is now trained by 1" in caplog.text
    assert read_record(directory, contender="x", size_index=0).details["timings"]["attempts"] == 1


def test_only_the_newest_two_checkpoints_are_kept(plan: Any, train_to_end: Any) -> None:
    directory = plan(execution={"checkpoint_seconds": 1e-9})
    train_to_end(directory, StopAfter(6))
    assert sorted(path.name for path in directory.checkpoints_dir.iterdir()) == ["step-0000000005", "step-0000000006"]


OTHERS = {role: ComponentIdentity(numerics=1) for role in ("architecture", "objective", "optimizer")}
OTHERS["architecture"] = ComponentIdentity(numerics=1, distribution="demo", version="1.0")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"numerics": 99}, "the run was planned for numerics 99, here are "),
        (
            {"components": OTHERS},
            "architecture 'gpt2': the run was planned with demo 1.0, numerics 1, installed is num",
        ),
        ({"libraries": {"transformers": "0.1"}}, "transformers: the run was planned with version 0.1, installed is "),
        ({"format": 1, "numerics": None, "components": {}, "libraries": {}, "plugin_versions": {}}, "its identity is"),
    ],
)
def test_components_that_changed_since_planning_fail_the_run_in_one_line(
    plan: Any, train_to_end: Any, changes: dict[str, Any], reason: str
) -> None:
    directory: RunDirectory = plan()
    planned = directory.read_plan()
    identity = planned.identity.model_copy(update=changes)
    directory.write_plan(planned.model_copy(update={"identity": identity}))
    outcome: Outcome = train_to_end(directory)
    assert outcome.state is RunState.FAILED
    assert outcome.reason is not None
    assert outcome.reason.startswith(reason)
    assert outcome.reason.endswith("run the scan's command again, it plans anew")


def test_failed_run_is_trained_again(plan: Any, train_to_end: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from archbench_gpt2.config import Gpt2Config

    directory = plan()
    with monkeypatch.context() as patch:

        def out_of_memory(self: Gpt2Config, dims: Any, attention: Any) -> None:
            raise torch.OutOfMemoryError("tried to allocate 2 GiB\nof 1 GiB")

        patch.setattr(Gpt2Config, "build", out_of_memory)
        outcome = train_to_end(directory)
    assert (outcome.state, outcome.reason) == (
        RunState.FAILED,
        "out of memory: tried to allocate 2 GiB of 1 GiB with one row at a time; take a shorter training.seq_len, "
        "smaller scan.sizes, fewer execution.executor.workers or a device with more memory",
    )
    assert read_record(directory, contender="x", size_index=0).state is RunState.FAILED
    assert train_to_end(directory).state is RunState.DONE


def test_a_plugin_that_calls_exit_fails_its_run_and_not_its_worker(
    plan: Any, train_to_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from archbench_gpt2.config import Gpt2Config

    monkeypatch.setattr(Gpt2Config, "build", lambda *_: sys.exit(3))
    outcome = train_to_end(plan())
    assert outcome.state is RunState.FAILED
    assert "SystemExit: 3" in outcome.reason


def test_a_damaged_record_is_trained_again_to_the_same_bytes(plan: Any, train_to_end: Any) -> None:
    directory = plan()
    train_to_end(directory)
    whole = directory.record_file.read_bytes()
    directory.record_file.write_bytes(whole[:100])
    assert train_to_end(directory).state is RunState.DONE
    assert directory.record_file.read_bytes() == whole


def test_reason_of_a_failure_is_one_line() -> None:
    assert failure_reason(ValueError("a\n  b")) == "ValueError: a b; the traceback is in the worker's log"


PAGE_FAULTS = """
import resource, torch
from archbench.training.torch_settings import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2_000_000)  # 8 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
kept = keep_freed_memory()
faults()
print(int(kept), before, faults())
"""


def test_memory_that_a_step_frees_is_kept_for_the_next_one() -> None:
    """In a process of its own, whose heap no other test has cut into pieces."""
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, check=True)
    kept, before, after = map(int, done.stdout.split())
    if not kept:
        pytest.skip("not the C library that can be told so")
    assert after < before / 10


def test_a_run_that_is_taken_over_on_the_way_stores_nothing_more_and_has_not_failed(
    plan: Any, train_to_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "REPORT_SECONDS", 0.0)
    directory = plan(execution={"checkpoint_seconds": 1000.0})

    def another_takes_over(report: Report) -> None:
        lease = json.loads(directory.lease_file.read_text())
        directory.lease_file.write_text(json.dumps(lease | {"token": lease["token"] + 1, "boot_id": "another"}))

    with pytest.raises(LeaseLost, match="another process has taken over this run"):
        train_to_end(directory, None, another_takes_over)
    assert not directory.record_file.exists()
    assert not directory.timings_file.exists()
    lease = read_lease(directory)
    assert lease is not None
    assert (lease.boot_id, lease.released) == ("another", False), "what the other one holds was given up"


def test_a_run_that_somebody_else_holds_is_left_to_them(plan: Any, registry: Registry) -> None:
    directory = plan()
    acquire(directory)
    with pytest.raises(LeaseLost, match="is being trained by process"):
        attempt_run(directory, registry, lambda report: None, threading.Event(), wait_seconds=0.0)
    assert not directory.record_file.exists()


def test_a_full_disk_is_no_end_of_a_run_whoever_meets_it(
    plan: Any, train_to_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library's own files may lie on the same disk."""

    def full(*arguments: object) -> None:
        raise RuntimeError("cannot compile") from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(loop, "train_step", full)
    directory = plan()
    with pytest.raises(DiskRefused, match="the disk is full: RuntimeError: cannot compile; free space"):
        train_to_end(directory)
    assert not directory.record_file.exists()
