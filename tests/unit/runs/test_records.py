import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archbench.contracts.architecture import ModelDims
from archbench.errors import StoreError
from archbench.numerics import NUMERICS
from archbench.results.runs import CurvePoint, PrefixAudit, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import acquire
from archbench.runs.records import Outcome, read_last, read_record, write_record, write_timings
from archbench.runs.sealed import seal
from archbench.spec.identity import (
    DataIdentity,
    EvaluationSettings,
    ExecutionSettings,
    RunFacts,
    RunIdentity,
    RunPlan,
    TrainingSettings,
)

PLAN = RunPlan(
    identity=RunIdentity(
        architecture={"kind": "gpt2"},
        dims=ModelDims(vocab_size=264, seq_len=32, d_model=16, n_layers=2, n_heads=2, d_ff=64),
        objective={"kind": "causal_lm"},
        data=DataIdentity(corpus_hash="0" * 64, order="stream"),
        training=TrainingSettings(batch_tokens=128, total_steps=10, peak_learning_rate=1e-3),
        evaluation=EvaluationSettings(),
        seed=7,
        numerics=NUMERICS,
    ),
    facts=RunFacts(
        track="causal",
        non_embedding_params=6000,
        embedding_params=5000,
        kaplan_flops_per_token=36000.0,
        exact_flops_per_token=90000.0,
        exact_flops_by_component={"logits": 1.0},
        unique_tokens=1000,
    ),
    execution=ExecutionSettings(corpus_dir="/somewhere"),
)
CURVE = (
    CurvePoint(0, 0, 0.0, 0.0, None, 5.5, 7.9, True, False, 0.0),
    CurvePoint(10, 1280, 1.0, 2.0, 4.4, 4.5, 6.5, False, True, 1.25),
)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "run")
    directory.write_plan(PLAN)
    return directory


def read(directory: RunDirectory) -> Any:
    return read_record(directory, contender="a", size_index=2)


def test_directory_without_a_plan_holds_no_record(tmp_path: Path) -> None:
    assert read(RunDirectory(tmp_path)) is None


def test_planned_run_becomes_running_under_a_lease(directory: RunDirectory) -> None:
    planned = read(directory)
    assert (planned.state, planned.curve, planned.run_id) == (RunState.PLANNED, (), PLAN.identity.run_id)
    assert (planned.non_embedding_params, planned.planned_tokens, planned.seed) == (6000, 1280, 7)
    lease = acquire(directory)
    assert read(directory).state is RunState.RUNNING
    lease.release()
    assert read(directory).state is RunState.PLANNED


def test_record_comes_back_as_it_was_written(directory: RunDirectory) -> None:
    audit = PrefixAudit(0.25, 0.125, 0.375, 256)
    write_record(directory, PLAN, Outcome(RunState.DONE, CURVE, audit))
    write_timings(directory, CURVE, {"threads": 1})
    record = read(directory)
    assert (record.state, record.curve, record.prefix_audit) == (RunState.DONE, CURVE, audit)
    assert record.details["timings"]["threads"] == 1
    assert record.usable


def test_record_has_the_same_bytes_whatever_was_measured(directory: RunDirectory) -> None:
    write_record(directory, PLAN, Outcome(RunState.DONE, CURVE))
    before = directory.record_file.read_bytes()
    slower = tuple(CurvePoint(**{**point_fields(point), "device_seconds": 99.0}) for point in CURVE)
    write_record(
        directory,
        PLAN.model_copy(update={"execution": ExecutionSettings(corpus_dir="/other")}),
        Outcome(RunState.DONE, slower),
    )
    assert directory.record_file.read_bytes() == before


def point_fields(point: CurvePoint) -> dict[str, Any]:
    return {name: getattr(point, name) for name in CurvePoint.__slots__}


def test_record_without_timings_has_no_device_seconds(directory: RunDirectory) -> None:
    write_record(directory, PLAN, Outcome(RunState.DONE, CURVE))
    assert [point.device_seconds for point in read(directory).curve] == [None, None]


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.DIVERGED])
def test_failed_and_diverged_runs_keep_their_reason(directory: RunDirectory, state: RunState) -> None:
    write_record(directory, PLAN, Outcome(state, reason="out of memory"))
    record = read(directory)
    assert (record.state, record.reason, record.usable) == (state, "out of memory", False)


@pytest.mark.parametrize("state", [RunState.PLANNED, RunState.RUNNING])
def test_run_that_has_not_ended_leaves_no_record(directory: RunDirectory, state: RunState) -> None:
    with pytest.raises(ValueError, match="not the state"):
        write_record(directory, PLAN, Outcome(state))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("state",), "finished", "'finished' is not a valid RunState"),
        (("run_id",), "f" * 64, "its run id does not belong to its identity"),
        (("identity", "seed"), -1, "seed: Input should be greater than or equal to 0"),
        (("curve", 0, "step"), "zero", "field 'step' of a curve point is 'zero'"),
        (("curve", 0, "in_warmup"), 1, "field 'in_warmup' of a curve point is 1"),
        (("curve", 0, "speed"), 1, "unknown field 'speed'"),
        (("curve", 0, "validation_loss_nats"), None, "field 'validation_loss_nats' of a curve point is None"),
        (("curve", 0, "tokens"), 2.5, "field 'tokens' of a curve point is 2.5"),
        (("curve",), "abc", "is damaged"),
        (("reason",), [1], "its reason is [1]"),
        (("prefix_audit",), {"mean": 1}, "mean"),
    ],
)
def test_malformed_record_is_told_in_one_line(
    directory: RunDirectory, path: tuple[Any, ...], value: object, message: str
) -> None:
    write_record(directory, PLAN, Outcome(RunState.DONE, CURVE))
    content = json.loads(directory.record_file.read_bytes())
    place = content
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    del content["digest"]
    directory.record_file.write_bytes(seal(content))
    with pytest.raises(StoreError) as caught:
        read(directory)
    assert message in str(caught.value)
    assert str(directory.record_file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[]", "not json", "", '{"device_seconds_by_step": [[1]]}'])
def test_malformed_timings_are_told_beside_the_record(directory: RunDirectory, content: str) -> None:
    write_record(directory, PLAN, Outcome(RunState.DONE, CURVE))
    directory.timings_file.write_text(content)
    record = read(directory)
    assert record.state is RunState.DONE
    assert [point.device_seconds for point in record.curve] == [None, None]
    assert "timings.json: is damaged" in record.details["problem"]


@pytest.mark.parametrize("timings", [None, '{"device_seconds_by_step": [[1]]}', '{"threads": 1}', "sealed"])
def test_last_point_alone_changes_nothing_but_the_curve(directory: RunDirectory, timings: str | None) -> None:
    write_record(directory, PLAN, Outcome(RunState.DONE, CURVE, PrefixAudit(0.25, 0.125, 0.375, 256)))
    if timings == "sealed":
        write_timings(directory, CURVE, {"threads": 1})
    elif timings is not None:
        directory.timings_file.write_text(timings)
    whole, last = read(directory), read_last(directory, contender="a", size_index=2)
    assert last == replace(whole, curve=whole.curve[-1:])
    assert len(whole.curve) == len(CURVE)


def test_processor_seconds_stand_in_the_timings_by_step(directory: RunDirectory) -> None:
    timed = tuple(replace(point, processor_seconds=float(point.step)) for point in CURVE)
    write_record(directory, PLAN, Outcome(RunState.DONE, timed))
    write_timings(directory, timed, {})
    assert b"processor_seconds" not in directory.record_file.read_bytes()
    assert read(directory).curve == timed
    write_timings(directory, CURVE, {})
    assert b"processor_seconds" not in directory.timings_file.read_bytes()
    assert [point.processor_seconds for point in read(directory).curve] == [None, None]


@pytest.mark.parametrize(
    "lines", [{"unigram": 3.4, "bigram": 2.75, "trigram": 2.15}, {"unigram": 3.4, "neighbours": 1.7}]
)
def test_reference_lines_come_back_and_cost_a_run_without_them_no_byte(
    directory: RunDirectory, lines: dict[str, float]
) -> None:
    outcome = Outcome(RunState.DONE, CURVE)
    write_record(directory, PLAN, outcome)
    without = directory.record_file.read_bytes()
    assert b"reference_lines" not in without
    assert read(directory).reference_lines == {}
    write_record(directory, PLAN, replace(outcome, reference_lines=lines))
    assert read(directory).reference_lines == lines


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ({"bigram": 2.0}, "expected unigram, bigram, trigram or unigram, neighbours"),
        ({"unigram": 3.4, "neighbours": "1.7"}, "neighbours is '1.7'"),
        ({"unigram": 3.4, "neighbours": -1.0}, "neighbours is -1.0"),
        ([3.4, 1.7], "its reference lines are"),
    ],
)
def test_reference_lines_that_are_none_are_damage(directory: RunDirectory, lines: Any, told: str) -> None:
    write_record(directory, PLAN, Outcome(RunState.DONE, CURVE))
    content = json.loads(directory.record_file.read_text())
    stated = {key: value for key, value in content.items() if key not in ("format", "digest")}
    directory.record_file.write_bytes(seal({**stated, "reference_lines": lines}))
    with pytest.raises(StoreError, match=told):
        read(directory)


def test_plan_of_an_older_version_is_read_without_its_kernels() -> None:
    content = PLAN.model_dump(mode="json")
    content["execution"]["kernels"] = "auto"
    assert RunPlan.model_validate(content) == PLAN
