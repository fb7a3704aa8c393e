"""Room for runs on the nodes of a cluster: what is asked of Ray for it, where it is, and how it is given back."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from archbench.api import Job
from archbench.builtins.ray_execution import node as nodes
from archbench.builtins.ray_execution.admission import Admission, name_of
from archbench.builtins.ray_execution.cluster import PAUSE_SECONDS, awaited
from archbench.builtins.ray_execution.messages import Settings

LEAST_ASKED = 8
"""Slots that are asked for at least, whatever room there is: a cluster that starts small grows."""


@dataclass(eq=False, slots=True)
class Slot:
    """Room for one run at a time somewhere in the cluster."""

    number: int
    log_dir: str
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
    nodes: dict[str, str] = field(default_factory=dict)
    """Id and name of each node that it is on, the first one's first."""


class NotNeeded(Exception):  # noqa: N818  (it is no error)
    """All runs have found room elsewhere."""


class SlotMaker:
    """Makes slots, all alike: as many cores and devices as a run of the scan needs."""

    def __init__(self, ray: Any, settings: Settings, admission: Admission, is_wanted: Callable[[], bool]) -> None:
        """`is_wanted`: whether a slot that is not there yet would have something to do."""
        self._ray = ray
        self._settings = settings
        self._admission = admission
        self._is_wanted = is_wanted
        # What each process of a run asks for; where the settings leave it open, the first job decides.
        self._cpus = 1.0 if settings.cpus is None else settings.cpus
        self._gpus = settings.gpus or 0.0
        self._decided = False
        self._spread = 1

    def capacity(self) -> int:
        """How many runs it takes at once: as many as it has room for, and some to ask for more."""
        settings = self._settings
        if settings.max_runs is not None:
            most = settings.max_runs
        else:
            room = sum(self._fitting(one["Resources"]) for one in self._admission.nodes())
            most = max(LEAST_ASKED, 2 * room // settings.nproc)
        return max(1, min(most, settings.num_jobs))

    def _fitting(self, resources: Mapping[str, float]) -> int:
        """How many processes of runs a node of `resources` holds."""
        fitting = resources.get("CPU", 0.0) // self._cpus
        if self._gpus:
            fitting = min(fitting, resources.get("GPU", 0.0) // self._gpus)
        return int(fitting)

    def decide(self, job: Job) -> None:
        """By the first job what the settings leave open: a core for each thread, a device where there are any."""
        if self._decided:
            return
        settings = self._settings
        if settings.cpus is None:
            self._cpus = float(job.cores)
        if settings.gpus is None:
            some = any(one["Resources"].get("GPU", 0) >= 1 for one in self._admission.nodes())
            self._gpus = float(some if job.devices is None else job.devices > 0)
        self._decided = True

    async def make(self, slot: Slot) -> None:
        """Asks for the resources of a run, for as long as it takes, and starts what carries it out there.

        Raises NotNeeded where they are not wanted any more, Refused where the node may not train, and whatever Ray
        raises.
        """
        spread = self.nodes_needed()
        if spread == 1:
            slot.server = self._server(slot, self._settings.nproc, {})
            await self._seat(slot)
            return
        await self._make_group(slot, spread)

    def nodes_needed(self) -> int:
        """On how many nodes the processes of one run have room.

        Where there is none, as many as there were room on last, since nodes that went may come back; at first one.
        """
        nproc = self._settings.nproc
        room = sorted((self._fitting(one["Resources"]) for one in self._admission.nodes()), reverse=True)
        for count in range(1, nproc + 1):
            if nproc % count == 0 and len(room) >= count and room[count - 1] >= nproc // count:
                self._spread = count
                break
        return self._spread

    def _server(self, slot: Slot, nproc: int, options: Mapping[str, Any], place: nodes.Place | None = None) -> Any:
        from archbench.builtins.ray_execution.actors import RunServer

        settings = self._settings
        server = self._ray.remote(RunServer).options(**self._asked(nproc), **options)
        return server.remote(
            slot.log_dir,
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

    async def _seat(self, slot: Slot) -> None:
        """Waits until the slot's first actor is somewhere, on a node that may train."""
        node_id = await self._placed(slot.server)
        one = self._admission.node(node_id)
        if one is None:
            raise RuntimeError(f"node {node_id} has gone as soon as it came")
        slot.nodes = {node_id: name_of(one)}
        await self._admission.admit(one)

    async def _placed(self, actor: Any) -> str:
        """The node of `actor`, once it is on one. Raises NotNeeded where there is no more for it to do meanwhile."""
        asked = asyncio.ensure_future(awaited(actor.where.remote()))
        while True:
            await asyncio.wait({asked}, timeout=PAUSE_SECONDS)
            if asked.done():
                return str(asked.result())
            if not self._is_wanted():
                asked.cancel()
                raise NotNeeded

    async def _make_group(self, slot: Slot, spread: int) -> None:
        """Actors on `spread` nodes, whose processes train together."""
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        each = self._settings.nproc // spread
        asked = self._asked(each)
        bundle = {"CPU": asked["num_cpus"], **({"GPU": asked["num_gpus"]} if self._gpus else {})}
        labels = self._settings.labels
        selectors = {"bundle_label_selector": [dict(labels)] * spread} if labels else {}
        slot.group = placement_group([bundle] * spread, strategy="STRICT_SPREAD", **selectors)
        await awaited(slot.group.ready())

        def on(index: int) -> dict[str, Any]:
            return {
                "scheduling_strategy": PlacementGroupSchedulingStrategy(
                    placement_group=slot.group, placement_group_bundle_index=index
                )
            }

        table = self._ray.util.placement_group_table(slot.group)["bundles_to_node_id"]
        by_id = {one["NodeID"]: one for one in self._admission.nodes()}
        members = [by_id[table[index]] for index in range(spread)]
        await asyncio.gather(*map(self._admission.admit, members))
        addresses = [one["NodeManagerAddress"] for one in members]
        port = await awaited(
            self._ray.remote(nodes.free_port).options(num_cpus=0, max_retries=0, **on(0)).remote(addresses[0])
        )
        places = [nodes.Place(spread, rank, addresses[0], port, addresses[rank]) for rank in range(spread)]
        slot.server = self._server(slot, each, on(0), places[0])
        await self._seat(slot)
        slot.nodes = {one["NodeID"]: name_of(one) for one in members}
        member = self._ray.remote(nodes.GroupMember)
        for rank in range(1, spread):
            slot.members.append(
                member.options(**self._asked(each), **on(rank)).remote(
                    f"{slot.log_dir}-node-{rank}",
                    list(self._settings.plugin_files),
                    each,
                    max(1, int(self._cpus)),
                    self._gpus > 0,
                    places[rank],
                )
            )
        slot.ends = [asyncio.ensure_future(awaited(member.wait.remote())) for member in slot.members]

    def give_back(self, slot: Slot) -> None:
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
        slot.server, slot.members, slot.ends, slot.group, slot.nodes = None, [], [], None, {}
