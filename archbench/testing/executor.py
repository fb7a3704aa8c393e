"""The conformance suite that every executor passes, archbench's own and others' alike. Its runs are really trained."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from archbench.contracts.executor import (
    CancellingExecutor,
    Ended,
    Executor,
    ExecutorConfig,
    ExecutorEvent,
    Job,
    Lost,
    Progress,
    QueueingExecutor,
)
from archbench.host import load_host
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import LeaseInfo, read_lease
from archbench.runs.queue import mark_queued
from archbench.runs.store import IndexedRun, RunStore, ScanIndex, directory_status
from archbench.scans.followed_queue import open_executor
from archbench.testing.component import ConfigConformance
from archbench.testing.small_runs import plan_small_run, small_corpus
from archbench.training.run_attempt import attempt_run

SCAN = "conformance"
"""Name of the scan whose runs the suite trains."""

_LONG = 1_000_000
"""Steps of a run that does not end by itself."""

_SOME = 500
"""Steps of a run that is at work for some seconds."""

_DRIVER = """\
import json, sys
from pathlib import Path
from archbench.contracts.executor import Job
from archbench.host import load_host
from archbench.scans.followed_queue import open_executor

given = json.loads(sys.argv[1])
config = load_host(files=[Path(one) for one in given["plugins"]]).registry.executors[given["config"]["kind"]].config
opened = open_executor(config.model_validate(given["config"]), num_jobs=1, log_dir=Path(given["logs"]))
with opened as executor:
    executor.submit(Job(given["run_id"], Path(given["run_dir"]), 1.0, scan=given["scan"]))
    while True:
        for event in executor.poll(0.5):
            print(event, flush=True)
"""


class ExecutorConformance(ConfigConformance):
    """What archbench relies on in an executor. Subclass it with a `config`, and pytest runs the whole suite.

    ```python
    class TestMyExecutor(ExecutorConformance):
        config = MyExecutorConfig()
    ```

    Workers are found by the leases of their runs: they must be processes of this machine.
    """

    config: ClassVar[ExecutorConfig]
    """The executor under test, with its settings; it must carry out one run at least, and two of them at some time."""

    plugin_files: ClassVar[Sequence[Path]] = ()
    """The module that the executor comes from, where no installed distribution registers it."""

    patience_seconds: ClassVar[float] = 180.0
    """How long anything may take: a queue has habits of its own."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> RunStore:
        """An empty store."""
        store = RunStore(tmp_path / "runs")
        store.create()
        return store

    @contextmanager
    def opened(self, store: RunStore, num_jobs: int = 1) -> Iterator[Executor]:
        """The executor as the scheduler opens it, for `num_jobs` runs of `store`."""
        with open_executor(self.config, num_jobs=num_jobs, log_dir=store.logs_dir) as executor:
            yield executor

    def submit(self, executor: Executor, directory: RunDirectory) -> str:
        """Submits the run as the scheduler does; its id."""
        run_id = directory.read_plan().identity.run_id
        if isinstance(executor, QueueingExecutor):
            mark_queued(directory, self.config.kind)
        executor.submit(Job(run_id, directory.path.resolve(), 1.0, name="gpt2 seed 0", scan=SCAN, contender="gpt2"))
        return run_id

    def until(
        self,
        executor: Executor,
        enough: Callable[[list[ExecutorEvent]], Any],
        events: list[ExecutorEvent] | None = None,
    ) -> list[ExecutorEvent]:
        """Events until `enough` of them are there. Fails after `patience_seconds`."""
        events = [] if events is None else events
        deadline = time.monotonic() + self.patience_seconds
        while not enough(events):
            assert time.monotonic() < deadline, f"nothing more came in {self.patience_seconds:g} s; so far: {events}"
            events += executor.poll(0.1)
        return events

    # What a run comes to

    def test_a_run_ends_as_it_does_in_this_process(self, store: RunStore, tmp_path: Path) -> None:
        """The same record, byte for byte, whoever carries a run out; and its end is told once."""
        (directory,) = plan_scan(store, 12)
        with self.opened(store) as executor:
            run_id = self.submit(executor, directory)
            events = self.until(executor, ended)
            assert executor.poll(0.1) == [], "something was told of a run that had ended"
        assert ends(events) == [Ended(run_id, RunState.DONE)]
        assert recorded(directory) == trained_here(directory, tmp_path / "here")

    def test_a_run_that_fails_says_why(self, store: RunStore) -> None:
        """A failure is an end like another one, with its reason in one line."""
        (directory,) = plan_scan(store, 12)
        plan = directory.read_plan()
        gone = plan.execution.model_copy(update={"corpus_dir": str(store.root / "gone")})
        directory.write_plan(plan.model_copy(update={"execution": gone}))
        with self.opened(store) as executor:
            self.submit(executor, directory)
            (end,) = ends(self.until(executor, ended))
        assert isinstance(end, Ended), f"it was told as {end}"
        assert end.state is RunState.FAILED
        assert end.reason is not None, "a failure has a reason"
        assert "gone" in end.reason
        assert "\n" not in end.reason, "a reason is one line"

    def test_each_run_of_several_ends_once_and_no_more_go_on_than_it_says(self, store: RunStore) -> None:
        """`capacity` is a promise, which memory and the cost of neighbours rest on."""
        directories = plan_scan(store, 12, 12, 12)
        with self.opened(store, len(directories)) as executor:
            waiting, most, capacity = list(directories), 0, executor.capacity
            events: list[ExecutorEvent] = []
            assert capacity >= 1

            def step(_: object) -> bool:
                nonlocal most
                while waiting and len(directories) - len(waiting) - len(ends(events)) < capacity:
                    self.submit(executor, waiting.pop(0))
                most = max(most, sum(holder(one) is not None for one in directories))
                return len(ends(events)) >= len(directories)

            self.until(executor, step, events)
        assert sorted(end.run_id for end in ends(events)) == sorted(
            one.read_plan().identity.run_id for one in directories
        )
        assert all(isinstance(end, Ended) and end.state is RunState.DONE for end in ends(events)), ends(events)
        assert most <= capacity, f"{most} runs went on at once, capacity is {capacity}"

    def test_steps_are_told_on_the_way(self, store: RunStore) -> None:
        """In rising order; a driver that hears nothing takes a run for hung, and a person does too."""
        (directory,) = plan_scan(store, _LONG)
        with self.opened(store) as executor:
            self.submit(executor, directory)
            told = self.until(executor, lambda so_far: len(steps(so_far)) >= 2)
        assert steps(told) == sorted(steps(told)), "steps fall"
        (first, *_) = (one for one in told if isinstance(one, Progress))
        assert first.total_steps == _LONG

    def test_jobs_are_begun_in_the_order_in_which_they_were_submitted(self, store: RunStore) -> None:
        """The scheduler submits the longest run first, and those that others wait for."""
        first, second = plan_scan(store, 60, 40)
        with self.opened(store, 2) as executor:
            submitted = [self.submit(executor, one) for one in (first, second)]
            self.until(executor, lambda so_far: len(ends(so_far)) == 2)
        began = [one.since for one in map(read_lease, (first, second)) if one is not None]
        assert len(began) == len(submitted)
        assert began[0] <= began[1] + 1.0, "the second began first"

    def test_what_workers_print_is_in_the_folder_of_logs(self, store: RunStore) -> None:
        """A person who is told that a run was lost looks there."""
        (directory,) = plan_scan(store, 12)
        with self.opened(store) as executor:
            self.submit(executor, directory)
            self.until(executor, ended)
        printed = b"".join(path.read_bytes() for path in store.logs_dir.rglob("*") if path.is_file())
        assert directory.path.name.encode() in printed, f"no log in {store.logs_dir} names the run"

    # Deaths

    def test_a_run_whose_worker_is_killed_is_lost_or_goes_on_and_ends_in_the_same_bits(
        self, store: RunStore, tmp_path: Path
    ) -> None:
        """Nothing but time is lost with a worker."""
        (directory,) = plan_scan(store, _SOME)
        with self.opened(store) as executor:
            self.submit(executor, directory)
            events = self.until(executor, lambda so_far: stored_steps(directory))
            info = holder(directory)
            assert info is not None, "the run goes on and nobody holds its lease"
            os.kill(info.pid, signal.SIGKILL)
            while not ended(events):
                for lost in [one for one in events if isinstance(one, Lost)]:
                    assert not lost.final, f"a killed worker is no failure of the run: {lost.reason}"
                    events.remove(lost)
                    self.submit(executor, directory)
                self.until(
                    executor, lambda so_far: ended(so_far) or any(isinstance(one, Lost) for one in so_far), events
                )
        assert recorded(directory) == trained_here(directory, tmp_path / "here")
        assert token(directory) >= 2, "nobody has taken the run up again"

    def test_a_run_whose_driver_is_killed_can_be_taken_up_and_ends_in_the_same_bits(
        self, store: RunStore, tmp_path: Path
    ) -> None:
        """Workers of a driver that is gone end, or go on to the end of the run; either way nothing is trained twice."""
        (directory,) = plan_scan(store, _SOME)
        plan = directory.read_plan()
        given = {
            "config": self.config.model_dump(mode="json"),
            "plugins": [str(path) for path in self.plugin_files],
            "logs": str(store.logs_dir),
            "run_id": plan.identity.run_id,
            "run_dir": str(directory.path.resolve()),
            "scan": SCAN,
        }
        with subprocess.Popen([sys.executable, "-c", _DRIVER, json.dumps(given)], stdout=subprocess.DEVNULL) as driver:
            self._wait(lambda: stored_steps(directory), "the run began")
            driver.kill()
        if self.config.outlives_driver:
            self._wait(lambda: directory_status(directory).state is RunState.DONE, "the run ended without its driver")
        else:
            self._wait(lambda: holder(directory) is None, "the worker let go of the run")
            with self.opened(store) as executor:
                self.submit(executor, directory)
                self.until(executor, ended)
        assert recorded(directory) == trained_here(directory, tmp_path / "here")

    def test_leaving_it_ends_what_still_runs_with_a_checkpoint(self, store: RunStore) -> None:
        """Ctrl-C: nothing goes on unseen, and the run resumes where it stopped."""
        (directory,) = plan_scan(store, _LONG)
        with self.opened(store) as executor:
            self.submit(executor, directory)
            self.until(executor, steps)
        self._wait(lambda: holder(directory) is None, "the run stopped")
        assert stored_steps(directory), "no checkpoint was stored"
        assert not directory.record_file.exists()

    # Calling off

    def test_a_job_that_is_called_off_stops_with_a_checkpoint_and_is_lost(self, store: RunStore) -> None:
        """The others go on."""
        long, short = plan_scan(store, _LONG, 12)
        with self.opened(store, 2) as executor:
            if not isinstance(executor, CancellingExecutor):
                pytest.skip(f"executor {self.config.kind!r} offers no cancel")
            run_id = self.submit(executor, long)
            events = self.until(executor, steps)
            executor.cancel(run_id)
            self.until(executor, ends, events)
            assert [one.run_id for one in ends(events)] == [run_id]
            assert isinstance(ends(events)[0], Lost)
            executor.cancel(run_id)  # it is gone, which is no error
            other = self.submit(executor, short)
            self.until(executor, lambda so_far: len(ends(so_far)) == 2, events)
        assert ends(events)[1] == Ended(other, RunState.DONE)
        assert stored_steps(long), "no checkpoint was stored"
        assert holder(long) is None

    def _wait(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + self.patience_seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {self.patience_seconds:g} s in vain: {what}"
            time.sleep(0.1)


def plan_scan(store: RunStore, *total_steps: int) -> list[RunDirectory]:
    """Small runs of so many steps, planned in `store` as the scan `SCAN` of one contender."""
    registry = load_host().registry
    corpus = small_corpus(store.root.parent / "corpus", registry)
    runs, indexed = [], []
    for seed, steps in enumerate(total_steps):
        directory = plan_small_run(
            store.root.parent / "plans",
            corpus,
            registry,
            total_steps=steps,
            seed=seed,
            execution={"checkpoint_seconds": 0.3},
        )
        plan = directory.read_plan()
        runs.append(store.prepare(plan))
        indexed.append(IndexedRun(contender="gpt2", size_index=0, seed=seed, run_id=plan.identity.run_id))
    store.save_scan(ScanIndex(name=SCAN, description="", baseline=None, runs=tuple(indexed), spec={}, environment={}))
    return runs


def ends(events: Sequence[ExecutorEvent]) -> list[Ended | Lost]:
    """Those of `events` after which an executor has nothing more to say of a run."""
    return [event for event in events if isinstance(event, Ended | Lost)]


def ended(events: Sequence[ExecutorEvent]) -> bool:
    """Whether a run has come to its end."""
    return any(isinstance(event, Ended) for event in events)


def steps(events: Sequence[ExecutorEvent]) -> list[int]:
    """The steps, from 1 on, that were told."""
    return [event.step for event in events if isinstance(event, Progress) and event.step > 0]


def holder(directory: RunDirectory) -> LeaseInfo | None:
    """Who carries the run out now."""
    info = read_lease(directory)
    return info if info is not None and info.alive else None


def token(directory: RunDirectory) -> int:
    """How often the run was taken up."""
    info = read_lease(directory)
    return 0 if info is None else info.token


def stored_steps(directory: RunDirectory) -> list[str]:
    """Names of the run's checkpoints."""
    return sorted(path.name for path in directory.checkpoints_dir.glob("step-*"))


def recorded(directory: RunDirectory) -> bytes:
    """The bytes of the run's record."""
    return directory.record_file.read_bytes()


def trained_here(directory: RunDirectory, folder: Path) -> bytes:
    """The bytes of the record that the same plan comes to in this process, undisturbed."""
    from threading import Event

    plan = directory.read_plan()
    alone = RunDirectory(folder / directory.path.name)
    alone.write_plan(plan)
    attempt_run(alone, load_host().registry, lambda report: None, Event())
    return alone.record_file.read_bytes()
