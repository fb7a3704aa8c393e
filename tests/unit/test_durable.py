"""Files that are whole or absent."""

import os
import stat
from pathlib import Path

import pytest

from archbench.durable import write_through, write_whole


def test_a_written_file_holds_the_content_and_everybody_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "entry.json"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stop", [OSError("full"), KeyboardInterrupt()], ids=["disk full", "Ctrl-C"])
def test_what_stops_half_way_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    path = tmp_path / "entry.json"
    write_whole(path, b"one")

    def stopped(descriptor: int) -> None:
        raise stop

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(type(stop)):
        write_whole(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_through_is_synced_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def counted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)
    path = tmp_path / "rank-0.safetensors"
    write_through(path, b"state")
    assert path.read_bytes() == b"state"
    assert synced == [path.stat().st_ino]
