"""Energy counters: a tree of files as Linux lays it out, and a library that answers as NVML does."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from archbench.results.runs import RunState
from archbench.runs.records import read_record
from archbench.training import progress
from archbench.training.energy import BoardMeter, EnergyCount, PackageMeter, find_meter, package_zones

CPU = torch.device("cpu")
RANGE = 1_000_000_000


def write_zone(folder: Path, name: str, energy_uj: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
    return folder


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages, a part of one, the platform that holds them, and the second view of a package."""
    root = tmp_path / "powercap"
    write_zone(root / "intel-rapl:0", "package-0", 5_000_000)
    write_zone(root / "intel-rapl:1", "package-1", RANGE - 2_000_000)
    write_zone(root / "intel-rapl:0:0", "core", 1_000_000)
    write_zone(root / "intel-rapl:2", "psys", 77_000_000)
    write_zone(root / "intel-rapl-mmio:0", "package-0", 5_000_000)
    (root / "intel-rapl").mkdir()
    return root


def test_each_package_is_counted_once(powercap: Path) -> None:
    assert [zone.name for zone in package_zones(powercap)] == ["intel-rapl:0", "intel-rapl:1"]


def test_joules_are_summed_over_packages_and_across_a_wrap_around(powercap: Path) -> None:
    meter = find_meter(CPU, powercap)
    assert isinstance(meter, PackageMeter)
    assert meter.joules() == 0.0
    (powercap / "intel-rapl:0" / "energy_uj").write_text("8000000\n")
    (powercap / "intel-rapl:1" / "energy_uj").write_text("1500000\n")  # 2 J to its end, and 1.5 J beyond
    assert meter.joules() == pytest.approx(3.0 + 3.5)
    (powercap / "intel-rapl:1" / "energy_uj").write_text("500000\n")  # once around
    assert meter.joules() == pytest.approx(6.5 + 999.0)


def test_nobody_tells_where_there_is_no_counter_or_none_that_may_be_read(powercap: Path, tmp_path: Path) -> None:
    assert find_meter(CPU, tmp_path / "nothing") is None
    (powercap / "intel-rapl:1" / "energy_uj").unlink()
    assert find_meter(CPU, powercap) is None


def test_energy_is_counted_while_switched_on_and_goes_on_from_earlier_attempts(powercap: Path) -> None:
    counter = powercap / "intel-rapl:0" / "energy_uj"
    count = EnergyCount(find_meter(CPU, powercap), 10.0)
    count.start()
    counter.write_text("6000000\n")
    count.stop()
    counter.write_text("9000000\n")
    count.start()
    counter.write_text("9500000\n")
    count.glance()
    count.stop()
    assert count.joules == pytest.approx(10.0 + 1.0 + 0.5)


def test_energy_is_unknown_as_soon_as_a_part_of_it_is(powercap: Path) -> None:
    assert EnergyCount(None, 10.0).joules is None
    assert EnergyCount(find_meter(CPU, powercap), None).joules is None
    count = EnergyCount(find_meter(CPU, powercap))
    count.start()
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    count.stop()
    assert count.joules is None


def test_a_run_records_the_joules_of_its_training_steps(
    plan: Any, train_to_end: Any, powercap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = powercap / "intel-rapl:0" / "energy_uj"

    class Ticking(PackageMeter):
        """The package uses a joule between any two looks at it."""

        def joules(self) -> float | None:
            counter.write_text(str(int(counter.read_text()) + 1_000_000))
            return super().joules()

    monkeypatch.setattr(progress, "find_meter", lambda device: Ticking(package_zones(powercap)))
    monkeypatch.setattr(EnergyCount, "glance", lambda count: None)  # on a busy machine there is time for one
    directory = plan()
    assert train_to_end(directory).state is RunState.DONE
    timings = read_record(directory, contender="x", size_index=0).details["timings"]
    # Training is paused for the evaluations after steps 1, 3 and 12: four stretches of one joule each.
    assert timings["energy_joules"] == 4.0
    assert timings["energy_scope"] == "CPU packages of the machine (2)"


def test_a_run_on_a_machine_that_tells_nothing_records_null(
    plan: Any, train_to_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "find_meter", lambda device: None)
    directory = plan()
    train_to_end(directory)
    timings = read_record(directory, contender="x", size_index=0).details["timings"]
    assert timings["energy_joules"] is None
    assert timings["energy_scope"] is None


NVML = """
static unsigned long long millijoules = 4000;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    if (__builtin_strcmp(uuid, "GPU-known")) return 6;
    *device = &millijoules;
    return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *energy) {
    if (device != &millijoules) return 2;
    *energy = millijoules;
    millijoules += 2500;
    return 0;
}
"""


def test_a_boards_counter_is_read_through_the_drivers_library(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build a library that answers as NVML does")
    (tmp_path / "nvml.c").write_text(NVML)
    library = tmp_path / "libnvml.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(tmp_path / "nvml.c")], check=True)
    meter = BoardMeter("GPU-known", str(library))
    assert [meter.joules(), meter.joules()] == [6.5, 9.0]
    with pytest.raises(OSError, match="NVML answers 6"):
        BoardMeter("GPU-other", str(library))
    with pytest.raises(OSError, match="no-such-library"):
        BoardMeter("GPU-known", "no-such-library.so")
