"""The tokenizer of a corpus as transformers reads it, ids and all, wherever it can be written so."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer as Inner
from tokenizers import decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from archbench.data.corpus import Corpus

END_OF_TEXT = "<|endoftext|>"

_NAMES = {"[MASK]": "mask_token", "[CLS]": "cls_token", "[SEP]": "sep_token"}
"""What transformers calls the special tokens of objectives."""


def export_tokenizer(corpus: Corpus, special_tokens: Sequence[str], seq_len: int, folder: Path) -> bool:
    """Writes the tokenizer of `corpus` into `folder`, with the objective's special tokens; whether it could be.

    It cannot where transformers would give other ids than the model was trained with.
    """
    inner = _bytes() if corpus.tokenizer["kind"] == "bytes" else _from_file(corpus)
    if inner is None:
        return False
    expected = {name: corpus.text_vocab_size + index for index, name in enumerate(special_tokens)}
    end = next((token for token, id_ in inner.get_vocab().items() if id_ == corpus.end_of_text), END_OF_TEXT)
    inner.add_special_tokens([end])
    inner.add_special_tokens(list(special_tokens))
    if inner.token_to_id(end) != corpus.end_of_text or not _has(inner, expected):
        return False
    named = {_NAMES[name]: name for name in special_tokens if name in _NAMES}
    PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token=end, bos_token=end, model_max_length=seq_len, **named
    ).save_pretrained(folder)
    return True


def _has(inner: Inner, expected: Mapping[str, int]) -> bool:
    return all(inner.token_to_id(name) == id_ for name, id_ in expected.items())


def _from_file(corpus: Corpus) -> Inner | None:
    return Inner.from_file(str(corpus.tokenizer_file)) if corpus.tokenizer_file else None


def _bytes() -> Inner:
    """Bytes as a byte-level BPE without merges, whose id of a byte is the byte."""
    inner = Inner(models.BPE(vocab={character: byte for byte, character in enumerate(byte_characters())}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    return inner


def byte_characters() -> list[str]:
    """The character that byte-level tokenizers write for each byte (Radford et al. 2019).

    Visible ones of Latin-1 stand for themselves, the others for those from U+0100 on, in order.
    """
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in visible]
    return [chr(byte if byte in visible else 256 + others.index(byte)) for byte in range(256)]
