"""Starts the ranks of a group by srun: `python -m archbench.training.srun_launcher NPROC [worker's arguments]`

Run inside a Slurm job of several nodes, by the worker on the first of them. Each rank is an
`archbench.training.worker`; srun passes this process's standard input to rank 0, and its events to standard output.
When a rank dies, srun ends the others, and this process ends with its exit code.

With `--rank` it is one of the ranks: it takes its place from Slurm's variables, and becomes the worker.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

GRACE_SECONDS = 20
"""What srun gives the ranks that are left when one has died."""


def main(arguments: Sequence[str]) -> int:
    """Runs the group to its end; 0 if every rank ended well."""
    if arguments[0] == "--rank":
        os.environ.update(rank_variables(os.environ))
        os.execv(sys.executable, [sys.executable, "-m", "archbench.training.worker", *arguments[1:]])
    nproc, *rest = arguments
    environment = {**os.environ, "MASTER_ADDR": _address(), "MASTER_PORT": str(_free_port())}
    # Whole nodes are this group's: each rank may use what the job has there.
    command = ["srun", f"--ntasks={int(nproc)}", "--kill-on-bad-exit=1", f"--wait={GRACE_SECONDS}", "--input=0"]
    command += ["--unbuffered", sys.executable, "-m", "archbench.training.srun_launcher", "--rank", *rest]
    return subprocess.run(command, env=environment, check=False).returncode


def rank_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """torch.distributed's names for what Slurm tells a task of its place."""
    per_node = environment.get("SLURM_STEP_TASKS_PER_NODE", environment.get("SLURM_TASKS_PER_NODE", "1"))
    return {
        "RANK": environment["SLURM_PROCID"],
        "WORLD_SIZE": environment["SLURM_NTASKS"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": per_node.partition("(")[0].partition(",")[0],
        "ARCHBENCH_LAUNCHER_PID": str(os.getppid()),
    }


def _address() -> str:
    """This node, as the others find it."""
    return socket.gethostname() if "SLURMD_NODENAME" in os.environ else "127.0.0.1"


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("", 0))
        return int(listening.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
