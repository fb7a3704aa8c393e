"""What this machine can run at once. No torch: the driver of a scan never imports it."""

import os
from collections.abc import Mapping
from pathlib import Path


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
