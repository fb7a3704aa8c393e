"""The actors: `node.RunServer` and `node.GroupMember`, which know where they are. Imported by Ray's processes alone."""

import ray

from archbench.builtins.ray_execution import node


class RunServer(node.RunServer):
    """Carries out one run after another."""

    def where(self) -> str:
        """The id of its node."""
        return str(ray.get_runtime_context().get_node_id())


class GroupMember(node.GroupMember):
    """The part of a group on another node than the first."""

    def where(self) -> str:
        """The id of its node."""
        return str(ray.get_runtime_context().get_node_id())
