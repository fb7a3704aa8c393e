"""The estimate of a run's memory, which decides how many go on at once."""

from pathlib import Path

import pytest

from archbench.host import default_host
from archbench.scans.memory import PROCESS_BYTES, expected_memory_bytes
from archbench.testing.small_runs import plan_small_run, small_corpus


def expected(folder: Path, rows: int, micro_batch_rows: int | None) -> int:
    registry = default_host().registry
    directory = plan_small_run(
        folder,
        small_corpus(folder, registry),
        registry,
        rows=rows,
        execution={"micro_batch_rows": micro_batch_rows},
    )
    return expected_memory_bytes(directory.read_plan()) - PROCESS_BYTES


def test_activations_follow_the_rows_of_one_pass_and_not_of_the_batch(tmp_path: Path) -> None:
    whole, halves, small = (expected(tmp_path, rows, micro) for rows, micro in ((8, None), (8, 4), (4, None)))
    assert halves == small < whole


def test_parameters_count_with_gradients_and_both_moments(tmp_path: Path) -> None:
    registry = default_host().registry
    facts = plan_small_run(tmp_path, small_corpus(tmp_path, registry), registry).read_plan().facts
    one, two = (expected(tmp_path, rows, None) for rows in (4, 8))
    # What does not grow with the rows is the state.
    assert one - (two - one) == pytest.approx(16 * (facts.non_embedding_params + facts.embedding_params))


def test_an_optimizer_that_keeps_more_takes_more(tmp_path: Path) -> None:
    registry = default_host().registry
    plan = plan_small_run(tmp_path, small_corpus(tmp_path, registry), registry).read_plan()
    larger = plan.model_copy(update={"facts": plan.facts.model_copy(update={"optimizer_bytes_per_param": 20})})
    params = plan.facts.non_embedding_params + plan.facts.embedding_params
    assert expected_memory_bytes(larger) - expected_memory_bytes(plan) == 12 * params
