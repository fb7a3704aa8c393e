"""The dataset of the standard text: its sizes, its parts, and corpora of it."""

from pathlib import Path
from typing import get_args

import pytest
from made_archives import first_archive, put, second_archive

from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig
from archbench.builtins.text.standard import config
from archbench.builtins.text.standard.archives import Size, archives_of
from archbench.builtins.text.standard.config import StandardTextConfig
from archbench.builtins.text.standard.store import documents_of, file_name, store_folder
from archbench.data.prepare import prepare_corpus


def test_each_size_holds_the_smaller_ones_and_no_package_is_more_than_a_quarter() -> None:
    small, medium, full = (archives_of(size) for size in get_args(Size))
    assert small == medium[: len(small)]
    assert medium == full[: len(medium)]
    assert len({archive.name for archive in full}) == len(full)
    assert len({archive.text_sha256 for archive in full}) == len(full)
    total = sum(archive.text_bytes for archive in full)
    assert 60 << 20 < total < 120 << 20
    assert max(archive.text_bytes for archive in full) < total / 4
    assert sum(archive.archive_bytes for archive in full) < 150e6
    assert sum(archive.archive_bytes for archive in small) < 25e6


def test_the_parts_share_no_file_and_are_the_whole(
    tmp_path: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = (first_archive(wheelhouse), second_archive(wheelhouse))
    monkeypatch.setattr(config, "archives_of", lambda size: archives)
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path))
    for archive in archives:
        put(archive, wheelhouse, store_folder(tmp_path))
    standard = list(StandardTextConfig().documents())
    search = list(StandardTextConfig(part="search").documents())
    assert search
    assert len(search) < len(standard)
    every = [one.id for archive in archives for one in documents_of(archive, store_folder(tmp_path))]
    assert sorted(one.id for one in (*standard, *search)) == sorted(every)
    part = list(StandardTextConfig(limit_bytes=1000).documents())
    assert part == standard[: len(part)]
    assert 0 < len(part) < len(standard)


def test_a_corpus_is_prepared_below_its_cache_and_needs_the_text_once(
    tmp_path: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = (first_archive(wheelhouse), second_archive(wheelhouse))
    monkeypatch.setattr(config, "archives_of", lambda size: archives)
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "elsewhere"))
    lines: list[str] = []
    tokenizer = BpeTokenizerConfig(vocab_size=300)
    corpora = []
    for _ in range(2):
        corpora.append(
            prepare_corpus(
                StandardTextConfig(), tokenizer, validation_fraction=0.2, cache_dir=tmp_path, report=lines.append
            )
        )
        for archive in archives:
            (store_folder(tmp_path) / file_name(archive)).unlink(missing_ok=True)
            (wheelhouse / f"{archive.name}-1.0.tar.gz").unlink(missing_ok=True)
    assert sum(line.startswith("fetching") for line in lines) == 2
    assert corpora[0].corpus_hash == corpora[1].corpus_hash
    assert not (tmp_path / "elsewhere").exists()


def test_the_text_of_the_published_archives_is_the_pinned_one() -> None:
    """Where somebody has fetched the text already, all of it is as it is pinned."""
    folder = store_folder()
    found = [archive for archive in archives_of("full") if (folder / file_name(archive)).exists()]
    if not found:
        pytest.skip("the standard text has not been fetched here: archbench text fetch")
    for archive in found:
        documents = documents_of(archive, folder)
        assert len(documents) == archive.num_documents
        assert sum(len(document.text.encode()) for document in documents) == archive.text_bytes
