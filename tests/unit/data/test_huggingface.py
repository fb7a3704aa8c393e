"""Dataset `huggingface`, on local data made here, and without a hub."""

import json
from pathlib import Path
from typing import Any

import pytest

from archbench.builtins.text.huggingface import HuggingFaceConfig
from archbench.errors import DataError

ROWS = [{"text": f"text {number}", "key": f"k{number}", "size": number} for number in range(7)]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "library-cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "made"
    path.mkdir()
    (path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (path / "test.jsonl").write_text(json.dumps({"text": "held out", "key": "h", "size": 0}) + "\n")
    return path


def read(path: Path | str, **options: Any) -> list[tuple[str, str]]:
    config = HuggingFaceConfig(path=str(path), **options)
    return [(document.id, document.text) for document in config.documents()]


@pytest.mark.parametrize("streaming", [True, False])
def test_a_folder_gives_its_splits(folder: Path, streaming: bool) -> None:
    assert read(folder, streaming=streaming) == [(f"train:{number}", f"text {number}") for number in range(7)]
    assert read(folder, streaming=streaming, split="test") == [("test:0", "held out")]


def test_a_file_is_one_split_and_ids_can_be_named(folder: Path) -> None:
    expected = [(f"k{number}", f"text {number}") for number in range(3)]
    assert read(folder / "train.jsonl", id_field="key", max_documents=3) == expected


def test_a_saved_dataset_is_read(tmp_path: Path) -> None:
    import datasets

    one = datasets.Dataset.from_list(ROWS)
    one.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"validation": one}).save_to_disk(str(tmp_path / "several"))
    expected = [f"text {number}" for number in range(7)]
    assert [text for _, text in read(tmp_path / "one")] == expected
    assert [text for _, text in read(tmp_path / "several", split="validation")] == expected
    with pytest.raises(DataError, match=r"no split 'train'; known: validation"):
        read(tmp_path / "several")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_field": "txt"}, r"row 0 has no column 'txt'; did you mean 'text'\?"),
        ({"id_field": "ky"}, r"row 0 has no column 'ky'; did you mean 'key'\?"),
        ({"text_field": "size"}, r"row 0: column 'size' holds a int, expected text; set data\.dataset\.text_field"),
        ({"split": "dev"}, r"cannot be loaded: .*dev.*; check data\.dataset\.path, name, split and revision"),
    ],
)
def test_what_a_data_set_lacks_is_named(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as raised:
        read(folder, **options)
    assert "\n" not in str(raised.value)


def test_a_file_of_unknown_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.xls").write_bytes(b"")
    with pytest.raises(DataError, match=r"unknown file format '\.xls'; known: \.jsonl, "):
        read(tmp_path / "table.xls")


def test_a_malformed_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text": \n')
    with pytest.raises(DataError, match=r"bad\.jsonl': cannot be loaded: ") as raised:
        read(tmp_path / "bad.jsonl")
    assert "\n" not in str(raised.value)


def test_a_hub_out_of_reach_is_one_clear_line() -> None:
    with pytest.raises(DataError, match=r"'somebody/something': cannot be loaded: .*give the folder as") as raised:
        read("somebody/something")
    assert "\n" not in str(raised.value)


def test_local_files_are_read_again_when_they_change(folder: Path) -> None:
    config = HuggingFaceConfig(path=str(folder))
    before = config.cache_key()
    assert before == config.cache_key()
    (folder / "train.jsonl").write_text('{"text": "other"}\n')
    assert config.cache_key() != before
    assert HuggingFaceConfig(path="somebody/something").cache_key() == "hub"
