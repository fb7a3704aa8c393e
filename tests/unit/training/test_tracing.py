"""What runs write into their traces while they train."""

from typing import Any

import pytest

from archbench.results.runs import RunState
from archbench.runs.records import read_record
from archbench.runs.trace import read_trace
from archbench.testing.small_runs import StopAfter
from archbench.training import loop


def test_the_trace_of_an_interrupted_run_is_its_curve_with_norms_rates_and_memory_between(
    monkeypatch: pytest.MonkeyPatch, plan: Any, train_to_end: Any
) -> None:
    monkeypatch.setattr(loop, "REPORT_SECONDS", 0.0)
    directory = plan("traced", architecture={"kind": "gpt2"})
    assert train_to_end(directory, StopAfter(3)) is None
    assert len(read_trace(directory.trace_file)) >= 3, "it is there while the run goes on"
    assert train_to_end(directory).state is RunState.DONE
    points = read_trace(directory.trace_file)
    steps = [point.step for point in points]
    assert steps == sorted(set(steps))
    assert len({point.token for point in points}) == 2, "of both attempts"
    record = read_record(directory, contender="x", size_index=0)
    evaluated = {point.step: point.validation_loss_nats for point in points if point.validation_loss_nats is not None}
    assert evaluated == {point.step: point.validation_loss_nats for point in record.curve}
    between = [point for point in points if point.gradient_norm is not None]
    assert len(between) > len(steps) / 2
    assert all(point.gradient_norm > 0 and point.tokens_per_s > 0 and point.memory_bytes > 0 for point in between)
