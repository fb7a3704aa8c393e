"""The process that speaks to Ray: `python -m archbench.builtins.ray_execution.gateway`, the only one that imports it.

Ray ends the process of a driver whose head or raylet is gone. Behind a process of its own that is an event like any
other: the executor reports the runs as lost, starts another gateway, and goes on when the cluster is back.

It reads JSON lines from standard input, the settings first (`messages.Settings`), then jobs, and writes events. When
its input ends, the runs at work commit a checkpoint. Every run is carried out by a *slot*: an actor on some node, with
a worker beside it that stays warm (`node.RunServer`), or several actors where a run's processes are on several nodes.
"""

import asyncio
import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from json import loads
from typing import Any, BinaryIO

from archbench.api import Job, Lost, Progress
from archbench.builtins.ray_execution.admission import Admission
from archbench.builtins.ray_execution.cluster import PAUSE_SECONDS, Refused, awaited, connect
from archbench.builtins.ray_execution.messages import (
    Settings,
    event_content,
    event_of,
    job_content,
    job_of,
    settings_of,
    to_line,
)
from archbench.builtins.ray_execution.slots import NotNeeded, Slot, SlotMaker
from archbench.errors import in_one_line

IDLE_SECONDS = 60.0
"""A slot without a run gives its resources back."""

CLOSE_SECONDS = 25.0
"""How long the runs at work may take to commit a checkpoint at the end."""

_LOOK_SECONDS = 10.0
_MOST_FAILURES = 5
"""In a row, of one slot that never came to carry out anything."""


@dataclass(slots=True)
class _Output:
    """Events on their way to the executor."""

    stream: BinaryIO

    def send(self, content: Mapping[str, Any]) -> None:
        """One line; nobody may be there to read it any more."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.stream.write(to_line(content))
            self.stream.flush()


class Gateway:
    """Gives jobs to slots, and asks for as many as there are jobs."""

    def __init__(self, ray: Any, settings: Settings, output: _Output) -> None:
        self._log_dir = settings.log_dir
        self._output = output
        self._waiting: deque[Job] = deque()
        self._admission = Admission(ray, settings)
        self._maker = SlotMaker(ray, settings, self._admission, is_wanted=lambda: bool(self._waiting))
        self._arrived = asyncio.Condition()
        self._slots: list[Slot] = []
        self._made = 0
        self._refusal: asyncio.Future[Refused] | None = None
        self._told_capacity = 0
        self._closing = False

    async def serve(self, lines: "asyncio.Queue[Mapping[str, Any] | None]") -> None:
        """Until there are no more lines. Raises Refused where a node may not train."""
        self._refusal = asyncio.get_running_loop().create_future()
        watching: asyncio.Task[None] | None = None
        try:
            await self._admission.open()
            self._tell_capacity("open")
            watching = asyncio.create_task(self._watch())
            while (line := await self._next(lines)) is not None:
                if "submit" in line:
                    await self._submit(job_of(line["submit"]))
                elif "cancel" in line:
                    await self._cancel(str(line["cancel"]))
        finally:
            if watching is not None:
                watching.cancel()
            await self._close()
            await self._admission.close()

    async def _next(self, lines: "asyncio.Queue[Mapping[str, Any] | None]") -> Mapping[str, Any] | None:
        """The next line, or the refusal of a node that came meanwhile."""
        assert self._refusal is not None
        getting = asyncio.ensure_future(lines.get())
        either: set[asyncio.Future[Any]] = {getting, self._refusal}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._refusal.done():
            getting.cancel()
            raise self._refusal.result()
        return getting.result()

    def _tell_capacity(self, event: str) -> None:
        capacity = self._maker.capacity()
        if event == "open" or capacity != self._told_capacity:
            self._told_capacity = capacity
            self._output.send({"event": event, "capacity": capacity})

    async def _watch(self) -> None:
        """Follows the cluster as it grows and shrinks."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._tell_capacity("capacity")
            self._ask()

    def _ask(self) -> None:
        """Asks for another slot where jobs wait and none is free for them."""
        free = sum(slot.job is None for slot in self._slots)
        while free < len(self._waiting) and len(self._slots) < self._maker.capacity():
            slot = Slot(self._made, f"{self._log_dir}/ray-{self._made}")
            self._made += 1
            free += 1
            self._slots.append(slot)
            slot.task = asyncio.create_task(self._keep(slot))

    async def _submit(self, job: Job) -> None:
        self._maker.decide(job)
        self._tell_capacity("capacity")
        async with self._arrived:
            self._waiting.append(job)
            self._arrived.notify()
        self._ask()

    async def _cancel(self, run_id: str) -> None:
        for job in self._waiting:
            if job.run_id == run_id:
                self._waiting.remove(job)
                self._tell(Lost(run_id, "it was taken back before it began"))
                return
        for slot in self._slots:
            if slot.job is not None and slot.job.run_id == run_id:
                with contextlib.suppress(Exception):
                    await awaited(slot.server.cancel.remote(run_id))

    async def _keep(self, slot: Slot) -> None:
        """The life of a slot: it is made, carries out runs, and is made again when it dies."""
        failures = 0
        try:
            while not self._closing:
                try:
                    await self._maker.make(slot)
                    failures = 0
                    while (job := await self._next_job()) is not None:
                        await self._carry_out(slot, job)
                        if slot.members and not await awaited(slot.server.is_warm.remote()):
                            break  # the processes of a group are replaced together
                    else:
                        return
                except Refused as refused:
                    self._refuse(refused)
                    return
                except NotNeeded:
                    return
                except Exception as error:  # of Ray: the actor, its node or the way there is gone
                    failures += 1
                    if failures == _MOST_FAILURES:
                        self._refuse(Refused(f"no worker can be started: {in_one_line(error)}", "plugin"))
                        return
                    await self._bury(slot, error)
                finally:
                    self._maker.give_back(slot)
                if not self._waiting:
                    return
        finally:
            self._slots.remove(slot)

    def _refuse(self, refused: Refused) -> None:
        assert self._refusal is not None
        if not self._refusal.done():
            self._refusal.set_result(refused)

    async def _next_job(self) -> Job | None:
        """A job, or None where none has come for a while."""
        async with self._arrived:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait_for(lambda: bool(self._waiting)), IDLE_SECONDS)
            return self._waiting.popleft() if self._waiting and not self._closing else None

    async def _carry_out(self, slot: Slot, job: Job) -> None:
        slot.job = job
        given: dict[str, Any] | None = job_content(job)
        while slot.job is not None:
            events = await self._turn(slot, given)
            given = None
            for content in events:
                if not isinstance(event_of(content), Progress):
                    slot.job = None
                self._output.send(content)

    async def _turn(self, slot: Slot, given: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """What the run has told; raises where any of the group's nodes is gone."""
        turn = awaited(slot.server.turn.remote(given))
        if not slot.members:
            found: list[dict[str, Any]] = await turn
            return found
        turning = asyncio.ensure_future(turn)
        either: set[asyncio.Future[Any]] = {turning, *slot.ends}
        done, _ = await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if turning in done:
            told: list[dict[str, Any]] = turning.result()
            return told
        turning.cancel()
        raise RuntimeError(f"its processes on another node {done.pop().result()}")

    async def _bury(self, slot: Slot, error: Exception) -> None:
        """Tells that the slot's run is lost, if it had one, and why."""
        job, slot.job = slot.job, None
        if job is None:
            print(f"slot {slot.number}: {in_one_line(error, 1000)}", file=sys.stderr, flush=True)
            await asyncio.sleep(PAUSE_SECONDS)
            return
        gone = next((name for node_id, name in slot.nodes.items() if not self._admission.is_alive(node_id)), None)
        watcher = f"what watched its worker on node {next(iter(slot.nodes.values()))} died"
        what = watcher if gone is None else f"node {gone} is gone"
        print(f"slot {slot.number}, {job.run_id}: {in_one_line(error, 1000)}", file=sys.stderr, flush=True)
        reason = f"{what}; see {slot.log_dir} and {self._log_dir}/ray.log"
        self._tell(Lost(job.run_id, reason, preempted=gone is not None))

    def _tell(self, event: Lost) -> None:
        self._output.send(event_content(event))

    async def _close(self) -> None:
        """Has the runs at work commit a checkpoint, and gives everything back."""
        self._closing = True
        closing = [
            asyncio.ensure_future(awaited(actor.close.remote()))
            for slot in self._slots
            for actor in (slot.server, *slot.members)
            if actor is not None and slot.nodes
        ]
        if closing:
            _, late = await asyncio.wait(closing, timeout=CLOSE_SECONDS)
            for one in late:
                one.cancel()
        for slot in list(self._slots):
            if slot.task is not None:
                slot.task.cancel()
            self._maker.give_back(slot)


def main() -> int:
    """Serves the executor that started this process; 0 where it was let go of, 1 where the cluster was refused."""
    output = _Output(os.fdopen(os.dup(1), "wb", buffering=0))
    os.dup2(2, 1)
    settings = settings_of(loads(sys.stdin.buffer.readline()))
    try:
        ray = connect(settings)
        try:
            asyncio.run(_serve(ray, settings, output))
        finally:
            ray.shutdown()
    except Refused as refused:
        output.send({"event": "refused", "kind": refused.kind, "line": str(refused)})
        return 1
    return 0


async def _serve(ray: Any, settings: Settings, output: _Output) -> None:
    lines: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
    _read(sys.stdin.buffer, asyncio.get_running_loop(), lines)
    await Gateway(ray, settings, output).serve(lines)


def _read(stream: BinaryIO, loop: asyncio.AbstractEventLoop, lines: "asyncio.Queue[Mapping[str, Any] | None]") -> None:
    """Puts what arrives on `stream` into `lines`, None at its end."""

    def put(content: Mapping[str, Any] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(lines.put_nowait, content)

    def read() -> None:
        for line in stream:
            put(loads(line))
        put(None)

    threading.Thread(target=read, daemon=True).start()


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)
