"""What this machine can run at once. No torch: the driver of a scan never imports it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """CPU cores that this process may use: its affinity, or the container's quota if that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        limit = cores if quota == "max" else int(quota) // int(period)
    except (OSError, ValueError):
        limit = cores
    return max(1, min(cores, limit))


def cuda_devices(environment: Mapping[str, str], device_folder: Path = Path("/dev")) -> tuple[str, ...]:
    """Names of the NVIDIA devices that torch would see, as CUDA_VISIBLE_DEVICES lists them; empty without any."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    present = sorted(path.name.removeprefix("nvidia") for path in device_folder.glob("nvidia[0-9]*"))
    if not present:
        return ()
    if visible is None:
        return tuple(str(index) for index in range(len(present)))
    return tuple(name.strip() for name in visible.split(",") if name.strip() and name.strip() != "-1")


def free_memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Memory that new processes can have: what the system has left, or what the container's limit leaves.

    What the kernel keeps of files is given back when it is needed, so that it counts as free.
    """
    import psutil  # comes with archbench[train], and plug-ins are listed without

    available = int(psutil.virtual_memory().available)
    limit = _container_limit_bytes(cgroup)
    if limit is None:
        return available
    used, kept = _figures(cgroup / "memory.current"), _figures(cgroup / "memory.stat")
    of_files = kept.get("active_file", 0) + kept.get("inactive_file", 0)
    return max(0, min(available, limit - used.get("", 0) + of_files))


def _figures(file: Path) -> dict[str, int]:
    """Name -> number of each line of a file of the kernel; a line without a name has the empty one."""
    try:
        words = [line.split() for line in file.read_text().splitlines()]
        return {"".join(names): int(number) for *names, number in words}
    except (OSError, ValueError):
        return {}


def total_memory_bytes(cgroup: Path = _CGROUP) -> int:
    """The machine's memory, or the container's limit if that is less."""
    import psutil

    total, limit = int(psutil.virtual_memory().total), _container_limit_bytes(cgroup)
    return total if limit is None else min(total, limit)


def _container_limit_bytes(cgroup: Path) -> int | None:
    try:
        return int((cgroup / "memory.max").read_text())
    except (OSError, ValueError):  # "max", where there is none
        return None


def cuda_memory_bytes(devices: Sequence[str]) -> dict[str, int]:
    """Free memory of each of `devices`, as nvidia-smi tells it; devices that it does not know are left out."""
    found = {}
    for device in devices:
        query = ("nvidia-smi", f"--id={device}", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
        try:
            told = subprocess.run(query, check=True, capture_output=True, text=True, timeout=10.0).stdout
            found[device] = int(told.split()[0]) * 2**20
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            continue
    return found
