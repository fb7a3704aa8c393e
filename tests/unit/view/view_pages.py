"""What tests of the page share: a store of made-up runs, a run that goes on, and a browser without a page."""

import http.client
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from archbench.results.runs import RunRecord
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import Lease, acquire
from archbench.runs.store import IndexedRun, RunStore
from archbench.runs.trace import TracePoint, append_to_trace
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_store import plan_of, store_records
from archbench.view.catalogue import Catalogue, catalogue_of
from archbench.view.server import Server

HOSTILE = "<script>xl</script>"
SMALL = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(2, 1, 1), points=12)


def made_up_records() -> list[RunRecord]:
    """Two contenders, one of which has a name that would be markup."""
    law = SyntheticLaw(noise_std=0.003)
    return [*synthetic_records("gpt2", law, SMALL), *synthetic_records(HOSTILE, replace(law, A=11.6), SMALL, seed=1)]


@dataclass(frozen=True, slots=True)
class Folder:
    """Where a store and its reports are."""

    runs: Path
    reports: Path

    @property
    def store(self) -> RunStore:
        return RunStore(self.runs)

    def copied(self, place: Path) -> "Folder":
        """The same once more, in `place`."""
        there = Folder(place / "runs", place / "reports")
        shutil.copytree(self.runs, there.runs)
        shutil.copytree(self.reports, there.reports)
        return there

    def catalogue(self, start: str = "") -> Catalogue:
        return catalogue_of(self.runs, self.reports, start=start)


def made_up_folder(place: Path) -> Folder:
    """A store with the scan `demo`, and a report of it."""
    made = Folder(place / "runs", place / "reports")
    store_records(made.store, "demo", made_up_records())
    (made.reports / "demo" / "data").mkdir(parents=True)
    (made.reports / "demo" / "report.html").write_text("<!DOCTYPE html><title>demo</title><p>what was found</p>")
    (made.reports / "demo" / "data" / "runs.csv").write_text("run,loss\n")
    (made.reports / "demo" / "secret.key").write_text("no part of a report")
    return made


@dataclass(frozen=True, slots=True)
class AtWork:
    """A run of the scan that somebody trains."""

    directory: RunDirectory
    lease: Lease
    run_id: str

    def tell(self, step: int, **more: Any) -> None:
        """What a worker writes on the way."""
        point = TracePoint(token=self.lease.token, step=step, device_seconds=step / 10, **more)
        append_to_trace(self.directory.trace_file, point)


def begin(store: RunStore, seed: int = 7) -> AtWork:
    """Plans one run more of the scan `demo`, and takes it up."""
    plan = plan_of(replace(made_up_records()[0], seed=seed), "c" * 64)
    directory = store.prepare(plan)
    run = IndexedRun(contender="gpt2", size_index=0, seed=seed, run_id=plan.identity.run_id)
    index = store.scan("demo")
    if run not in index.runs:
        store.save_scan(index.model_copy(update={"runs": (*index.runs, run)}))
    return AtWork(directory, acquire(directory), plan.identity.run_id)


@dataclass(slots=True)
class Client:
    """A browser without a page."""

    server: Server
    cookie: str = ""

    def ask(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> tuple[int, bytes, Any]:
        """Status, content and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=30)
        try:
            own = {"Cookie": self.cookie} if self.cookie else {}
            connection.request(method, path, headers={**own, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def enter(self) -> "Client":
        """Exchanges the token for the cookie."""
        parts = urlsplit(self.server.address)
        status, _, headers = self.ask(f"{parts.path}?{parts.query}")
        assert status == 200
        self.cookie = headers["Set-Cookie"].partition(";")[0]
        return self

    def json(self, place: str) -> Any:
        """What the server says at `place` of the page."""
        status, content, _ = self.ask(self.server.home + place)
        assert status == 200, content
        return json.loads(content)

    def events(self, name: str, version: str) -> Iterator[tuple[str, Any]]:
        """What is told of a scan after `version`: number and content of each event, until the reader goes away."""
        place = f"{self.server.home}api/events?name={name}"
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=60)
        try:
            connection.request("GET", place, headers={"Cookie": self.cookie, "Last-Event-ID": version})
            answer = connection.getresponse()
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            while lines := list(iter(lambda: answer.readline().strip(), b"")):
                fields = dict(line.split(b": ", 1) for line in lines)
                if b"id" in fields:
                    yield fields[b"id"].decode(), json.loads(fields[b"data"])
        finally:
            connection.close()


@contextmanager
def serving(catalogue: Catalogue) -> Iterator[Client]:
    """A client of a server of `catalogue`."""
    server = Server(catalogue)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield Client(server)
    finally:
        server.shutdown()
        server.close()
