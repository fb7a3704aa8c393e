"""Texts that are not at hand, as the spec states them: enough to plan by, never to train on."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archbench.data.cache import Report
from archbench.data.corpus import Corpus, CorpusStatistics, MappedTokens, canonical_sha256
from archbench.errors import DataError
from archbench.extras import MissingLibraryError
from archbench.scans.texts import prepared_texts
from archbench.spec.models import Spec, dump
from archbench.spec.settings import StatedSection

STATED = "stated-"
"""Begins the hash of a text of which only counts are known: no run that was trained has such a one."""
_DOCUMENT_TOKENS = 1000
"""Length that a document is taken to have; runs are planned by tokens."""


def stated_texts(spec: Spec, cache_dir: Path, report: Report) -> dict[str, Corpus]:
    """Name -> a stand-in with the counts of `data.stated`, that of `data.dataset` first; nothing is read.

    Raises DataError where the spec states none.
    """
    stated = spec.data.stated
    if stated is None:
        raise DataError(
            f"{spec.file.where(('data',))}: data.stated: is not there; to plan without the text, state its counts, for "
            f"example stated: {{vocab_size: 32000, tokens: {{{spec.data.name}: 2e9}}}}"
        )
    return {name: _stand_in(spec, name, stated) for name in spec.data.all_texts}


def texts_to_plan_by(spec: Spec, cache_dir: Path, report: Report) -> Mapping[str, Corpus]:
    """The prepared texts; where they cannot be had and the spec states their counts, stand-ins, which is reported."""
    try:
        return prepared_texts(spec, cache_dir, report)
    except (DataError, MissingLibraryError) as error:
        if spec.data.stated is None:
            raise type(error)(f"{error}; to plan without the text, state its counts in data.stated") from error
        report(f"{error}")
        report("planned by the counts that data.stated gives")
        return stated_texts(spec, cache_dir, report)


def is_stated(corpus_hash: str) -> bool:
    """Whether `corpus_hash` is that of a stand-in."""
    return corpus_hash.startswith(STATED)


def _stand_in(spec: Spec, name: str, stated: StatedSection) -> Corpus:
    dataset, fraction = spec.data.all_texts[name], spec.data.validation_fraction
    total = int(stated.tokens[name])
    held_out = max(_DOCUMENT_TOKENS, round(total * fraction))
    facts = [dump(dataset), dump(spec.data.tokenizer), fraction, stated.vocab_size, total]
    ends = np.arange(_DOCUMENT_TOKENS, held_out + 1, _DOCUMENT_TOKENS, dtype=np.int64)
    train_tokens, validation_tokens = total - held_out, int(ends[-1])
    return Corpus(
        directory=Path(STATED + name),
        corpus_hash=STATED + canonical_sha256(facts)[: 64 - len(STATED)],
        text_vocab_size=stated.vocab_size,
        end_of_text=stated.vocab_size - 1,
        tokenizer_fingerprint="stated",
        train=MappedTokens(_zeros(train_tokens)),
        validation=MappedTokens(_zeros(validation_tokens)),
        validation_ends=ends,
        validation_utf8_bytes=np.zeros(len(ends), dtype=np.int64),
        statistics=CorpusStatistics(
            train_documents=max(1, train_tokens // _DOCUMENT_TOKENS),
            train_bytes=0,
            train_tokens=train_tokens,
            validation_documents=len(ends),
            validation_bytes=0,
            validation_tokens=validation_tokens,
            duplicates_removed=0,
            empty_removed=0,
        ),
        dataset=dump(dataset),
        tokenizer=dump(spec.data.tokenizer),
    )


def _zeros(count: int) -> NDArray[np.uint16]:
    """`count` zeros in the memory of one."""
    return np.broadcast_to(np.uint16(0), (count,))
