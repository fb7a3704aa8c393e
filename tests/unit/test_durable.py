"""Files that are whole or absent."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from archbench.durable import remove_remnants, write_through, write_whole


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


def killed_writer(path: Path) -> None:
    """A process that is killed while it writes `path`."""
    script = (
        "import os, signal, sys; from pathlib import Path; from archbench.durable import write_whole\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(Path(sys.argv[1]), b'half')"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_writer_left_behind_goes_with_the_next_writing(tmp_path: Path) -> None:
    path, other = tmp_path / "tiny.json", tmp_path / "other.json"
    killed_writer(path)
    killed_writer(other)
    assert len(list(tmp_path.iterdir())) == 2
    write_whole(path, b"whole")
    left = sorted(tmp_path.iterdir())
    assert path in left
    assert len(left) == 2, "the remnant of another file may be its living writer's"
    remove_remnants(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_being_written_is_no_remnant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tiny.json"
    seen: list[list[Path]] = []
    sync = os.fsync

    def meanwhile(descriptor: int) -> None:
        if not seen:
            seen.append(list(tmp_path.iterdir()))
            remove_remnants(tmp_path)
            write_whole(path, b"of another writer")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_whole(path, b"mine")
    assert len(seen[0]) == 1
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_only_temporary_files_are_remnants(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in (".config.settings", ".gitignore", "a.json", ".a.json.abc", "x.abcdefgh.tmp")]
    for path in kept:
        path.write_bytes(b"")
    gone = [tmp_path / name for name in (".a.json.a1_b2c3d", ".a.csv.a1_b2c3d.tmp")]
    for path in gone:
        path.write_bytes(b"")
    remove_remnants(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


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
