"""A number that is none ends its run as diverged, with what it was and where."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from archbench.data.corpus import Corpus
from archbench.host import load_host
from archbench.registry import Registry
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.records import Outcome, read_record
from archbench.testing.small_runs import StopAfter, plan_small_run
from archbench.training.finite_checks import CHECK_STEPS, FiniteChecks
from archbench.training.run_attempt import attempt_run

pytestmark = pytest.mark.thorough

PLUGIN = Path(__file__).parents[2] / "integration" / "poison" / "poisoned.py"
CPU = torch.device("cpu")

REASONS = {
    "loss": "the training loss is not finite in step 70; lower training.learning_rate",
    "gradient": "a gradient is not finite in step 70, whose loss is; lower training.learning_rate",
    "weight": "a weight is not finite after step 100, though losses and gradients were; lower training.learning_rate",
    "evaluation": (
        "the validation loss is not finite after step 100, though losses and gradients were; "
        "lower training.learning_rate"
    ),
}


@pytest.fixture(scope="module")
def poisonous() -> Registry:
    return load_host(files=[PLUGIN]).registry


@pytest.fixture
def plan_poisoned(tmp_path: Path, corpus: Corpus, poisonous: Registry) -> Any:
    def make(name: str, where: str, **changes: Any) -> RunDirectory:
        (tmp_path / name).mkdir()
        return plan_small_run(
            tmp_path / name,
            corpus,
            poisonous,
            architecture={"kind": "poisoned", "where": where, "in_step": 70},
            total_steps=100,
            evaluation={"points": 2},
            **changes,
        )

    return make


def carry(directory: RunDirectory, registry: Registry, stop: threading.Event | None = None) -> Outcome | None:
    return attempt_run(directory, registry, lambda report: None, stop or threading.Event())


@pytest.mark.parametrize("where", REASONS)
def test_the_reason_names_what_was_no_number_first_and_when(
    plan_poisoned: Any, poisonous: Registry, where: str
) -> None:
    directory = plan_poisoned("one", where)
    outcome = carry(directory, poisonous)
    assert outcome is not None
    assert (outcome.state, outcome.reason) == (RunState.DIVERGED, REASONS[where])
    record = read_record(directory, contender="x", size_index=0)
    assert record is not None
    assert (record.state, record.usable, record.reason) == (RunState.DIVERGED, False, REASONS[where])
    assert [point.step for point in record.curve] == [0, 1], "no point is added that the poison has reached"


@pytest.mark.parametrize("execution", [{"zero_stage": 1}, {"zero_stage": 2}, {"micro_batch_rows": 2}])
def test_a_gradient_is_watched_however_a_run_is_carried_out(
    plan_poisoned: Any, poisonous: Registry, execution: dict[str, Any]
) -> None:
    outcome = carry(plan_poisoned("one", "gradient", execution=execution), poisonous)
    assert outcome is not None
    assert outcome.state is RunState.DIVERGED
    # Two micro-batches a step: the seventieth pass is in step 35.
    step = 35 if "micro_batch_rows" in execution else 70
    assert outcome.reason == f"a gradient is not finite in step {step}, whose loss is; lower training.learning_rate"


def test_a_gradient_is_watched_in_bf16(plan_poisoned: Any, poisonous: Registry) -> None:
    # bf16 counts in steps of one up to 256: the buffer is cast, too.
    outcome = carry(plan_poisoned("one", "gradient", training={"precision": "bf16"}), poisonous)
    assert outcome is not None
    assert outcome.reason == REASONS["gradient"]


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("stop_after", [30, 69, 70, 71])
def test_a_run_that_is_stopped_before_it_diverges_leaves_the_same_record(
    plan_poisoned: Any, poisonous: Registry, where: str, stop_after: int
) -> None:
    undisturbed, stopped = plan_poisoned("undisturbed", where), plan_poisoned("stopped", where)
    carry(undisturbed, poisonous)
    first = carry(stopped, poisonous, StopAfter(stop_after))
    # From step 70 on the look before the checkpoint finds it, and nothing poisoned is stored.
    assert (first is None) == (stop_after < 70)
    carry(stopped, poisonous)
    assert stopped.record_file.read_bytes() == undisturbed.record_file.read_bytes()


def test_the_first_unsound_step_is_found_wherever_it_lies_in_the_ring() -> None:
    for first in range(CHECK_STEPS):
        finite_checks = FiniteChecks(CPU)
        for step in range(100, 100 + CHECK_STEPS):
            finite_checks.note_loss(step, torch.tensor(float("inf") if step > 100 + first else 5.0))
            finite_checks.note_gradient(step, torch.tensor(float("nan") if step >= 100 + first else 1.0))
        problem = finite_checks.problem(100 + CHECK_STEPS)
        assert problem is not None
        assert problem.startswith(f"a gradient is not finite in step {101 + first}, whose loss is")
        assert finite_checks.problem(100 + CHECK_STEPS) is None, "a look forgets what was noted"


def test_losses_of_micro_batches_are_not_taken_for_sound_when_one_of_them_is_not() -> None:
    finite_checks = FiniteChecks(CPU)
    for nats in (5.0, float("inf"), float("-inf")):
        finite_checks.note_loss(3, torch.tensor(nats))
    assert finite_checks.problem(4) == "the training loss is not finite in step 4; lower training.learning_rate"
