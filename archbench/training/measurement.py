"""What is measured rather than computed: device seconds, memory, hardware and versions."""

import hashlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch

from archbench.spec.identity import ExecutionSettings
from archbench.training.energy import EnergyCount


class Stopwatch:
    """Time, processor time, and energy where it is told, spent in training steps.

    Starting and stopping wait for the device; nothing in between does.
    """

    def __init__(
        self,
        device: torch.device,
        seconds: float = 0.0,
        energy: EnergyCount | None = None,
        processor_seconds: float | None = 0.0,
    ) -> None:
        """`seconds` and `processor_seconds` were spent in earlier attempts; None if these are not known."""
        self._device = device
        self._energy = energy or EnergyCount(None)
        self._seconds = seconds
        self._started: float | None = None
        self.processor_seconds = processor_seconds
        """Of this process, all its threads together, while the watch ran: on a CPU what others do hardly changes it."""
        self._processor_started = 0.0

    @property
    def seconds(self) -> float:
        """Seconds so far; exact while the watch is stopped, without waiting for the device while it runs."""
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self._seconds + running

    def start(self) -> None:
        """Goes on."""
        self._synchronise()
        self._energy.start()
        self._started = time.perf_counter()
        self._processor_started = time.process_time()

    def stop(self) -> None:
        """Halts."""
        self._synchronise()
        if self._started is not None and self.processor_seconds is not None:
            self.processor_seconds += time.process_time() - self._processor_started
        self._seconds = self.seconds
        self._started = None
        self._energy.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves out what happens inside."""
        self.stop()
        yield
        self.start()

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def reset_peak_memory(device: torch.device) -> None:
    """Starts counting `peak_memory_bytes` anew, as far as the system allows."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_bytes(device: torch.device) -> int | None:
    """Most memory held at once: on the device, or of the whole process on a CPU; None where it is not known."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def hardware(device: torch.device) -> dict[str, Any]:
    """What the run was carried out on."""
    found: dict[str, Any] = {
        "device": device.type,
        "cpu": _cpu_name(),
        "cpu_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"accelerator": properties.name, "accelerator_memory_bytes": properties.total_memory}
    return found


def arithmetic(device: torch.device, execution: ExecutionSettings) -> dict[str, str | int]:
    """What the last digits of a run on `device` hang on: processor, torch's build, threads, ranks."""
    accelerated = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_properties(device).name if accelerated else device.type,
        "processor": _cpu_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": importlib.metadata.version("torch"),
        "torch_build": hashlib.sha256(torch.__config__.show().encode()).hexdigest()[:12],
        "threads": execution.threads,
        "ranks": execution.nproc,
    }


def versions(plugin_distributions: Iterable[str]) -> dict[str, str]:
    """Versions of Python, of the libraries that train, and of the plug-ins' distributions."""
    found = {"python": platform.python_version()}
    libraries = ("archbench", "torch", "deepspeed", "numpy", "transformers", "x-transformers", "reformer-pytorch")
    for name in (*libraries, *plugin_distributions):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
