"""Tokenizers: lossless, deterministic, and clear about what cannot be had."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archbench.builtins.text.bytes_tokenizer import BytesTokenizerConfig
from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig, LibraryTokenizer, PretrainedTokenizerConfig
from archbench.contracts.data import Tokenizer
from archbench.errors import DataError

TRAINING = [f"The quick brown fox number {number} jumps over the lazy dog.\n" for number in range(200)]
HARD = ["", " ", "\n\n\t x  y ", "Größe 中文 🙂\u2028", "<|endoftext|> [SEP] </s>", "\x00\x01\x7f", "a" * 5000]


def trained(vocab_size: int = 400) -> Tokenizer:
    return BpeTokenizerConfig(vocab_size=vocab_size).prepare(TRAINING)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tokenizer = trained()
    assert isinstance(tokenizer, LibraryTokenizer)
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_json())
    return path


def all_kinds(saved: Path) -> list[Tokenizer]:
    return [
        BytesTokenizerConfig().prepare([]),
        trained(),
        PretrainedTokenizerConfig(path=str(saved)).prepare(TRAINING),
    ]


def test_every_text_comes_back_and_no_id_is_outside_the_vocabulary(saved: Path) -> None:
    for tokenizer in all_kinds(saved):
        for text, ids in zip(HARD, tokenizer.encode_batch(HARD), strict=True):
            assert ids.dtype == np.int64
            assert tokenizer.decode(ids.tolist()) == text
            assert all(0 <= id_ < tokenizer.vocab_size for id_ in ids.tolist())
            assert tokenizer.end_of_text not in ids.tolist()


def test_end_of_text_is_an_id_of_its_own_and_has_no_text(saved: Path) -> None:
    for tokenizer in all_kinds(saved):
        ids = tokenizer.encode_batch(["one"])[0].tolist()
        assert tokenizer.end_of_text == tokenizer.vocab_size - 1
        assert tokenizer.decode([*ids, tokenizer.end_of_text]) == "one"


def test_bytes_are_the_utf8_bytes() -> None:
    assert BytesTokenizerConfig().prepare([]).encode_batch(["aß"])[0].tolist() == [0x61, 0xC3, 0x9F]


def test_bpe_is_the_same_each_time_and_in_any_order_of_texts() -> None:
    again = BpeTokenizerConfig(vocab_size=400).prepare(reversed(TRAINING))
    assert trained().fingerprint == trained().fingerprint == again.fingerprint
    assert trained(350).fingerprint != trained().fingerprint


def test_bpe_merges_what_is_frequent_and_stays_below_its_size() -> None:
    tokenizer = trained(300)
    assert tokenizer.vocab_size == 300
    assert len(tokenizer.encode_batch([TRAINING[0]])[0]) < len(TRAINING[0]) / 2
    assert trained(50_000).vocab_size < 1000  # this little text has no more to merge


def test_a_pretrained_tokenizer_gives_the_ids_of_the_one_that_was_saved(saved: Path) -> None:
    for path in (saved, saved.parent):
        loaded = PretrainedTokenizerConfig(path=str(path)).prepare(TRAINING)
        assert loaded.encode_batch(HARD)[3].tolist() == trained().encode_batch(HARD)[3].tolist()
        assert loaded.end_of_text == trained().end_of_text


def test_the_usual_end_of_text_token_of_a_tokenizer_is_used(saved: Path) -> None:
    from tokenizers import Tokenizer as Inner

    inner = Inner.from_file(str(saved))
    inner.add_special_tokens(["<|endoftext|>", "<other>"])
    inner.enable_truncation(3)
    inner.save(str(saved))
    usual = PretrainedTokenizerConfig(path=str(saved)).prepare(TRAINING)
    other = PretrainedTokenizerConfig(path=str(saved), end_of_text="<other>").prepare(TRAINING)
    assert usual.end_of_text == inner.token_to_id("<|endoftext|>")
    assert other.end_of_text == inner.token_to_id("<other>")
    assert usual.fingerprint != other.fingerprint
    for tokenizer in (usual, other):
        assert tokenizer.vocab_size == inner.get_vocab_size()
        for text, ids in zip(HARD, tokenizer.encode_batch(HARD), strict=True):
            assert tokenizer.decode(ids.tolist()) == text
            assert tokenizer.end_of_text not in ids.tolist()
    with pytest.raises(DataError, match=r"data\.tokenizer\.end_of_text: .* has no token '<eot>'"):
        PretrainedTokenizerConfig(path=str(saved), end_of_text="<eot>").prepare(TRAINING)


def test_a_tokenizer_that_loses_text_is_refused(saved: Path) -> None:
    from tokenizers import Tokenizer as Inner
    from tokenizers.normalizers import Lowercase

    inner = Inner.from_file(str(saved))
    inner.normalizer = Lowercase()
    inner.save(str(saved))
    with pytest.raises(DataError, match=r"loses text: 'The quick brown fox ' comes back as 'the quick"):
        PretrainedTokenizerConfig(path=str(saved)).prepare(TRAINING)


@pytest.mark.parametrize("path", ["missing.json", "./missing", "a/b/c"])
def test_a_missing_tokenizer_file_is_named(path: str) -> None:
    with pytest.raises(DataError, match=r"no such tokenizer file; data\.tokenizer\.path is relative to"):
        PretrainedTokenizerConfig(path=path).prepare([])


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(DataError, match=r"tokenizer\.json: is not a tokenizer of the tokenizers library: "):
        PretrainedTokenizerConfig(path=str(tmp_path)).prepare([])


def test_a_hub_out_of_reach_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    config = PretrainedTokenizerConfig(path="somebody/something")
    with pytest.raises(
        DataError, match=r"'somebody/something' cannot be fetched from the hub: .* local tokenizer\.json"
    ):
        config.prepare([])


def test_the_cache_key_follows_a_local_file(saved: Path) -> None:
    config = PretrainedTokenizerConfig(path=str(saved))
    before: Any = config.cache_key()
    saved.write_text(saved.read_text() + " ")
    assert config.cache_key() != before
    assert PretrainedTokenizerConfig(path="somebody/something").cache_key() == "hub"
