"""Starts a group of ranks by torchrun: `python -m archbench.training.launcher NPROC [place] [worker's arguments]`

Each rank is an `archbench.training.worker`. Rank 0 reads jobs from this process's standard input and writes events to
its standard output, exactly as a worker alone does, so that whoever drives it needs to know of the first rank only.
When a rank dies, torchrun ends the others; this process then says which one it was, and ends with exit code 1. When
the driver dies, rank 0 sees the end of its input, and the group stops with a checkpoint; whatever is left of it after
`LINGER_SECONDS` (a rank that hangs) is killed.

`place` says where this node stands in a group of several: `--nodes 2 --node-rank 1 --first HOST:PORT`, with the address
of node 0 and a port that is free there. NPROC is then the number of ranks on this node, the same on all.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

LINGER_SECONDS = 20.0
"""Longer than a worker's own grace for its last step and checkpoint."""

SHUTDOWN_SECONDS = 5
"""What torchrun gives the ranks that are left when one has died."""

_POLL_SECONDS = 1.0


def main(arguments: Sequence[str]) -> int:
    """Runs the group to its end; 0 if every rank ended well."""
    parser = argparse.ArgumentParser(prog="python -m archbench.training.launcher", description="Starts ranks.")
    parser.add_argument("nproc", type=int)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--node-rank", type=int, default=0)
    parser.add_argument("--first", metavar="HOST:PORT", help="of node 0")
    place, rest = parser.parse_known_args(arguments)
    threading.Thread(target=_outlive_no_driver, args=(os.getppid(),), daemon=True).start()
    # So that ranks whose agent died before they could look know it.
    os.environ["ARCHBENCH_LAUNCHER_PID"] = str(os.getpid())
    options = ["--standalone"] if place.first is None else _among_nodes(place.nodes, place.node_rank, place.first)
    options += [f"--nproc-per-node={place.nproc}", "--max-restarts=0"]
    options += [f"--shutdown-timeout={SHUTDOWN_SECONDS}", "-m", "archbench.training.worker", *rest]
    try:
        run(parse_args(options))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode
        cause = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        line = json.dumps({"event": "rank_lost", "rank": rank, "cause": cause})
        with contextlib.suppress(BrokenPipeError):  # the driver may be gone as well
            os.write(1, line.encode() + b"\n")
        return 1
    return 0


def _among_nodes(nodes: int, node_rank: int, first: str) -> list[str]:
    """torchrun's options for one of several nodes.

    Static: who is where is known, and whoever started the group sees to it that it ends where a node is lost.
    """
    host, _, port = first.rpartition(":")
    return [
        "--rdzv-backend=static",
        f"--nnodes={nodes}",
        f"--node-rank={node_rank}",
        f"--master-addr={host}",
        f"--master-port={port}",
    ]


def _outlive_no_driver(driver: int) -> None:
    """Kills this process, and by that its ranks, if the driver is gone and the ranks do not end by themselves."""
    while os.getppid() == driver:
        time.sleep(_POLL_SECONDS)
    time.sleep(LINGER_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
