"""Dataset `text_files` on folders as people have them: what is read, what is left out and said, what is refused."""

import gzip
import json
import os
import shutil
import socket
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archbench.builtins.text.text_files import TextFilesConfig
from archbench.contracts.data import ReadingLog
from archbench.errors import DataError


def read(*paths: Path | str) -> tuple[list[str], ReadingLog]:
    """Ids of the documents, and the log."""
    log = ReadingLog()
    documents = TextFilesConfig(paths=tuple(map(str, paths))).logged_documents(log)
    return [document.id for document in documents], log


def left_out(log: ReadingLog) -> dict[str, tuple[str, int]]:
    """By what it is: the beginning of the reason, and the count."""
    return {
        one.what: (one.reason.split(":")[0].split(",")[0].split(";")[0], one.count) for one in log.left_out.values()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    (tmp_path / "b.txt").write_text("three")
    return tmp_path


DOCUMENTS = ["a.jsonl:1", "a.jsonl:2", "b.txt"]


def test_what_is_no_text_of_the_folder_is_left_out_and_said(folder: Path) -> None:
    for name in (".ipynb_checkpoints", ".cache"):
        (folder / name).mkdir()
        shutil.copy(folder / "a.jsonl", folder / name / "old.jsonl")
    for name in (
        "._a.jsonl",
        "README.md",
        "LICENSE",
        "LICENSE.txt",
        "c.csv",
        "d.txt.gz.gz",
        "e.bz2",
        "dataset_infos.json",
    ):
        (folder / name).write_bytes(b"{}")
    names, log = read(folder)
    assert names == DOCUMENTS
    assert {key: (one.files, one.documents) for key, one in log.read.items()} == {".jsonl": (1, 2), ".txt": (1, 1)}
    unknown = "no format that text_files reads"
    assert left_out(log) == {
        "folders": ("hidden", 2),
        ".jsonl": ("hidden", 1),
        ".md": ("about the folder", 1),
        ".txt": ("about the folder", 1),
        ".json": ("about the folder", 1),
        "files without ending": (unknown, 1),
        ".csv": (unknown, 1),
        ".gz.gz": ("compressed twice", 1),
        ".bz2": (unknown, 1),
    }


def test_links_pipes_and_sockets_are_left_out_and_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "round.txt").symlink_to(folder / "round.txt")
    (folder / "gone.md").symlink_to(folder / "nowhere.md")
    os.mkfifo(folder / "pipe.txt")
    monkeypatch.chdir(folder)  # a socket's address may be no longer than about a hundred bytes
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket.txt")
        names, log = read(folder)
    assert names == DOCUMENTS
    assert {(item.what, item.reason.split(";")[0]) for item in log.left_out.values()} == {
        ("folders", "links to folders are not followed"),
        (".txt", "a link that leads nowhere"),
        (".md", "a link that leads nowhere"),
        (".txt", "a pipe"),
        (".txt", "a socket"),
    }


def test_a_linked_file_is_read(folder: Path) -> None:
    (folder / "c.txt").symlink_to(folder / "b.txt")
    assert read(folder)[0] == [*DOCUMENTS, "c.txt"]


@pytest.mark.parametrize("pattern", ["a b/**", "a b/**/*", "a b/*"])
def test_a_pattern_without_an_ending_reads_what_a_folder_would(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    inside = folder / "a b"
    inside.mkdir()
    for name in ("a.jsonl", "b.txt"):
        shutil.move(folder / name, inside / name)
    for name in (".hidden.txt", "README.md", "c.csv"):
        (inside / name).write_text("x")
    monkeypatch.chdir(folder)
    names, log = read(pattern)
    assert names == DOCUMENTS
    assert set(left_out(log)) == {".txt", ".md", ".csv"}


def test_what_is_named_is_read_whatever_its_name_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("README.md", ".hidden.txt", "c.csv"):
        (folder / name).write_text(f"about {name}")
    monkeypatch.chdir(folder)
    assert read("README.md", ".hidden.txt", "*.jsonl")[0] == ["README.md", ".hidden.txt", *DOCUMENTS[:2]]
    assert read("READ*.md")[0] == ["README.md"]
    assert read(".hid*")[0] == [".hidden.txt"]
    with pytest.raises(DataError, match=r"c\.csv: got a file of unknown format"):
        read("*.csv")


def test_a_folder_whose_name_looks_like_a_pattern_is_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "books [1]").mkdir()
    (folder / "books [1]" / "x.txt").write_text("text")
    monkeypatch.chdir(folder)
    assert read("books [1]")[0] == read("books [1]/*.txt")[0] == ["x.txt"]


def test_records_without_text_are_left_out_and_counted(folder: Path) -> None:
    (folder / "n.jsonl").write_text('{"text": "good"}\n{"text": null}\n{"id": 3}\n{"text": null}\n')
    pq.write_table(pa.Table.from_pylist([{"text": "good"}, {"text": None}]), folder / "n.parquet")
    names, log = read(folder)
    assert names == [*DOCUMENTS, "n.jsonl:1", "n.parquet:0"]
    nulls, lacking = log.left_out.values()
    assert (nulls.count, nulls.reason, nulls.first) == (3, "no text (null)", f"{folder / 'n.jsonl'}:2")
    assert (lacking.count, lacking.reason) == (1, "no key 'text'")


@pytest.mark.parametrize("count", [1, 3000])
def test_a_file_that_has_no_text_under_the_key_is_refused(tmp_path: Path, count: int) -> None:
    (tmp_path / "x.jsonl").write_text('{"body": "a"}\n' * count)
    with pytest.raises(DataError, match=r"x\.jsonl:1: expected text under 'text', got only 'body'; set data\.dataset"):
        read(tmp_path)


def test_a_folder_without_texts_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(DataError, match=r"file; left out: 1 \.csv \(no format that text_files reads\); data\.dataset"):
        read(tmp_path)


def broken_gzip() -> bytes:
    """Whole to its end, with a block in it that cannot be inflated."""
    content = bytearray(gzip.compress(bytes(range(256)) * 40, mtime=0))
    content[12:40] = b"\xff" * 28
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl.gz", b"", "x.jsonl.gz: is empty, 0 bytes, which is no .gz file"),
        ("x.txt.zst", b"", "x.txt.zst: is empty"),
        ("x.txt.gz", broken_gzip(), "x.txt.gz: cannot be read after line 0: "),
        ("x.txt", "plain words ".encode("utf-16-le"), "x.txt:1: holds NUL bytes as UTF-16LE without"),
        ("x.txt", "plain words ".encode("utf-16-be"), "x.txt:1: holds NUL bytes as UTF-16BE without"),
        ("x.txt", "words".encode("utf-16"), "x.txt:1: is UTF-16, not UTF-8; convert it: iconv -f UTF-16"),
        ("x.txt", b"ab\0cd words", "x.txt:1: holds NUL bytes, which no text has"),
        ("x.txt", "größer".encode("latin-1"), "x.txt:1: is not UTF-8 (invalid start byte); convert the file, for"),
        ("x.txt", gzip.compress(b"text" * 9, mtime=0), "x.txt:1: holds gzip data, not text"),
        (
            "x.txt.gz",
            gzip.compress(gzip.compress(b"text" * 9, mtime=0), mtime=0),
            "x.txt.gz:1: holds gzip data, not text",
        ),
        ("x.txt", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "x.txt:2: holds a PDF, not text; leave it out"),
        ("x.md", b"\x89PNG\r\n\x1a\n", "x.md:1: holds an image, not text; leave it out"),
        ("x.parquet", b"", "x.parquet: cannot be read as Parquet: "),
        ("x.jsonl", b'[\n{"text": "a"}\n]', "x.jsonl:1: is not JSON"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    folder: Path, name: str, content: bytes, message: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        read(folder)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_line_ends_byte_order_marks_and_empty_files_are_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    (tmp_path / "b.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "three"}\r\n\r\n{"text": "four"}\r\n')
    (tmp_path / "c.txt").write_bytes(b"")
    documents = TextFilesConfig(paths=(str(tmp_path),)).documents()
    assert [(one.id, one.text) for one in documents] == [
        ("a.txt", "one\r\ntwo\r\n"), ("b.jsonl:1", "three"), ("b.jsonl:3", "four"), ("c.txt", "")
    ]  # fmt: skip


def test_parquet_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    damaged = pa.array([b"\xff\xfe", b"good"], type=pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": damaged}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet: holds text that is not UTF-8, at or after row 0"):
        read(tmp_path)


@pytest.mark.parametrize("path", ["/proc", "/proc/self/status", "/sys/kernel"])
def test_folders_of_the_kernel_are_refused(path: str) -> None:
    with pytest.raises(DataError, match="are made by the kernel"):
        read(path)


@pytest.mark.parametrize(
    ("path", "words"), [("/dev/null", "is a device, not a file"), ("x" * 300, "cannot be looked at")]
)
def test_a_path_that_is_no_file_is_refused(path: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable to the administrator")
def test_a_folder_or_file_that_may_not_be_read_is_named(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(DataError, match="closed: cannot be searched"):
        read(folder)
    closed.rmdir()
    (folder / "b.txt").chmod(0)
    with pytest.raises(DataError, match=r"b\.txt: cannot be read after line 0"):
        read(folder)


def test_a_name_that_is_no_text_can_be_printed(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.csv")).write_text("x")
    _, log = read(folder)
    json.dumps([one.first for one in log.left_out.values()]).encode()
    assert [one.first.encode() for one in log.left_out.values()] == [f"{folder}/\\udcff.csv".encode()]
