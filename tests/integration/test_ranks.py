"""Two processes that train a run together: the same losses as one alone, whatever they share out between them."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from archbench.api import Ended, Job, Lost, RunState
from archbench.builtins.execution.local import LocalExecutor, LocalExecutorConfig
from archbench.data.corpus import Corpus
from archbench.host import Host, load_host
from archbench.results.runs import RunRecord
from archbench.runs.directory import RunDirectory
from archbench.runs.records import read_record
from archbench.testing.small_runs import plan_small_run, small_corpus
from archbench.training.carry_out import carry_out

STEPS = 30

TOLERANCE_NATS = 2e-6
"""fp32 resolves a loss of 4 nats to 5e-7; gradients are summed in another order, and 30 small steps keep it at that."""

FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"architecture": {"kind": "gpt2"}},
    "transformer_xl": {"architecture": {"kind": "transformer_xl"}},
    "reformer": {"architecture": {"kind": "reformer", "bucket_size": 8}},
    "bert_masked": {"architecture": {"kind": "bert"}, "objective": {"kind": "masked_lm"}},
    "roberta": {"architecture": {"kind": "roberta"}, "objective": {"kind": "masked_lm"}},
}


@pytest.fixture(scope="module")
def host() -> Host:
    return load_host()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, host: Host) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("corpus"), host.registry)


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    """A warm group of two ranks."""
    with LocalExecutorConfig(workers=2).open(num_jobs=1, log_dir=tmp_path_factory.mktemp("logs"), nproc=2) as opened:
        yield opened


def plan(folder: Path, corpus: Corpus, host: Host, family: str, nproc: int, stage: int, **more: Any) -> RunDirectory:
    folder.mkdir(exist_ok=True)
    execution = {"nproc": nproc, "zero_stage": stage, **more.pop("execution", {})}
    changes = {"total_steps": STEPS, **FAMILIES[family], **more}
    return plan_small_run(folder, corpus, host.registry, execution=execution, **changes)


def job_of(directory: RunDirectory) -> Job:
    return Job(run_id=directory.path.name, run_dir=directory.path, train_flops=1.0, nproc=2)


def end_of(executor: LocalExecutor, directory: RunDirectory) -> Ended | Lost:
    executor.submit(job_of(directory))
    return wait_for_end(executor)


def wait_for_end(executor: LocalExecutor) -> Ended | Lost:
    for _ in range(1200):
        for event in executor.poll(0.1):
            if isinstance(event, Ended | Lost):
                return event
    pytest.fail("no end within two minutes")


def record_of(directory: RunDirectory) -> RunRecord:
    record = read_record(directory, contender="x", size_index=0)
    assert record is not None
    return record


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus, host: Host) -> dict[str, RunRecord]:
    """The same runs in one process, as far as they were asked for."""
    folder = tmp_path_factory.mktemp("alone")
    records: dict[str, RunRecord] = {}

    class Lazily(dict[str, RunRecord]):
        def __missing__(self, family: str) -> RunRecord:
            directory = plan(folder, corpus, host, family, 1, 0)
            outcome = carry_out(directory, host.registry, lambda report: None, Event())
            assert outcome is not None
            assert outcome.state is RunState.DONE
            self[family] = record_of(directory)
            return self[family]

    return Lazily(records)


@pytest.mark.parametrize("stage", [0, 1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_two_ranks_have_the_losses_of_one_process(
    tmp_path: Path,
    corpus: Corpus,
    host: Host,
    group: LocalExecutor,
    alone: dict[str, RunRecord],
    family: str,
    stage: int,
) -> None:
    directory = plan(tmp_path, corpus, host, family, 2, stage)
    assert end_of(group, directory) == Ended(directory.path.name, RunState.DONE, None)
    together, expected = record_of(directory).curve, alone[family].curve
    assert [point.step for point in together] == [point.step for point in expected]
    for mine, one in zip(together, expected, strict=True):
        assert mine.validation_loss_nats == pytest.approx(one.validation_loss_nats, abs=TOLERANCE_NATS)
        if one.train_loss_nats is not None:
            assert mine.train_loss_nats == pytest.approx(one.train_loss_nats, abs=TOLERANCE_NATS)
    # The model did learn, or the comparison would say nothing.
    assert together[-1].validation_loss_nats < together[0].validation_loss_nats - 0.5
