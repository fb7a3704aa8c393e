"""Workers on a store that is no shared folder: each on a machine of its own, as far as the store can tell.

With $ARCHBENCH_TEST_S3, the address of a server of S3's protocol, and keys in the environment, also on a bucket there.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from command_line import wait

from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.remote import working_folder
from archbench.runs.remote.corpora import push_texts
from archbench.runs.remote.mirror import Mirror
from archbench.runs.store import directory_status
from archbench.testing.executor import plan_scan, trained_here

COMMAND = [sys.executable, "-m", "archbench.cli.main", "worker", "--until-empty", "--runs"]
UNSHARE = ("unshare", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child")
REAL_S3 = os.environ.get("ARCHBENCH_TEST_S3")

Started = "subprocess.Popen[str]"


@pytest.fixture(params=["file", *(["s3"] if REAL_S3 else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "file":
        return f"file://{tmp_path / 'store'}"
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", str(REAL_S3))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem(skip_instance_cache=True).makedirs("my-runs", exist_ok=True)
    return f"s3://my-runs/{uuid.uuid4().hex}"


@pytest.fixture
def driver(url: str, tmp_path: Path) -> Iterator[Mirror]:
    """What has planned the runs, and looks at the store."""
    folder = tmp_path / "driver"
    working_folder.bind(folder, url)
    working_folder.follow_folder(folder, training=True)
    mirror = working_folder.mirror_of(folder)
    assert mirror is not None
    yield mirror
    working_folder.close(folder)


def planned(driver: Mirror, *steps: int) -> list[RunDirectory]:
    """Runs of so many steps, whose text is on no machine but the driver's."""
    directories = plan_scan(driver.store, *steps)
    push_texts(driver.objects, [one.read_plan() for one in directories])
    for one in directories:
        plan = one.read_plan()
        away = plan.execution.model_copy(update={"corpus_dir": "/nowhere/corpus"})
        one.write_plan(plan.model_copy(update={"execution": away}))
    driver.push_plans([one.path.name for one in directories])
    for path in driver.store.scans_dir.glob("*.json"):
        assert driver.push_scan(path)
    return directories


def started(url: str, cache: Path, *before: str, options: Sequence[str] = ()) -> "subprocess.Popen[str]":
    environment = os.environ | {"ARCHBENCH_CACHE": str(cache)}
    command = [*before, *COMMAND, url, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def kill(worker: "subprocess.Popen[str]") -> None:
    """Ends the worker and what trains for it at one moment, as a machine does that loses its power."""
    with contextlib.suppress(psutil.Error):
        processes = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
    worker.communicate()


def answer(worker: "subprocess.Popen[str]", code: int = 0) -> str:
    said, _ = worker.communicate(timeout=280)
    assert worker.returncode == code, said
    return said


def undisturbed(driver: Mirror, directory: RunDirectory, tmp_path: Path) -> bytes:
    """The record that the plan comes to without any store; the text is fetched for it."""
    from archbench.runs.remote.corpora import fetch_texts

    fetch_texts(driver.objects, directory, driver.root)
    return trained_here(directory, tmp_path / "here")


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_a_worker_that_is_killed_at_random_loses_what_it_had_not_uploaded_and_nothing_else(
    driver: Mirror, url: str, tmp_path: Path
) -> None:
    (directory,) = planned(driver, 4000)
    name = directory.path.name
    chance = random.Random(seed := random.randrange(2**32))
    steps: list[int] = []
    for number in range(3):
        driver.pull()
        token = driver.head(name).token
        worker = started(url, tmp_path / f"machine{number}")

        def at_work(worker: "subprocess.Popen[str]" = worker, token: int = token) -> bool:
            driver.pull()
            head = driver.head(name)
            committed = any(f"/{head.token}-" in one.key for one in head.files.values())
            return worker.poll() is not None or (head.token > token and committed)

        wait(at_work, f"worker {number} has uploaded something, seed {seed}")
        time.sleep(chance.uniform(0.0, 3.0))
        kill(worker)
        driver.pull()
        found = [int(path.split("/")[1][5:]) for path in driver.head(name).folder("checkpoints")]
        steps.append(max(found, default=0))
        shutil.rmtree(tmp_path / f"machine{number}")  # nothing of that machine comes back
    answer(started(url, tmp_path / "last"))
    driver.pull()
    assert directory_status(directory).state is RunState.DONE, seed
    assert steps == sorted(steps), f"what was uploaded is gone: {steps}, seed {seed}"
    assert steps[-1] > 0
    record = directory.record_file.read_bytes()
    assert record == undisturbed(driver, directory, tmp_path), seed
    left = driver.objects.keys("files/")
    named = {one.key for one in driver.head(name).files.values()}
    assert set(left) == named, "what was being uploaded when a worker was killed is removed"


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces of its own need root")
def test_a_worker_that_was_stopped_past_its_lease_and_comes_back_stores_nothing(
    driver: Mirror, url: str, tmp_path: Path
) -> None:
    (directory,) = planned(driver, 1500)
    name = directory.path.name
    late = started(url, tmp_path / "late", *UNSHARE)

    def uploaded() -> bool:
        driver.pull()
        return bool(driver.head(name).folder("checkpoints"))

    wait(uploaded, "the first worker has uploaded a checkpoint")
    processes = [psutil.Process(late.pid), *psutil.Process(late.pid).children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    token = driver.head(name).token
    other = started(url, tmp_path / "other", *UNSHARE)

    def taken_over() -> bool:
        driver.pull()
        return driver.head(name).token > token and bool(driver.head(name).lease and driver.head(name).lease.beats)

    wait(taken_over, "the silent lease is taken over")
    for process in reversed(processes):
        process.send_signal(signal.SIGCONT)
    said = answer(other)
    assert "gave no sign of life for 90 s" in said
    late_said = answer(late)
    assert "somebody else has it" in late_said, late_said
    driver.pull()
    assert directory_status(directory).state is RunState.DONE
    record = directory.record_file.read_bytes()
    assert record == undisturbed(driver, directory, tmp_path)
    assert driver.head(name).token > token


@pytest.mark.slow
@pytest.mark.thorough
def test_two_workers_share_what_is_planned_and_one_that_is_told_to_leave_hands_over(
    driver: Mirror, url: str, tmp_path: Path
) -> None:
    directories = planned(driver, 30, 30, 600)
    first, second = started(url, tmp_path / "first"), started(url, tmp_path / "second")

    def long_one_uploaded() -> bool:
        driver.pull()
        at_work = any((tmp_path / "second").glob("stores/*/*/logs/worker-*"))
        return at_work and bool(driver.head(directories[2].path.name).folder("checkpoints"))

    wait(long_one_uploaded, "the long run has a checkpoint in the store, and both are at work")
    for worker in (first, second):
        worker.send_signal(signal.SIGTERM)
    for worker in (first, second):
        assert worker.wait(120) in (0, 75)
        worker.communicate()
    driver.pull()
    assert not driver.head(directories[2].path.name).held, "whoever leaves gives its run back"
    answer(started(url, tmp_path / "third"))
    driver.pull()
    assert all(directory_status(one).state is RunState.DONE for one in directories)
    logs = driver.objects.keys("logs/")
    assert any(key.endswith("worker-0.log") for key in logs)
