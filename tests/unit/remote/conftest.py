"""Stores of objects for tests: a folder, and a server of S3's protocol where one is installed.

That is moto's, or the one at $ARCHBENCH_TEST_S3, such as http://127.0.0.1:7480, with the keys of the environment.
"""

import hashlib
import importlib.util
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from archbench.data.corpus import Corpus
from archbench.host import load_host
from archbench.runs.directory import RunDirectory
from archbench.runs.files import commit_folder, to_json
from archbench.runs.lease import LeaseInfo, LeaseWatch, lease_of_this_process
from archbench.runs.remote import holding
from archbench.runs.remote.mirror import Mirror
from archbench.runs.remote.objects import Objects
from archbench.runs.remote.opening import open_objects
from archbench.runs.store import IndexedRun, RunStore, ScanIndex
from archbench.testing.small_runs import plan_small_run, small_corpus

REAL_S3 = os.environ.get("ARCHBENCH_TEST_S3")
HAS_S3 = all(importlib.util.find_spec(name) for name in (("s3fs",) if REAL_S3 else ("s3fs", "moto", "flask")))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server: moto's keeps what it is given in memory."""
    if REAL_S3:
        yield REAL_S3
        return
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A store of its own in a bucket that is there."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", "key"),
        "AWS_SECRET_ACCESS_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY", "secret"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem(skip_instance_cache=True).makedirs("my-runs", exist_ok=True)
    return f"s3://my-runs/{uuid.uuid4().hex}"


@pytest.fixture(
    params=[
        "file",
        pytest.param(
            "s3", marks=pytest.mark.skipif(not HAS_S3, reason="pip install s3fs 'moto[server]' tries S3, too")
        ),
    ]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        found: str = request.getfixturevalue("s3_url")
        return found
    (tmp_path / "store").mkdir()
    return f"file://{tmp_path / 'store'}"


@pytest.fixture
def objects(url: str) -> Objects:
    return open_objects(url)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return small_corpus(tmp_path_factory.mktemp("corpus"), load_host().registry)


class Clock:
    """A clock that stands until it is moved."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Machine:
    """One of several machines on a store, each with a folder of its own; all in this process."""

    def __init__(self, name: str, folder: Path, url: str, clock: Clock) -> None:
        self.name = name
        RunStore(folder).create()
        self.clock = clock
        self.mirror = Mirror(folder, open_objects(url))
        self.mirror.watch = LeaseWatch(clock)
        self.store = self.mirror.store

    def directory(self, run_id: str) -> RunDirectory:
        return self.store.directory(run_id)

    def take(self, run_id: str) -> holding.Held:
        """The run, under a lease of which others cannot tell whether its process lives."""
        before = holding.lease_of_this_process
        holding.lease_of_this_process = self._lease  # type: ignore[assignment]
        try:
            return holding.take(self.mirror, run_id)
        finally:
            holding.lease_of_this_process = before

    def _lease(self, token: int) -> LeaseInfo:
        return replace(lease_of_this_process(token), boot_id=self.name, host=self.name)

    def watch_for(self, seconds: float) -> None:
        """Looks at the store every five seconds for so long."""
        for _ in range(int(seconds // 5) + 1):
            self.mirror.pull()
            self.clock.seconds += 5.0


@pytest.fixture
def machine(tmp_path: Path, url: str) -> Callable[[str], Machine]:
    clock = Clock()
    return lambda name: Machine(name, tmp_path / name, url, clock)


@pytest.fixture
def planned(machine: Callable[[str], Machine], corpus: Corpus, tmp_path: Path) -> tuple[Machine, str]:
    """A machine that has planned a run in the store, and the run's id."""
    driver = machine("driver")
    plan = plan_small_run(tmp_path / "plans", corpus, load_host().registry).read_plan()
    run_id = plan.identity.run_id
    driver.store.prepare(plan)
    path = driver.store.save_scan(scan_of(run_id))
    assert driver.mirror.push_scan(path)
    driver.mirror.push_plans([run_id])
    return driver, run_id


def scan_of(run_id: str, description: str = "") -> ScanIndex:
    run = IndexedRun(contender="gpt2", size_index=0, seed=0, run_id=run_id)
    return ScanIndex(name="tiny", description=description, baseline=None, runs=(run,), spec={}, environment={})


@pytest.fixture
def store_checkpoint() -> Callable[..., None]:
    """Commits a checkpoint as a worker does, with tensors that nobody will load."""

    def store(directory: RunDirectory, step: int, content: bytes = b"weights") -> None:
        directory.checkpoints_dir.mkdir(exist_ok=True)
        files = {"tensors.safetensors": content, "progress.json": b"{}"}
        manifest = {"step": step, "sha256": {name: hashlib.sha256(one).hexdigest() for name, one in files.items()}}
        commit_folder(directory.checkpoints_dir / f"step-{step:010d}", {**files, "manifest.json": to_json(manifest)})

    return store
