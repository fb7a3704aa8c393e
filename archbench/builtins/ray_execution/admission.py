"""Which nodes of a cluster may train: those that would compute as this one does, and can use the same store."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archbench.api import StoreError
from archbench.builtins.ray_execution import node as nodes
from archbench.builtins.ray_execution.cluster import Refused, awaited
from archbench.builtins.ray_execution.messages import Settings
from archbench.errors import in_one_line
from archbench.runs.probe import StoreMark, forget_mark, mark_store
from archbench.scans.nodes import difference, node_versions

DESCRIBE_SECONDS = 120.0
"""How long the nodes may take to say what they have: Ray starts a process on each."""


class Admission:
    """Asks each node once what it would train with, and has it try the store."""

    def __init__(self, ray: Any, settings: Settings) -> None:
        self._ray = ray
        self._settings = settings
        self._root = Path(settings.log_dir)
        self._mark: StoreMark | None = None
        self._here: Mapping[str, str] = {}
        self._admitted: set[str] = set()
        """Ids of nodes."""

    async def open(self) -> None:
        """Looks at all nodes that are there. Raises Refused where one may not train."""
        try:
            self._mark = await asyncio.to_thread(mark_store, self._root)
        except StoreError as error:
            raise Refused(str(error), "store") from error
        files = [Path(path) for path in self._settings.plugin_files]
        self._here = await asyncio.to_thread(node_versions, files)
        await asyncio.gather(*(self.admit(one) for one in self.nodes()))

    async def close(self) -> None:
        """Takes away what it has left in the store."""
        if self._mark is not None:
            await asyncio.to_thread(forget_mark, self._root, self._mark)

    def node(self, node_id: str) -> dict[str, Any] | None:
        """The node of that id, if it lives and may train."""
        return next((one for one in self.nodes() if one["NodeID"] == node_id), None)

    def is_alive(self, node_id: str) -> bool:
        """Whether the node of that id is in the cluster."""
        return any(one["Alive"] and one["NodeID"] == node_id for one in self._ray.nodes())

    async def admit(self, one: Mapping[str, Any]) -> None:
        """Compares node `one` with this one, and has it try the store, if that was not done before.

        Raises Refused where it may not train.
        """
        if one["NodeID"] in self._admitted:
            return
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        assert self._mark is not None
        there = NodeAffinitySchedulingStrategy(node_id=one["NodeID"], soft=False)
        describe = self._ray.remote(nodes.describe).options(num_cpus=0, scheduling_strategy=there, max_retries=0)
        files = list(self._settings.plugin_files)
        await self._judge(one, describe.remote(self._settings.log_dir, self._mark.to_json(), files, name_of(one)))

    async def _judge(self, one: Mapping[str, Any], answer: Any) -> None:
        """Takes node `one` in by its `answer`, an object of Ray's. Raises Refused where it may not train."""
        name = name_of(one)
        try:
            told = await asyncio.wait_for(awaited(answer), DESCRIBE_SECONDS)
        except TimeoutError:
            raise Refused(
                f"node {name} did not answer within {DESCRIBE_SECONDS:.0f} s; take it out", "plugin"
            ) from None
        except Exception as error:  # whatever Ray raises, and whatever a strange node answers
            if self.node(one["NodeID"]) is None:
                return  # it has gone meanwhile
            if "No module named 'archbench" in str(error) or "AttributeError" in str(error):
                line = f"node {name} has no archbench, or another one; install the same on all nodes"
                raise Refused(line, "plugin") from error
            raise Refused(f"node {name} cannot train: {in_one_line(error)}", "plugin") from error
        if told["problem"] is not None:
            raise Refused(str(told["problem"]), "store")
        problem = difference(self._here, told["versions"], name)
        if problem is not None:
            raise Refused(problem, "plugin")
        self._admitted.add(one["NodeID"])

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that live and may train: they have cores and the labels."""
        wanted = self._settings.labels.items()
        return [
            one
            for one in self._ray.nodes()
            if one["Alive"]
            and one["Resources"].get("CPU", 0.0)
            and all(one.get("Labels", {}).get(key) == value for key, value in wanted)
        ]


def name_of(one: Mapping[str, Any]) -> str:
    """A node as messages call it."""
    return f"{one['NodeManagerHostname']} ({one['NodeManagerAddress']})"
