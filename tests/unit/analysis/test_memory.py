"""Loss against bytes of weights: a mixture of experts of known losses needs the memory that it has."""

from dataclasses import replace
from pathlib import Path

import pytest

from archbench.analysis.frontier.memory import compare_by_memory, models_in_memory
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.builtins.reports.memory_section import MemorySection
from archbench.contracts.report import ScanResults
from archbench.report.verdict import reservations
from archbench.results.experts import convention_beside_dense, mixtures, weight_bytes
from archbench.results.runs import RunRecord
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

LAW = SyntheticLaw(noise_std=0.002)
IDLE = 2
"""Idle parameters to each that a token uses."""
OPTIONS = StudyOptions(num_resamples=200, floor="none")


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    """A dense ladder, and one of the same law whose models hold three times the parameters that a token uses."""
    dense = [replace(run, embedding_params=0) for run in synthetic_records("dense", LAW)]
    sparse = [
        replace(run, embedding_params=0, non_embedding_params=(1 + IDLE) * run.non_embedding_params)
        for run in synthetic_records("experts", LAW, seed=1)
    ]
    return [*dense, *sparse]


def test_what_a_token_uses_is_told_from_what_there_is(records: list[RunRecord]) -> None:
    assert mixtures(records) == ["experts"]
    sparse = records[-1]
    assert (sparse.non_embedding_params, sparse.active_params) == (480_000, 160_000)
    assert weight_bytes(sparse) == 4 * 480_000
    assert convention_beside_dense(records[:5]) is None
    words = convention_beside_dense(records)
    assert words is not None
    assert words.startswith("experts is a mixture of experts: N counts all parameters without embeddings; 6ND")


def test_the_multiplier_of_memory_is_that_of_the_idle_parameters(records: list[RunRecord]) -> None:
    (pair,) = compare_by_memory(records, baseline="dense", options=OPTIONS)
    assert pair.headline is not None
    found = pair.headline.multiplier
    assert found is not None
    assert found.low < 1.0 / (1 + IDLE) < found.high
    # As many FLOPs for the same loss: the laws are the same.
    _, pairs = analyse_scan(records, baseline="dense", options=OPTIONS)
    executed = next(one for one in pairs if one.cost_axis.value == "exact").headline
    assert executed is not None
    assert executed.multiplier is not None
    assert executed.multiplier.covers(1.0)


def test_each_size_is_its_largest_budget_and_the_lowest_at_its_memory_is_marked(records: list[RunRecord]) -> None:
    short = [
        replace(run, run_id=f"{run.run_id}-short", planned_tokens=run.planned_tokens // 2, curve=run.curve[:-3])
        for run in records
    ]
    models = models_in_memory([*short, *records])
    assert models == models_in_memory(records)
    assert [one.lowest for one in models if one.contender == "dense"] == [True] * 5
    # Of one law and three times the memory: the largest differs from the largest dense one by noise alone.
    assert [one.lowest for one in models if one.contender == "experts"][:4] == [False] * 4


def test_the_report_has_the_section_where_sparse_and_dense_meet_alone(records: list[RunRecord], tmp_path: Path) -> None:
    def results(of: list[RunRecord]) -> ScanResults:
        frontiers, pairs = analyse_scan(of, baseline="dense", options=OPTIONS)
        return ScanResults("demo", "", "dense", tuple(of), frontiers, pairs, {}, {})

    both = results(records)
    text = MemorySection().render(both, tmp_path)
    assert text is not None
    assert "N counts all parameters without embeddings; 6ND and executed FLOPs are of those that a token uses" in text
    assert "| experts | 5 | 480k | 160k | 1.8 MiB |" in text
    assert "| experts | dense | 0.3" in text
    assert any("experts is a mixture of experts" in line for line in reservations(both))
    (table,) = MemorySection().tables(both)
    assert len(table.rows) == 10
    alone = results([run for run in records if run.contender == "dense"])
    assert MemorySection().render(alone, tmp_path) is None
    assert not MemorySection().tables(alone)
    assert not any("mixture" in line for line in reservations(alone))
