"""A cluster of Ray with several nodes on this machine: `python ray_nodes.py PORT NODES CORES [PATH]`.

It lives until its input ends.

On the last node PATH stands before all else that Python imports from. Prints one JSON line: the address, and the
process ids of each node, the head's first.
"""

import json
import os
import sys

import psutil
import ray
from ray.cluster_utils import Cluster


def main() -> None:
    """Starts the nodes and waits."""
    port, num_nodes, cores = (int(argument) for argument in sys.argv[1:4])
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "gcs_server_port": port,
            "num_cpus": cores,
            "include_dashboard": False,
            "object_store_memory": 80 * 2**20,
        },
    )
    nodes = [cluster.head_node]
    for number in range(1, num_nodes):
        if number == num_nodes - 1 and len(sys.argv) > 4:
            os.environ["PYTHONPATH"] = sys.argv[4]
        nodes.append(cluster.add_node(num_cpus=cores, object_store_memory=80 * 2**20))
    processes = [
        {kind: [one.process.pid for one in found] for kind, found in node.all_processes.items()} for node in nodes
    ]
    print(json.dumps({"address": cluster.address, "processes": processes}), flush=True)
    sys.stdin.read()
    children = psutil.Process().children(recursive=True)
    cluster.shutdown()
    for child in children:
        if child.is_running():
            child.kill()


if __name__ == "__main__":
    assert ray.__version__
    main()
