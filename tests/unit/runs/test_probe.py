"""A node that cannot use the store says so in one line, before it trains anything."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from archbench.errors import StoreError
from archbench.runs.probe import CLOCK_MARGIN_SECONDS, StoreMark, forget_mark, mark_store, probe_store
from archbench.runs.store import RunStore


def ahead(seconds: float) -> Callable[[], float]:
    return lambda: time.time() + seconds


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = RunStore(tmp_path / "runs")
    store.create()
    return store.root


def test_a_node_that_shares_the_store_finds_the_mark_and_leaves_nothing_behind(root: Path) -> None:
    before = sorted(path.name for path in root.iterdir())
    mark = StoreMark.from_json(mark_store(root, node="one").to_json())
    probed = probe_store(root, mark, node="two")
    assert probed.node == "two"
    assert abs(probed.ahead_seconds) < 5.0  # the file's date is the kernel's clock, some milliseconds coarse
    forget_mark(root, mark)
    left = {path.name for path in root.iterdir()} - set(before)
    assert left <= {".probe.lock"}
    assert list(RunStore(root).directories()) == []


def test_a_folder_of_the_same_path_that_is_another_one_is_told(root: Path, tmp_path: Path) -> None:
    mark = mark_store(root, node="one")
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(StoreError, match=r"on two is another folder than on one: its mark is not there; mount one"):
        probe_store(other, mark, node="two", settle_seconds=0.0)
    with pytest.raises(StoreError, match=r"is not there on two; mount the shared folder .* as it is on one"):
        probe_store(tmp_path / "nowhere", mark, node="two")


@pytest.mark.parametrize(("seconds", "way"), [(1.0, "ahead of"), (-1.0, "behind")])
def test_clocks_that_are_apart_are_told(root: Path, seconds: float, way: str) -> None:
    """Both are held against the store's clock, hence against each other, however wrong that is."""
    apart = seconds * (CLOCK_MARGIN_SECONDS + 30.0)
    mark = mark_store(root, node="one", clock=ahead(1000.0))
    probe_store(root, mark, node="two", clock=ahead(1000.0 + seconds))
    with pytest.raises(StoreError, match=rf"the clock of two is 1[12]\d s {way} that of one, at most 90 s .*NTP"):
        probe_store(root, mark, node="two", clock=ahead(1000.0 + apart))


def test_a_mark_that_somebody_left_behind_goes_and_a_living_one_stays(root: Path) -> None:
    old, living = mark_store(root), mark_store(root)
    long_ago = time.time() - 2 * 86_400
    os.utime(root / old.name, (long_ago, long_ago))
    mark_store(root)
    assert not (root / old.name).exists()
    assert (root / living.name).exists()


READ_ONLY = """\
mount -t tmpfs none {folder} && mkdir {folder}/runs && mount -o remount,ro {folder} && exec {python} -c '
from pathlib import Path
from archbench.errors import StoreError
from archbench.runs.probe import probe_store
try:
    probe_store(Path("{folder}/runs"), node="two")
except StoreError as error:
    print(error)
'
"""


def test_a_store_that_is_mounted_read_only_is_told(tmp_path: Path) -> None:
    namespaces = ("unshare", "--mount", "--map-root-user", "sh", "-c")
    if shutil.which("unshare") is None or subprocess.run([*namespaces, "true"], check=False).returncode:
        pytest.skip("mount namespaces cannot be made here")
    script = READ_ONLY.format(folder=tmp_path, python=sys.executable)
    told = subprocess.run([*namespaces, script], capture_output=True, text=True, check=False)
    assert told.stdout.strip() == (
        f"{tmp_path}/runs: cannot be written on two: Read-only file system; mount it for writing, as whoever trains"
    ), told.stderr
