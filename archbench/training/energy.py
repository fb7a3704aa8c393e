"""Energy that a device says it has used: counters of the driver or of the system, read now and then.

* CUDA: the board's counter in NVML, the library that comes with NVIDIA's driver (millijoules, Volta and later).
* CPU: the packages' counters in Linux's powercap tree (Intel RAPL; AMD's appear under the same name). Memory and the
  rest of the machine are not in them. Many systems let only root read them.

A counter is of the whole board or package, whoever used it: runs that share one each count all of it.
"""

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import torch

POWERCAP = Path("/sys/class/powercap")
NVML_LIBRARY = "libnvidia-ml.so.1"


class Meter(Protocol):
    """Counters of energy that never run backwards."""

    @property
    def scope(self) -> str:
        """What they cover, in words."""
        ...

    def joules(self) -> float | None:
        """Energy since an arbitrary beginning; None once it cannot be read any more."""
        ...


class PackageMeter:
    """The CPU packages of this machine. Must be read more often than a counter wraps around: minutes at full load."""

    def __init__(self, zones: Sequence[Path]) -> None:
        """`zones` are folders of the powercap tree. Raises OSError or ValueError where one cannot be read."""
        self._zones = zones
        self._ranges = [_microjoules(zone / "max_energy_range_uj") for zone in zones]
        self._last = [_microjoules(zone / "energy_uj") for zone in zones]
        self._total = 0

    @property
    def scope(self) -> str:
        """See Meter."""
        return f"CPU packages of the machine ({len(self._zones)})"

    def joules(self) -> float | None:
        """See Meter."""
        try:
            now = [_microjoules(zone / "energy_uj") for zone in self._zones]
        except (OSError, ValueError):
            return None
        for value, last, wraps_at in zip(now, self._last, self._ranges, strict=True):
            self._total += value - last if value >= last else value - last + wraps_at
        self._last = now
        return self._total * 1e-6


class BoardMeter:
    """One NVIDIA board, named by its UUID."""

    def __init__(self, uuid: str, library: str = NVML_LIBRARY) -> None:
        """Raises OSError where the library, the board or its counter is not there."""
        self._nvml = ctypes.CDLL(library)
        self._handle = ctypes.c_void_p()
        self._check(self._nvml.nvmlInit_v2())
        self._check(self._nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(self._handle)))
        self._read()

    @property
    def scope(self) -> str:
        """See Meter."""
        return "the accelerator's board"

    def joules(self) -> float | None:
        """See Meter."""
        try:
            return self._read() * 1e-3
        except OSError:
            return None

    def _read(self) -> int:
        millijoules = ctypes.c_ulonglong()
        self._check(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle, ctypes.byref(millijoules)))
        return millijoules.value

    @staticmethod
    def _check(code: int) -> None:
        if code:
            raise OSError(f"NVML answers {code}")


def find_meter(device: torch.device, powercap: Path = POWERCAP) -> Meter | None:
    """What tells the energy of `device`; None where nobody does."""
    with suppress(OSError, ValueError, AttributeError):
        if device.type == "cuda":
            return BoardMeter(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        if zones := package_zones(powercap):
            return PackageMeter(zones)
    return None


def package_zones(powercap: Path) -> list[Path]:
    """Folders of the CPU packages; not of their parts, nor of the whole platform, which contain or repeat them."""
    # `intel-rapl:0` is a package or the platform, `intel-rapl:0:1` a part of it, `intel-rapl-mmio:0` a package again.
    zones = (path for path in powercap.glob("intel-rapl:*") if path.name.count(":") == 1)
    return sorted(zone for zone in zones if (zone / "name").read_text().startswith("package"))


class EnergyCount:
    """Joules while it is switched on, over all attempts; unknown as soon as one part of them is."""

    def __init__(self, meter: Meter | None, joules: float | None = 0.0) -> None:
        """`joules` were counted in earlier attempts; None if they are not known."""
        self.meter = meter
        self.joules = None if meter is None else joules
        self._began: float | None = None

    def start(self) -> None:
        """Goes on."""
        if self.meter is not None:
            self._began = self.meter.joules()
            if self._began is None:
                self.joules = None

    def stop(self) -> None:
        """Halts."""
        if self.meter is None or self._began is None:
            return
        now = self.meter.joules()
        self.joules = None if now is None or self.joules is None else self.joules + now - self._began
        self._began = None

    def glance(self) -> None:
        """Reads the counters while switched on, so that none wraps around unseen."""
        if self.meter is not None:
            self.meter.joules()


def _microjoules(path: Path) -> int:
    return int(path.read_text())
