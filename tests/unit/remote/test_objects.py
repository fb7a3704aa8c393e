import time
from pathlib import Path

import pytest

from archbench.errors import ArchbenchError, SpecError, StoreError
from archbench.runs.remote.cells import Cell, Cells, Outrun, Valued
from archbench.runs.remote.objects import Objects
from archbench.runs.remote.opening import open_objects
from archbench.runs.remote.probing import probe_objects

CELL = Cell("head", "0123456789abcdef")


def test_objects_come_back_and_one_is_made_once(objects: Objects, tmp_path: Path) -> None:
    assert objects.keys("a/") == []
    assert objects.get("a/b") is None
    assert objects.create("a/b", b"first")
    assert not objects.create("a/b", b"second")
    objects.put("a/c d/e", b"1")
    (tmp_path / "file").write_bytes(b"2" * 100_000)
    objects.put("a/c d/f", tmp_path / "file")
    assert objects.keys("a/") == ["a/b", "a/c d/e", "a/c d/f"]
    assert objects.keys("a/c") == [] or objects.keys("a/c d/") == ["a/c d/e", "a/c d/f"]
    assert objects.get("a/b") == b"first"
    assert objects.fetch("a/c d/f", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b"2" * 100_000
    assert not objects.fetch("a/none", tmp_path / "none")
    modified = objects.modified("a/b")
    assert modified is not None
    assert abs(modified - time.time()) < 60
    objects.remove(["a/b", "a/none", "a/c d/e"])
    assert objects.keys("") == ["a/c d/f"]
    objects.require_place()


def test_of_those_that_change_a_cell_from_one_value_the_first_does(objects: Objects) -> None:
    cells = Cells(objects)
    assert cells.read(CELL) == Valued(0, None)
    assert cells.swap(CELL, 0, b"one") == 1
    with pytest.raises(Outrun):
        cells.swap(CELL, 0, b"other")
    assert cells.swap(CELL, 1, b"two") == 2
    assert cells.read(CELL) == Valued(2, b"two")
    assert cells.numbers() == {CELL: 2}
    assert cells.put(CELL, b"three") == 3


def test_a_writer_that_slept_until_its_number_was_removed_changes_nothing(objects: Objects) -> None:
    cells = Cells(objects)
    for number in range(6):
        cells.swap(CELL, number, b"%d" % number)
    assert len(objects.keys(CELL.prefix)) == 2
    with pytest.raises(Outrun):
        cells.swap(CELL, 1, b"late")
    assert cells.read(CELL) == Valued(6, b"5")
    cells.swap(CELL, 6, b"next")
    assert len(objects.keys(CELL.prefix)) == 2, "what the late writer left is removed"


def test_a_probe_leaves_nothing_behind(objects: Objects) -> None:
    probe_objects(objects)
    assert objects.keys("") == []


def test_a_wrong_clock_is_one_line(objects: Objects) -> None:
    with pytest.raises(StoreError, match=r"the clock of n7 is (59\d|60\d) s ahead of the store's, at most 90 s"):
        probe_objects(objects, node="n7", clock=lambda: time.time() + 600)


class Twice:
    """A store that makes an object twice, as servers do that pass conditions over."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def __getattr__(self, name: str) -> object:
        return getattr(self._objects, name)

    def create(self, key: str, content: bytes) -> bool:
        self._objects.put(key, content)
        return True


def test_a_store_that_heeds_no_conditions_is_refused(objects: Objects) -> None:
    with pytest.raises(StoreError, match="conditional writes"):
        probe_objects(Twice(objects))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "s3:/x",
        "s3://",
        "s3://B_/x",
        "http://bucket/x",
        "s3://bucket/a//b/c",
        "s3://bucket/../x",
        "s3://bucket/a?b",
        "file://x/y",
        "file:///",
        "gs://",
        "",
    ],
)
def test_a_malformed_url_is_one_line_with_what_was_expected(url: str) -> None:
    with pytest.raises(SpecError, match="expected") as told:
        open_objects(url)
    assert len(told.value.problems) == 1


def test_keys_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(SpecError, match="do not belong into a URL") as told:
        open_objects("s3://id:secret@bucket/x")
    assert "secret" not in str(told.value)


def test_without_the_library_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("s3fs", "gcsfs", "fsspec"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ArchbenchError, match=r"pip install 'archbench\[s3\]'") as told:
        open_objects("s3://bucket/x")
    assert told.value.exit_code == 3


def test_a_folder_that_may_not_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="cannot be read or written") as told:
        probe_objects(open_objects(f"file://{tmp_path / 'file' / 'store'}"))
    assert "\n" not in str(told.value)


def test_of_s3_a_bucket_or_credentials_that_are_missing_are_one_line(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs", reason="comes with archbench[s3]")
    pytest.importorskip("moto.server", reason="pip install 'moto[server]' tries S3, too")
    request.getfixturevalue("s3_url")
    with pytest.raises(StoreError, match="there is no bucket 'nobody'; make it, or mend the URL"):
        probe_objects(open_objects("s3://nobody/x"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(StoreError, match="there are no credentials here"):
        probe_objects(open_objects("s3://my-runs/x"))


def test_of_s3_no_answer_is_told_after_some_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason="comes with archbench[s3]")
    from archbench.runs.remote import fsspec_objects

    monkeypatch.setattr(fsspec_objects, "PAUSES_SECONDS", (0.0, 0.0))
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(StoreError, match="gives no answer"):
        open_objects("s3://bucket/x").keys("state/")
