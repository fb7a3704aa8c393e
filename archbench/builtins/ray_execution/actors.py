"""The actor `node.RunServer`, which knows where it is. Imported by Ray's processes alone."""

import ray

from archbench.builtins.ray_execution import node


class RunServer(node.RunServer):
    """Carries out one run after another."""

    def where(self) -> str:
        """The id of its node."""
        return str(ray.get_runtime_context().get_node_id())
