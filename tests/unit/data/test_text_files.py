"""Dataset `text_files`: formats, compressions, names, and what is refused."""

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pydantic import ValidationError

from archbench.builtins.text.text_files import TextFilesConfig
from archbench.errors import DataError

RECORDS = [{"text": "first\u2028line", "id": "x1"}, {"text": "zweiter Text, größer", "id": "x2"}]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS).encode()


def read(*paths: Path | str, **options: Any) -> list[tuple[str, str]]:
    config = TextFilesConfig(paths=tuple(map(str, paths)), **options)
    return [(document.id, document.text) for document in config.documents()]


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz", ".bz2", ".zst"])
def test_json_lines_are_read_from_every_compression(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"corpus.jsonl{suffix}"
    compress = {
        "": bytes,
        ".xz": lzma.compress,
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".zst": zstandard.ZstdCompressor().compress,
    }
    path.write_bytes(compress[suffix](LINES))
    assert read(path) == [
        (f"corpus.jsonl{suffix}:1", RECORDS[0]["text"]),
        (f"corpus.jsonl{suffix}:2", RECORDS[1]["text"]),
    ]
    assert [name for name, _ in read(path, id_field="id")] == ["x1", "x2"]


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2", ".zst"])
def test_a_cut_off_compressed_file_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"corpus.txt{suffix}"
    compress = {
        ".xz": lzma.compress,
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".zst": zstandard.ZstdCompressor().compress,
    }
    path.write_bytes(compress[suffix](bytes(range(32, 127)) * 50)[:-5])
    with pytest.raises(DataError, match=rf"corpus\.txt\{suffix}: cannot be read after line \d+: "):
        read(path)


def test_parquet_rows_are_documents(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "corpus.parquet")
    assert read(tmp_path / "corpus.parquet") == [
        ("corpus.parquet:0", RECORDS[0]["text"]),
        ("corpus.parquet:1", RECORDS[1]["text"]),
    ]
    with pytest.raises(DataError, match=r"corpus\.parquet: has no column 'content'; its columns: text, id"):
        read(tmp_path / "corpus.parquet", text_field="content")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus.parquet").write_bytes(LINES)
    with pytest.raises(DataError, match=r"corpus\.parquet: cannot be read as Parquet: "):
        read(tmp_path / "corpus.parquet")


def test_a_folder_is_read_in_full_and_ids_do_not_depend_on_where_it_lies(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "text.md").write_text("one")
        (tmp_path / folder / "deep" / "text.md").write_text("two")
        (tmp_path / folder / "picture.png").write_bytes(b"\x89PNG")
    expected = [("deep/text.md", "two"), ("text.md", "one")]
    assert read(tmp_path / "here") == read(tmp_path / "there") == expected


def test_a_pattern_is_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "deep" / "b.txt").write_text("two")
    monkeypatch.chdir(tmp_path)
    assert read("*.txt") == [("a.txt", "one")]
    assert read("**/*.txt") == [("a.txt", "one"), ("deep/b.txt", "two")]
    assert read("a.txt", "*.txt") == [("a.txt", "one")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.txt", r"nowhere\.txt: no such file; data\.dataset\.paths are relative to "),
        ("*.jsonl", r"\*\.jsonl: no file matches this pattern; "),
        ("empty", r"empty: the folder has no \.txt, .* file; "),
        ("picture.png", r"picture\.png: got a file of unknown format, expected \.txt, "),
    ],
)
def test_a_path_that_gives_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        read(name)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"text": "a"', r"bad\.jsonl:2: is not JSON \("),
        (b'["text"]', r"bad\.jsonl:2: got a JSON list, expected an object"),
        (b'{"text": ' + b"[" * 100_000, r"bad\.jsonl:2: is JSON nested too deeply to be read"),
        (
            "{}".encode("utf-16-le"),
            r"bad\.jsonl:2: holds NUL bytes as UTF-16LE without a byte order mark does; convert",
        ),
        (b'{"text": 3}', r"bad\.jsonl:2: expected text under 'text', got a int; "),
        (b'{"text": "\xff"}', r"bad\.jsonl:2: is not UTF-8 \(invalid start byte\); convert the file"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_number(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"text": "fine"}\n' + line + b"\n")
    with pytest.raises(DataError, match=message) as raised:
        read(path)
    assert "\n" not in str(raised.value)


def test_a_record_without_its_id_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "fine", "id": null}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl:1: has no 'id'; set data\.dataset\.id_field"):
        read(tmp_path / "bad.jsonl", id_field="id")


def test_a_long_file_is_cut_at_line_ends_and_loses_nothing(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(100)) + "the end"
    (tmp_path / "long.txt").write_text(text)
    pieces = read(tmp_path / "long.txt", cut_bytes=100)
    assert "".join(piece for _, piece in pieces) == text
    assert [name for name, _ in pieces] == [f"long.txt#{number}" for number in range(len(pieces))]
    assert all(100 <= len(piece) < 110 and piece.endswith("\n") for _, piece in pieces[:-1])


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbftext")
    assert read(tmp_path / "windows.txt") == [("windows.txt", "text")]


def test_the_cache_key_changes_with_the_files(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    config = TextFilesConfig(paths=(str(tmp_path),))
    before = config.cache_key()
    assert config.cache_key() == before
    path.write_text("three")
    grown = config.cache_key()
    (tmp_path / "b.txt").write_text("two")
    assert len({before, grown, config.cache_key()}) == 3


def test_no_paths_at_all_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        TextFilesConfig(paths=())


def test_a_zstd_file_of_several_frames_is_read_to_its_end(tmp_path: Path) -> None:
    lines = [f"line {number} " * 50 + "\n" for number in range(3000)]
    compress = zstandard.ZstdCompressor().compress
    (tmp_path / "frames.txt.zst").write_bytes(
        compress("".join(lines[:9]).encode()) + compress("".join(lines[9:]).encode())
    )
    assert read(tmp_path / "frames.txt.zst") == [("frames.txt.zst", "".join(lines))]


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".zst"])
def test_a_file_that_is_not_compressed_as_its_name_says_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"plain.txt{suffix}").write_text("plain text")
    with pytest.raises(DataError, match=rf"plain\.txt\{suffix}: cannot be read after line 0: "):
        read(tmp_path / f"plain.txt{suffix}")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("~nobody-of-this-name/x.txt", "there is no such user"), ("text/**x/*.txt", "is not a glob pattern")],
)
def test_a_path_that_cannot_be_understood_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(pattern)
