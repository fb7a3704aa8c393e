"""Two processes that train a run together: the same losses as one alone, and the same bits after any accident."""

import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
import safetensors.torch

from archbench.api import Ended, Job, Lost, ModelDims, Progress, RunState
from archbench.builtins.execution.local import LocalExecutor, LocalExecutorConfig
from archbench.data.corpus import Corpus
from archbench.host import Host, load_host
from archbench.results.runs import RunRecord
from archbench.runs.directory import RunDirectory
from archbench.runs.records import read_record
from archbench.testing.small_runs import plan_small_run, small_corpus
from archbench.training.run_attempt import attempt_run

STEPS = 30

TOLERANCE_NATS = 2e-6
"""fp32 resolves a loss of 4 nats to 5e-7; gradients are summed in another order, and 30 small steps keep it at that."""

HASHING_TOLERANCE_NATS = 1e-3
"""Where keys are hashed, a difference in the last digit moves one of them into another bucket now and then, and what is
learnt from then on is another thing: 2.4e-4 apart after 30 steps. One that saw other tokens would be .1 apart."""

FAMILIES: dict[str, dict[str, Any]] = {
    "gpt2": {"architecture": {"kind": "gpt2"}},
    "transformer_xl": {"architecture": {"kind": "transformer_xl"}},
    "reformer": {"architecture": {"kind": "reformer", "bucket_size": 8}},
    "bert_masked": {"architecture": {"kind": "bert"}, "objective": {"kind": "masked_lm"}},
    "roberta": {"architecture": {"kind": "roberta"}, "objective": {"kind": "masked_lm"}},
}


DIMS = ModelDims(vocab_size=264, seq_len=32, d_model=96, n_layers=2, n_heads=2, d_ff=256)
"""Wide enough that ZeRO 3 does spread the matrices."""

FAULTY = """
import os, time
from typing import Literal

import torch

from archbench.api import hookimpl
from archbench_gpt2.config import Gpt2Config


class Faulty(Gpt2Config):
    kind: Literal["faulty"] = "faulty"
    fault: str = "none"
    rank: str = "0"

    def build(self, dims, attention):
        model = super().build(dims, attention)
        sound, taken = model.encode, 0

        def encode(tokens, **more):
            nonlocal taken
            found = sound(tokens, **more)
            taken += model.training
            if not model.training or taken < 8 or os.environ.get("RANK", "0") != self.rank:
                return found
            if self.fault == "raises":
                raise ZeroDivisionError("only here")
            if taken > 200 and self.fault.startswith("hangs") and not os.path.exists(self.fault[5:]):
                open(self.fault[5:], "w").close()
                time.sleep(1e6)
            if self.fault == "nan_in_loss":
                return found._replace(hidden=found.hidden * float("nan"))
            if self.fault == "nan_in_gradient" and taken == 8:
                found.hidden.register_hook(lambda gradient: gradient * float("nan"))
            return found

        model.encode = encode
        return model


@hookimpl
def register_architectures():
    return [Faulty]
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plugin") / "faulty_plugin.py"
    file.write_text(FAULTY)
    return file


@pytest.fixture(scope="module")
def host(plugin: Path) -> Host:
    return load_host(files=[plugin])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, host: Host) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("corpus"), host.registry)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def group(logs: Path, plugin: Path) -> Iterator[LocalExecutor]:
    """A warm group of two ranks, replaced when a test has ended it."""
    config = LocalExecutorConfig(workers=2)
    with config.open(num_jobs=1, log_dir=logs, plugin_files=[plugin], nproc=2) as opened:
        yield opened


def plan(folder: Path, corpus: Corpus, host: Host, family: str, nproc: int, stage: int, **more: Any) -> RunDirectory:
    folder.mkdir(exist_ok=True)
    execution = {"nproc": nproc, "zero_stage": stage, **more.pop("execution", {})}
    evaluation = {"final_tokens": "all", **more.pop("evaluation", {})}
    changes = {"total_steps": STEPS, "dims": DIMS, "evaluation": evaluation, **FAMILIES.get(family, {}), **more}
    return plan_small_run(folder, corpus, host.registry, execution=execution, **changes)


def job_of(directory: RunDirectory) -> Job:
    watchdog_seconds = directory.read_plan().execution.watchdog_seconds
    return Job(directory.path.name, directory.path, train_flops=1.0, watchdog_seconds=watchdog_seconds)


def end_of(executor: LocalExecutor, directory: RunDirectory) -> Ended | Lost:
    executor.submit(job_of(directory))
    return wait_for_end(executor)


def wait_for_end(executor: LocalExecutor) -> Ended | Lost:
    for _ in range(2400):
        for event in executor.poll(0.1):
            if isinstance(event, Ended | Lost):
                return event
    pytest.fail("no end within four minutes")


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
            outcome = attempt_run(directory, host.registry, lambda report: None, Event())
            assert outcome is not None
            assert outcome.state is RunState.DONE
            self[family] = record_of(directory)
            return self[family]

    return Lazily(records)


CASES = list(itertools.product(FAMILIES, (0, 1, 2, 3)))
EVERYDAY = [("gpt2", 0), ("transformer_xl", 3)]
"""Nothing that is shared; and all that can be, beside a state that goes from step to step."""


@pytest.mark.parametrize(
    ("family", "stage"),
    [pytest.param(*case, marks=() if case in EVERYDAY else pytest.mark.thorough) for case in CASES],
)
def test_two_ranks_have_the_losses_of_one_process(
    tmp_path: Path,
    corpus: Corpus,
    host: Host,
    group: LocalExecutor,
    alone: dict[str, RunRecord],
    family: str,
    stage: int,
) -> None:
    tolerance = HASHING_TOLERANCE_NATS if family == "reformer" else TOLERANCE_NATS
    directory = plan(tmp_path, corpus, host, family, 2, stage)
    assert end_of(group, directory) == Ended(directory.path.name, RunState.DONE, None)
    final, expected_final = record_of(directory).final, alone[family].final
    assert final is not None
    assert expected_final is not None
    assert final.predictions == expected_final.predictions
    assert final.loss_nats == pytest.approx(expected_final.loss_nats, abs=tolerance)
    together, expected = record_of(directory).curve, alone[family].curve
    assert [point.step for point in together] == [point.step for point in expected]
    for mine, one in zip(together, expected, strict=True):
        assert mine.validation_loss_nats == pytest.approx(one.validation_loss_nats, abs=tolerance)
        if one.train_loss_nats is not None:
            assert mine.train_loss_nats == pytest.approx(one.train_loss_nats, abs=tolerance)
    # The model did learn, or the comparison would say nothing.
    assert together[-1].validation_loss_nats < together[0].validation_loss_nats - 0.5


def test_micro_batches_of_two_ranks_change_nothing_but_rounding(
    tmp_path: Path, corpus: Corpus, host: Host, group: LocalExecutor, alone: dict[str, RunRecord]
) -> None:
    directory = plan(tmp_path, corpus, host, "transformer_xl", 2, 1, execution={"micro_batch_rows": 1})
    assert end_of(group, directory) == Ended(directory.path.name, RunState.DONE, None)
    last, expected = record_of(directory).curve[-1], alone["transformer_xl"].curve[-1]
    assert last.validation_loss_nats == pytest.approx(expected.validation_loss_nats, abs=TOLERANCE_NATS)


@pytest.mark.parametrize("stage", [pytest.param(0, marks=pytest.mark.thorough), 3])
def test_final_weights_are_whole_whoever_held_them(
    tmp_path: Path, corpus: Corpus, host: Host, group: LocalExecutor, stage: int
) -> None:
    more = {"total_steps": 4}
    one = plan(tmp_path / "one", corpus, host, "gpt2", 1, 0, execution={"keep_weights": True}, **more)
    two = plan(tmp_path / "two", corpus, host, "gpt2", 2, stage, execution={"keep_weights": True}, **more)
    attempt_run(one, host.registry, lambda report: None, Event())
    assert end_of(group, two) == Ended(two.path.name, RunState.DONE, None)
    (expected_file,) = (one.path / "weights").glob("*.safetensors")
    expected = safetensors.torch.load_file(expected_file)
    mine = safetensors.torch.load_file(two.path / "weights" / expected_file.name)
    assert mine.keys() == expected.keys()
    # Adam turns the rounding of a gradient that is zero (attention's key bias) into updates of up to the rate, 3e-3.
    assert all((mine[name] - expected[name]).abs().max() < 4 * 3e-3 for name in expected)
    matrix = max(expected, key=lambda name: expected[name].numel())
    assert (mine[matrix] - expected[matrix]).abs().median() < 1e-6


@pytest.mark.parametrize(
    ("fault", "stage"),
    [
        ("nan_in_loss", 0),
        *(pytest.param("nan_in_gradient", stage, marks=pytest.mark.thorough) for stage in (0, 2, 3)),
    ],
)
def test_number_that_is_none_on_one_rank_ends_the_run_as_diverged_on_all(
    tmp_path: Path, corpus: Corpus, host: Host, group: LocalExecutor, fault: str, stage: int
) -> None:
    architecture = {"kind": "faulty", "fault": fault, "rank": "1"}
    directory = plan(tmp_path, corpus, host, "", 2, stage, architecture=architecture)
    end = end_of(group, directory)
    assert isinstance(end, Ended)
    assert end.state is RunState.DIVERGED
    assert end.reason is not None
    assert "is not finite in step" in end.reason or "not finite after step" in end.reason
    record = record_of(directory)
    assert (record.state, record.usable) == (RunState.DIVERGED, False)
    sound = plan(tmp_path, corpus, host, "gpt2", 2, stage, total_steps=2)
    assert end_of(group, sound) == Ended(sound.path.name, RunState.DONE, None), "the group goes on with other runs"


def test_error_on_one_rank_fails_the_run_with_its_reason(
    tmp_path: Path, corpus: Corpus, host: Host, group: LocalExecutor, logs: Path
) -> None:
    architecture = {"kind": "faulty", "fault": "raises", "rank": "1"}
    directory = plan(tmp_path, corpus, host, "", 2, 0, architecture=architecture)
    reason = "ZeroDivisionError: only here; the traceback is in the worker's log"
    assert end_of(group, directory) == Ended(directory.path.name, RunState.FAILED, reason)
    assert record_of(directory).reason == reason
    assert "Traceback" in (logs / "worker-0.log").read_text()


LONG = 120
"""Steps of the runs that are disturbed: some seconds."""


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, corpus: Corpus, host: Host, group: LocalExecutor
) -> dict[int, bytes]:
    """The record of the long run, by ZeRO stage, as far as it was asked for."""
    folder = tmp_path_factory.mktemp("long")

    class Lazily(dict[int, bytes]):
        def __missing__(self, stage: int) -> bytes:
            directory = plan(folder, corpus, host, "transformer_xl", 2, stage, dims=None, total_steps=LONG)
            assert end_of(group, directory) == Ended(directory.path.name, RunState.DONE, None)
            self[stage] = directory.record_file.read_bytes()
            return self[stage]

    return Lazily()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accident", "stage"), [(signal.SIGKILL, 3), pytest.param(signal.SIGSTOP, 2, marks=pytest.mark.thorough)]
)
@pytest.mark.thorough
def test_group_that_loses_a_rank_is_ended_and_its_run_goes_on_to_the_same_bits(
    tmp_path: Path,
    corpus: Corpus,
    host: Host,
    group: LocalExecutor,
    undisturbed: dict[int, bytes],
    accident: signal.Signals,
    stage: int,
) -> None:
    settings = {"checkpoint_seconds": 0.1, "watchdog_seconds": 10.0}
    expected = undisturbed[stage]
    directory = plan(
        tmp_path, corpus, host, "transformer_xl", 2, stage, dims=None, total_steps=LONG, execution=settings
    )
    group.submit(job_of(directory))
    wait_for_first_report_and_checkpoint(directory, group)
    ranks = psutil.Process(group.worker_pids[0]).children()
    assert len(ranks) == 2
    second = next(rank for rank in ranks if rank.environ()["RANK"] == "1")
    second.send_signal(accident)
    began = time.monotonic()
    lost = wait_for_end(group)
    seconds = time.monotonic() - began
    assert isinstance(lost, Lost)
    if accident == signal.SIGKILL:
        assert "lost rank 1 of 2, which was killed by SIGKILL" in lost.reason
        # gloo alone would wait for half an hour.
        assert seconds < 60.0
    else:
        assert "hung after step" in lost.reason
        assert f"stopped: process {second.pid}" in lost.reason
        assert seconds < 120.0
    _, alive = psutil.wait_procs(ranks, timeout=30.0)
    assert not alive, "no rank outlives its group"
    assert end_of(group, directory) == Ended(directory.path.name, RunState.DONE, None)
    assert directory.record_file.read_bytes() == expected
    assert record_of(directory).details["timings"]["attempts"] == 2


def wait_for_first_report_and_checkpoint(directory: RunDirectory, executor: LocalExecutor) -> None:
    reported = False
    for _ in range(24000):
        events = executor.poll(0.01)
        assert not any(isinstance(event, Ended | Lost) for event in events)
        reported = reported or any(isinstance(event, Progress) for event in events)
        if reported and list(directory.checkpoints_dir.glob("step-*")):
            return
    pytest.fail("no checkpoint within four minutes")


@pytest.mark.thorough
def test_run_that_hangs_in_one_process_is_ended_and_tried_again(
    tmp_path: Path, corpus: Corpus, host: Host, plugin: Path
) -> None:
    architecture = {"kind": "faulty", "fault": f"hangs{tmp_path / 'once'}"}
    settings = {"checkpoint_seconds": 0.01, "watchdog_seconds": 5.0}
    directory = plan(
        tmp_path, corpus, host, "", 1, 0, architecture=architecture, execution=settings, total_steps=400, dims=None
    )
    with LocalExecutorConfig(workers=1).open(num_jobs=1, log_dir=tmp_path, plugin_files=[plugin]) as executor:
        lost = end_of(executor, directory)
        assert isinstance(lost, Lost)
        assert lost.reason.startswith("it hung after step ")
        log = (tmp_path / "worker-0.log").read_text()
        assert "faulty_plugin.py" in log, "the traceback of where it hung"
        assert end_of(executor, directory) == Ended(directory.path.name, RunState.DONE, None)
