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
import secrets
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from json import loads
from pathlib import Path
from typing import Any, BinaryIO

from archbench.api import ArchbenchError, Job, Lost, Progress, StoreError
from archbench.builtins.execution.machine import usable_cores
from archbench.builtins.ray_execution import node as nodes
from archbench.builtins.ray_execution.messages import (
    Settings,
    event_content,
    event_of,
    job_content,
    job_of,
    settings_of,
    to_line,
)
from archbench.errors import in_one_line
from archbench.runs.probe import StoreMark, forget_mark, mark_store
from archbench.scans.nodes import difference, node_versions

LEAST_ASKED = 8
"""Slots that are asked for at least, whatever room there is: a cluster that starts small grows."""

IDLE_SECONDS = 60.0
"""A slot without a run gives its resources back."""

DESCRIBE_SECONDS = 120.0
"""How long the nodes may take to say what they have: Ray starts a process on each."""

CLOSE_SECONDS = 25.0
"""How long the runs at work may take to commit a checkpoint at the end."""

_PAUSE_SECONDS = 2.0
_LOOK_SECONDS = 10.0
_CONNECT_SECONDS = 10.0
_MOST_FAILURES = 5
"""In a row, of one slot that never came to carry out anything."""

_OBJECT_STORE_BYTES = 80 * 2**20
"""About the least that Ray takes: nothing goes through it."""
_LOOPBACK = "127.0.0.1"


@dataclass(slots=True)
class _Output:
    """Events on their way to the executor."""

    stream: BinaryIO

    def send(self, content: Mapping[str, Any]) -> None:
        """One line; nobody may be there to read it any more."""
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.stream.write(to_line(content))
            self.stream.flush()


@dataclass(eq=False, slots=True)
class _Slot:
    """Room for one run at a time somewhere in the cluster."""

    number: int
    task: asyncio.Task[None] | None = None
    job: Job | None = None
    server: Any = None
    """The actor of the run's first node."""
    members: list[Any] = field(default_factory=list)
    """Those of its further nodes."""
    ends: list[asyncio.Future[Any]] = field(default_factory=list)
    """Done when the processes of a further node have ended."""
    group: Any = None
    """The placement group of several nodes."""
    node: str = ""
    node_id: str = ""


class _Refused(ArchbenchError):  # noqa: N818  (an answer of the cluster's, told as the kind of error that it is)
    """The cluster cannot be used as it is; what kind of error that is stands in `kind`."""

    def __init__(self, line: str, kind: str) -> None:
        super().__init__(line)
        self.kind = kind


class _NotNeeded(Exception):  # noqa: N818  (it is no error)
    """All runs have found room elsewhere."""


class Gateway:
    """Gives jobs to slots, and asks for as many as there are jobs."""

    def __init__(self, ray: Any, settings: Settings, output: _Output) -> None:
        self._ray = ray
        self._settings = settings
        self._output = output
        self._waiting: deque[Job] = deque()
        self._arrived = asyncio.Condition()
        self._slots: list[_Slot] = []
        self._made = 0
        self._mark: StoreMark | None = None
        self._here: Mapping[str, str] = {}
        self._known: set[str] = set()
        """Ids of nodes that were looked at."""
        self._refusal: asyncio.Future[_Refused] | None = None
        # What each process of a run asks for; where the settings leave it open, the first job decides.
        self._cpus = 1.0 if settings.cpus is None else settings.cpus
        self._gpus = settings.gpus or 0.0
        self._decided = False
        self._told_capacity = 0
        self._closing = False

    async def serve(self, lines: "asyncio.Queue[Mapping[str, Any] | None]") -> None:
        """Until there are no more lines. Raises _Refused where a node may not train."""
        self._refusal = asyncio.get_running_loop().create_future()
        root = Path(self._settings.log_dir)
        try:
            self._mark = await asyncio.to_thread(mark_store, root)
        except StoreError as error:
            raise _Refused(str(error), "store") from error
        watching: asyncio.Task[None] | None = None
        try:
            files = [Path(path) for path in self._settings.plugin_files]
            self._here = await asyncio.to_thread(node_versions, files)
            await self._look_at_nodes()
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
            await asyncio.to_thread(forget_mark, root, self._mark)

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

    async def _look_at_nodes(self) -> None:
        """Compares all nodes with this one, and has each try the store."""
        alive = self._nodes()
        remote = self._ray.remote(nodes.describe)
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = []
        for one in alive:
            affinity = NodeAffinitySchedulingStrategy(node_id=one["NodeID"], soft=False)
            ref = remote.options(num_cpus=0, scheduling_strategy=affinity, max_retries=0).remote(*self._question(one))
            asked.append((one, ref))
        for one, ref in asked:
            await self._judge(one, ref)

    def _question(self, one: Mapping[str, Any]) -> tuple[Any, ...]:
        assert self._mark is not None
        settings = self._settings
        return settings.log_dir, self._mark.to_json(), list(settings.plugin_files), _name_of(one)

    async def _judge(self, one: Mapping[str, Any], answer: Any) -> None:
        """Takes node `one` in, or raises _Refused."""
        name = _name_of(one)
        try:
            told = await asyncio.wait_for(_awaited(answer), DESCRIBE_SECONDS)
        except TimeoutError:
            raise _Refused(
                f"node {name} did not answer within {DESCRIBE_SECONDS:.0f} s; take it out", "plugin"
            ) from None
        except Exception as error:  # whatever Ray raises, and whatever a strange node answers
            if one["NodeID"] not in {other["NodeID"] for other in self._nodes()}:
                return  # it has gone meanwhile
            if "No module named 'archbench" in str(error) or "AttributeError" in str(error):
                line = f"node {name} has no archbench, or another one; install the same on all nodes"
                raise _Refused(line, "plugin") from error
            raise _Refused(f"node {name} cannot train: {in_one_line(error)}", "plugin") from error
        if told["problem"] is not None:
            raise _Refused(str(told["problem"]), "store")
        problem = difference(self._here, told["versions"], name)
        if problem is not None:
            raise _Refused(problem, "plugin")
        self._known.add(one["NodeID"])

    def _nodes(self) -> list[dict[str, Any]]:
        """The nodes that live and may train: they have cores and the labels."""
        wanted = self._settings.labels.items()
        return [
            one
            for one in self._ray.nodes()
            if one["Alive"]
            and one["Resources"].get("CPU", 0.0)
            and all(one.get("Labels", {}).get(key) == value for key, value in wanted)
        ]

    def _capacity(self) -> int:
        """How many runs it takes at once: as many as it has room for, and some to ask for more."""
        settings = self._settings
        if settings.max_runs is not None:
            most = settings.max_runs
        else:
            most = max(LEAST_ASKED, 2 * sum(self._fitting(one["Resources"]) for one in self._nodes()) // settings.nproc)
        return max(1, min(most, settings.num_jobs))

    def _fitting(self, resources: Mapping[str, float]) -> int:
        """How many processes of runs a node of `resources` holds."""
        fitting = resources.get("CPU", 0.0) // self._cpus
        if self._gpus:
            fitting = min(fitting, resources.get("GPU", 0.0) // self._gpus)
        return int(fitting)

    def _decide(self, job: Job) -> None:
        """What the settings leave open: a core for each thread of a run, a device where there are any to train on."""
        settings = self._settings
        if settings.cpus is None:
            self._cpus = float(job.cores)
        if settings.gpus is None:
            some = any(one["Resources"].get("GPU", 0) >= 1 for one in self._nodes())
            self._gpus = float(some if job.devices is None else job.devices > 0)
        self._decided = True
        self._tell_capacity("capacity")

    def _tell_capacity(self, event: str) -> None:
        capacity = self._capacity()
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
        while free < len(self._waiting) and len(self._slots) < self._capacity():
            slot = _Slot(self._made)
            self._made += 1
            free += 1
            self._slots.append(slot)
            slot.task = asyncio.create_task(self._keep(slot))

    async def _submit(self, job: Job) -> None:
        if not self._decided:
            self._decide(job)
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
                    await _awaited(slot.server.cancel.remote(run_id))

    async def _keep(self, slot: _Slot) -> None:
        """The life of a slot: it is made, carries out runs, and is made again when it dies."""
        failures = 0
        try:
            while not self._closing:
                try:
                    await self._make(slot)
                    failures = 0
                    while (job := await self._next_job()) is not None:
                        await self._carry_out(slot, job)
                        if slot.members and not await _awaited(slot.server.is_warm.remote()):
                            break  # the processes of a group are replaced together
                    else:
                        return
                except _Refused as refused:
                    self._refuse(refused)
                    return
                except _NotNeeded:
                    return
                except Exception as error:  # of Ray: the actor, its node or the way there is gone
                    failures += 1
                    if failures == _MOST_FAILURES:
                        self._refuse(_Refused(f"no worker can be started: {in_one_line(error)}", "plugin"))
                        return
                    await self._bury(slot, error)
                finally:
                    self._give_back(slot)
                if not self._waiting:
                    return
        finally:
            self._slots.remove(slot)

    def _refuse(self, refused: _Refused) -> None:
        assert self._refusal is not None
        if not self._refusal.done():
            self._refusal.set_result(refused)

    async def _next_job(self) -> Job | None:
        """A job, or None where none has come for a while."""
        async with self._arrived:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait_for(lambda: bool(self._waiting)), IDLE_SECONDS)
            return self._waiting.popleft() if self._waiting and not self._closing else None

    async def _carry_out(self, slot: _Slot, job: Job) -> None:
        slot.job = job
        given: dict[str, Any] | None = job_content(job)
        while slot.job is not None:
            events = await self._turn(slot, given)
            given = None
            for content in events:
                if not isinstance(event_of(content), Progress):
                    slot.job = None
                self._output.send(content)

    async def _turn(self, slot: _Slot, given: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """What the run has told; raises where any of the group's nodes is gone."""
        turn = _awaited(slot.server.turn.remote(given))
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

    async def _bury(self, slot: _Slot, error: Exception) -> None:
        """Tells that the slot's run is lost, if it had one, and why."""
        job, slot.job = slot.job, None
        if job is None:
            print(f"slot {slot.number}: {in_one_line(error, 1000)}", file=sys.stderr, flush=True)
            await asyncio.sleep(_PAUSE_SECONDS)
            return
        alive = {one["NodeID"] for one in self._ray.nodes() if one["Alive"]}
        gone = bool(slot.node_id) and slot.node_id not in alive
        what = f"node {slot.node} is gone" if gone else f"what watched its worker on node {slot.node} died"
        print(f"slot {slot.number}, {job.run_id}: {in_one_line(error, 1000)}", file=sys.stderr, flush=True)
        reason = f"{what}; see {self._log_dir(slot)} and {self._settings.log_dir}/ray.log"
        self._tell(Lost(job.run_id, reason, preempted=gone))

    def _tell(self, event: Lost) -> None:
        self._output.send(event_content(event))

    def _log_dir(self, slot: _Slot) -> str:
        return f"{self._settings.log_dir}/ray-{slot.number}"

    async def _make(self, slot: _Slot) -> None:
        """Asks for the resources of a run, for as long as it takes, and starts what carries it out there."""
        spread = self._nodes_needed()
        if spread == 1:
            slot.server = self._server(slot, self._settings.nproc, {})
            await self._admit(slot, slot.server)
            return
        await self._make_group(slot, spread)

    def _nodes_needed(self) -> int:
        """On how many nodes the processes of one run have room: on one, if any is large enough or might come."""
        nproc = self._settings.nproc
        room = sorted((self._fitting(one["Resources"]) for one in self._nodes()), reverse=True)
        for count in range(1, nproc + 1):
            if nproc % count == 0 and len(room) >= count and room[count - 1] >= nproc // count:
                return count
        return 1

    def _server(self, slot: _Slot, nproc: int, options: Mapping[str, Any], place: nodes.Place | None = None) -> Any:
        from archbench.builtins.ray_execution import actors

        settings = self._settings
        server = self._ray.remote(actors.RunServer).options(**self._asked(nproc), **options)
        return server.remote(
            self._log_dir(slot),
            list(settings.plugin_files),
            nproc,
            max(1, int(self._cpus)),
            self._gpus > 0,
            settings.worker_memory_bytes,
            place,
        )

    def _asked(self, nproc: int) -> dict[str, Any]:
        """What an actor with `nproc` processes asks of its node."""
        labels = {"label_selector": dict(self._settings.labels)} if self._settings.labels else {}
        return {
            "num_cpus": nproc * self._cpus,
            "num_gpus": nproc * self._gpus,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 4,
            **labels,
        }

    async def _admit(self, slot: _Slot, actor: Any) -> None:
        """Waits until `actor` is somewhere, and looks at its node if nobody has."""
        place = await self._placed(actor)
        slot.node_id = place
        one = next((one for one in self._nodes() if one["NodeID"] == place), None)
        if one is None:
            raise RuntimeError(f"node {place} has gone as soon as it came")
        slot.node = _name_of(one)
        if place not in self._known:
            await self._judge(one, actor.describe.remote(*self._question(one)))

    async def _placed(self, actor: Any) -> str:
        """The node of `actor`, once it is on one. Raises _NotNeeded where there is no more for it to do meanwhile."""
        asked = asyncio.ensure_future(_awaited(actor.where.remote()))
        while True:
            await asyncio.wait({asked}, timeout=_PAUSE_SECONDS)
            if asked.done():
                return str(asked.result())
            if not self._waiting:
                asked.cancel()
                raise _NotNeeded

    async def _make_group(self, slot: _Slot, spread: int) -> None:
        """Actors on `spread` nodes, whose processes train together."""
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        from archbench.builtins.ray_execution import actors

        each = self._settings.nproc // spread
        asked = self._asked(each)
        bundle = {"CPU": asked["num_cpus"], **({"GPU": asked["num_gpus"]} if self._gpus else {})}
        labels = self._settings.labels
        selectors = {"bundle_label_selector": [dict(labels)] * spread} if labels else {}
        slot.group = placement_group([bundle] * spread, strategy="STRICT_SPREAD", **selectors)
        await _awaited(slot.group.ready())

        def on(index: int) -> dict[str, Any]:
            return {
                "scheduling_strategy": PlacementGroupSchedulingStrategy(
                    placement_group=slot.group, placement_group_bundle_index=index
                )
            }

        table = self._ray.util.placement_group_table(slot.group)["bundles_to_node_id"]
        by_id = {one["NodeID"]: one for one in self._nodes()}
        addresses = [by_id[table[index]]["NodeManagerAddress"] for index in range(spread)]
        port = await _awaited(
            self._ray.remote(nodes.free_port).options(num_cpus=0, max_retries=0, **on(0)).remote(addresses[0])
        )
        places = [nodes.Place(spread, rank, addresses[0], port, addresses[rank]) for rank in range(spread)]
        slot.server = self._server(slot, each, on(0), places[0])
        await self._admit(slot, slot.server)
        member = self._ray.remote(actors.GroupMember)
        for rank in range(1, spread):
            slot.members.append(
                member.options(**self._asked(each), **on(rank)).remote(
                    f"{self._log_dir(slot)}-node-{rank}",
                    list(self._settings.plugin_files),
                    each,
                    max(1, int(self._cpus)),
                    self._gpus > 0,
                    places[rank],
                )
            )
        slot.ends = [asyncio.ensure_future(_awaited(member.wait.remote())) for member in slot.members]

    def _give_back(self, slot: _Slot) -> None:
        """Ends the slot's actors; their workers see that, commit a checkpoint and go."""
        for actor in (slot.server, *slot.members):
            if actor is not None:
                with contextlib.suppress(Exception):
                    self._ray.kill(actor, no_restart=True)
        if slot.group is not None:
            with contextlib.suppress(Exception):
                self._ray.util.remove_placement_group(slot.group)
        for end in slot.ends:
            end.cancel()
        slot.server, slot.members, slot.ends, slot.group = None, [], [], None

    async def _close(self) -> None:
        """Has the runs at work commit a checkpoint, and gives everything back."""
        self._closing = True
        closing = [
            asyncio.ensure_future(_awaited(actor.close.remote()))
            for slot in self._slots
            for actor in (slot.server, *slot.members)
            if actor is not None and slot.node
        ]
        if closing:
            _, late = await asyncio.wait(closing, timeout=CLOSE_SECONDS)
            for one in late:
                one.cancel()
        for slot in list(self._slots):
            if slot.task is not None:
                slot.task.cancel()
            self._give_back(slot)


async def _awaited(ref: Any) -> Any:
    """What an object of Ray's stands for, once it is there."""
    return await ref


def _name_of(one: Mapping[str, Any]) -> str:
    return f"{one['NodeManagerHostname']} ({one['NodeManagerAddress']})"


def connect(settings: Settings) -> Any:
    """Ray, connected to the cluster of `settings`, which is waited for as long as they say. Raises _Refused."""
    own = settings.address == "local"
    if own:
        # Before Ray is imported: it reads them then.
        os.environ |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Ray's own is 15: other sessions would take the machine from the runs.
            "RAY_worker_niceness": "0",
        }
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if own:
        _keep_to_loopback()
        options |= {
            "num_cpus": usable_cores(),
            "include_dashboard": settings.dashboard,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "_node_ip_address": _LOOPBACK,
        }
    deadline = time.monotonic() + settings.patience_seconds
    while True:
        try:
            if not own:
                _require_listener(settings.address)
            ray.init(settings.address, **options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            if time.monotonic() < deadline:
                time.sleep(_PAUSE_SECONDS)
                continue
            raise _Refused(_unreached(settings.address, error), "plugin") from error
        return ray


def _require_listener(address: str) -> None:
    """Raises ConnectionError where nobody listens at `address`: Ray itself would try for minutes."""
    if address == "auto":
        # As Ray looks for it: the last cluster of this machine leaves its address there, also when it has died.
        left = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir())) / "ray" / "ray_current_cluster"
        address = os.environ.get("RAY_ADDRESS") or (left.read_text().strip() if left.is_file() else "")
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
            return


def _unreached(address: str, error: BaseException) -> str:
    if address == "auto" and isinstance(error, ConnectionError):
        return (
            "execution.executor.address: got auto, but no cluster of Ray runs here and RAY_ADDRESS names none; "
            "start one (`ray start --head`), or choose address: local"
        )
    return f"execution.executor.address: got {address}: {in_one_line(error)}"


def _keep_to_loopback() -> None:
    """Has a cluster of this machine alone listen on the loopback interface alone.

    Ray takes 127.0.0.1 for a slip, and listens on all interfaces in its stead.
    """
    from ray._private import services

    if hasattr(services, "resolve_ip_for_localhost"):
        services.resolve_ip_for_localhost = lambda host: host


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
    except _Refused as refused:
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
