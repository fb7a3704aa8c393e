"""What this machine can run at once. No torch: the driver of a scan never imports it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil


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


def free_memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory that new processes can have: what the system has left, or what the container's limit leaves."""
    available = int(psutil.virtual_memory().available)
    try:
        limit, used = ((cgroup / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return available if limit == "max" else max(0, min(available, int(limit) - int(used)))
    except (OSError, ValueError):
        return available


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
