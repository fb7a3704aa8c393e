"""Atomic files."""

import stat
from pathlib import Path

import pytest

from archbench.errors import StoreError
from archbench.runs.files import write_atomically


def test_a_written_file_holds_the_content_and_everybody_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "entry.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_atomically(tmp_path / "absent" / "entry.json", b"one")
