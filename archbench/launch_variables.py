"""Environment variables of launchers and transports: they say where a process stands among others, and fit no other.

A shell inside `mpirun`, a job array or an old `torchrun` hands them to whatever it starts. A worker that archbench
starts stands among its own ranks, all on this machine, and is told so by archbench.
"""

from collections.abc import Mapping, MutableMapping

_NAMES = frozenset(
    {
        # torch.distributed and torchrun
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "GROUP_WORLD_SIZE",
        "ROLE_RANK",
        "ROLE_NAME",
        "ROLE_WORLD_SIZE",
        "NODE_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
        "TORCH_DISTRIBUTED_DEBUG",
        "USE_LIBUV",
        "ARCHBENCH_LAUNCHER_PID",
        # Interfaces and transports; ranks of one machine find each other without.
        "GLOO_SOCKET_IFNAME",
        "GLOO_DEVICE_TRANSPORT",
        "NCCL_SOCKET_IFNAME",
        "NCCL_COMM_ID",
        "TP_SOCKET_IFNAME",
        # What DeepSpeed goes by: its accelerator, and clouds that it believes to be in.
        "DS_ACCELERATOR",
        "LOCAL_SIZE",
        "CROSS_RANK",
        "CROSS_SIZE",
        "AZUREML_EXPERIMENT_ID",
        "SM_TRAINING_ENV",
        "DLTS_JOB_ID",
        # Where threads are bound: every worker would sit on the same core.
        "OMP_PROC_BIND",
        "OMP_PLACES",
        "OMP_THREAD_LIMIT",
        "GOMP_CPU_AFFINITY",
        "KMP_AFFINITY",
    }
)
_PREFIXES = (
    "TORCHELASTIC_",
    "TORCH_ELASTIC_",
    "PET_",  # defaults of torchrun's options
    "OMPI_",
    "PMI_",
    "PMIX_",
    "MPI_LOCAL",
    "MV2_COMM_",
    "HYDRA_",
    "HOROVOD_",
)

GROUP = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What a rank must be told by whoever starts it."""


def without_launchers(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without what places its process among those of somebody else's launcher."""
    return {name: value for name, value in environment.items() if not _is_launchers(name)}


def forget_launchers(environment: MutableMapping[str, str]) -> None:
    """Takes the same variables out of `environment` itself."""
    for name in [name for name in environment if _is_launchers(name)]:
        del environment[name]


def _is_launchers(name: str) -> bool:
    return name in _NAMES or name.startswith(_PREFIXES)
