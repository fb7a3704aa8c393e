"""The reference lines of a run, by as much text as it saw and the held-out text that it was measured on."""

import logging
import time
from collections.abc import Iterable

import numpy as np

from archbench.data.batches import Batch
from archbench.data.ngrams import MAX_TOKENS, predicted_tokens, reference_lines
from archbench.training.assembly import Assembly
from archbench.training.progress import Progress

log = logging.getLogger(__name__)

_NAMES = ("tokens", "targets")

_SLOWEST_TOKENS_PER_S = 2e5
"""Counted on a busy machine."""


def lines_of(assembly: Assembly, progress: Progress) -> tuple[dict[str, float], float]:
    """Name of each line -> nats per predicted token, and the seconds that it took.

    Empty where the objective predicts no hidden tokens of the text, and where something went wrong, which is logged: a
    line is nothing that a run may fail of.
    """
    began = time.perf_counter()
    try:
        lines = _lines_of(assembly, progress)
    except Exception as error:  # whatever it is: the run itself is done
        log.warning("no reference lines: %s: %s", type(error).__name__, error)
        lines = {}
    return lines, time.perf_counter() - began


def longest_seconds(assembly: Assembly, progress: Progress) -> float:
    """How long `lines_of` may take."""
    return min(_tokens_seen(assembly, progress), MAX_TOKENS) / _SLOWEST_TOKENS_PER_S


def _lines_of(assembly: Assembly, progress: Progress) -> dict[str, float]:
    corpus = assembly.batches.corpus
    predicted = predicted_tokens(_evaluated(assembly), assembly.objective, corpus.text_vocab_size)
    if predicted is None:
        return {}
    return reference_lines(corpus, assembly.batches.train, predicted, _tokens_seen(assembly, progress))


def _evaluated(assembly: Assembly) -> list[Batch]:
    """What the run's loss is of: all held-out text that it was evaluated on at its end, else the evaluation set."""
    documents = assembly.document_sets.get(assembly.batches.corpus.corpus_hash)
    if documents is None:
        batches: Iterable[Batch] = (
            {name: tensor.cpu().numpy() for name, tensor in batch.items()} for batch in assembly.evaluation_set.batches
        )
        return [{name: batch[name] for name in _NAMES} for batch in batches]
    source = documents.source
    found: list[Batch] = []
    for group in source.groups:
        batches = list(source.batches(group))
        if not documents.predicts_every_token:
            found += [{name: batch[name] for name in _NAMES} for batch in batches]
            continue
        # One row holds the text of a group: lanes of a model with memory go on from batch to batch, else rows do.
        axis = 1 if documents.carries_state else 0
        joined = {name: np.concatenate([batch[name] for batch in batches], axis=axis) for name in _NAMES}
        found.append({name: array.reshape(1, -1) for name, array in joined.items()})
    return found


def _tokens_seen(assembly: Assembly, progress: Progress) -> int:
    """How many tokens of the training text the run saw, each counted once; as many from its start make the lines."""
    return min(progress.step * assembly.batches.tokens_per_step, assembly.batches.unique_tokens)
