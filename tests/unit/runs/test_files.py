"""Files of the store."""

from pathlib import Path

import pytest

from archbench.errors import StoreError
from archbench.runs.files import write_atomically


def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_atomically(tmp_path / "absent" / "entry.json", b"one")
