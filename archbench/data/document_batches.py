"""The validation text document by document: batches none of which holds tokens of two groups of documents.

A summed loss of one batch then belongs to one group, whatever the objective, and the groups are what an analysis draws
anew to see how far a loss hangs on the choice of text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.objective import IGNORE_TARGET, ObjectiveConfig, Windows
from archbench.data.batches import Batch, example_context, fitting_documents
from archbench.data.corpus import Corpus, MappedTokens
from archbench.errors import DataError

MAX_GROUPS = 256
"""A standard error from so many groups is itself known to 4 %: 1/sqrt(2·255)."""

_WINDOWS_PER_GROUP = 4
"""Short documents share a group until they fill so many windows, so that little is computed on padding."""

_SEGMENTS_PER_LANE = 16
"""Least windows that a model with memory reads one after another: it begins each lane without any."""


@dataclass(frozen=True, slots=True)
class DocumentGroup:
    """Whole validation documents that are evaluated as one stream: end-of-text, then one behind the other."""

    documents: NDArray[np.int64]
    """Their numbers, rising."""
    tokens: int
    """With one end-of-text for each document, and without the first."""
    utf8_bytes: int
    windows: int
    """Rows of the context that the stream is cut into."""
    first_batch: int
    """Number of its first batch among those of all groups."""


class DocumentBatches:
    """The validation text, or whole documents of it up to about `tokens` tokens, in groups of whole documents.

    A group ends with the document that brings it to four windows, or to 1/256 of the text where that is more; a rest
    below half of that joins the last group. An objective that predicts every token predicts each token of each document
    once; the last window of a group is filled up with ignored targets. Any other objective gets full windows only, and
    leaves out a rest of each group too short for one. Groups depend on the corpus, `tokens`, the objective's stride,
    and whether it predicts every token.
    """

    def __init__(
        self,
        corpus: Corpus,
        objective: ObjectiveConfig,
        *,
        seq_len: int,
        rows: int,
        tokens: int | Literal["all"],
        seed: int,
        carries_state: bool,
    ) -> None:
        """`rows` is the most that a batch has. carries_state: row r of a group's batch i + 1 continues row r of i.

        Raises DataError if the text is shorter than one window.
        """
        self.seed = seed
        self._corpus = corpus
        self._objective = objective
        self._seq_len = seq_len
        self._stride = objective.stride(seq_len)
        self._rows = rows
        self._carries_state = carries_state
        documents = (
            np.arange(corpus.validation_documents, dtype=np.int64)
            if tokens == "all"
            else fitting_documents(corpus, tokens)
        )
        self.groups = self._grouped(documents)
        """In the order of the corpus."""
        self._context = example_context(corpus, corpus.validation, objective, seq_len)

    def batches(self, group: DocumentGroup) -> Iterator[Batch]:
        """The batches of one group, in order; made when they are asked for."""
        stream = self._stream(group)
        for index in range(self._num_batches_of(group.windows)):
            windows = self._windows(group.windows, index)
            starts = windows * self._stride
            tokens = stream.windows(starts, self._stride + self._objective.lookahead)
            # Where the masks of a static objective fall hangs on the place in the text, not on the group's own.
            places = self._starts_of[int(group.documents[0])] + starts
            rows, number = np.arange(len(windows)), group.first_batch + index
            batch = self._objective.examples(Windows(tokens, places, rows, number, self.seed), self._context)
            if self._objective.predicts_every_token:
                beyond = starts[:, None] + np.arange(self._stride) >= group.tokens
                batch["targets"] = np.where(beyond, IGNORE_TARGET, batch["targets"])
            yield batch

    @cached_property
    def _starts_of(self) -> NDArray[np.int64]:
        """[documents]: where each one begins in the validation text."""
        return np.concatenate([np.zeros(1, dtype=np.int64), self._corpus.validation_ends[:-1]])

    def _grouped(self, documents: NDArray[np.int64]) -> tuple[DocumentGroup, ...]:
        lengths = np.diff(self._corpus.validation_ends, prepend=0)[documents].astype(np.int64)
        wanted = max(_WINDOWS_PER_GROUP * self._stride, -(-int(lengths.sum()) // MAX_GROUPS))
        closed = _closed_groups(lengths, wanted)
        groups: list[DocumentGroup] = []
        first_batch = 0
        for start, end in zip((0, *closed[:-1]), closed, strict=True):
            own, tokens = documents[start:end], int(lengths[start:end].sum())
            windows = -(-tokens // self._stride) if self._objective.predicts_every_token else tokens // self._stride
            if windows == 0:
                continue
            groups.append(
                DocumentGroup(own, tokens, int(self._corpus.validation_utf8_bytes[own].sum()), windows, first_batch)
            )
            first_batch += self._num_batches_of(windows)
        if not groups:
            raise DataError(
                f"the validation text has {int(lengths.sum())} tokens, one window needs {self._stride}; give more "
                "text, raise data.validation_fraction or evaluation.final_tokens, or lower training.seq_len"
            )
        return tuple(groups)

    def _num_batches_of(self, windows: int) -> int:
        return -(-windows // self._lanes(windows))

    def _lanes(self, windows: int) -> int:
        """Rows of each batch of a group of so many windows; the last batch may have fewer without memory."""
        if not self._carries_state:
            return min(self._rows, windows)
        if not self._objective.predicts_every_token:
            return 1
        return max(1, min(self._rows, windows // _SEGMENTS_PER_LANE))

    def _windows(self, windows: int, index: int) -> NDArray[np.int64]:
        """The numbers of the windows in batch `index` of a group; those beyond its end are padding alone."""
        lanes = self._lanes(windows)
        if self._carries_state:
            return np.arange(lanes) * self._num_batches_of(windows) + index
        return np.arange(index * lanes, min(windows, (index + 1) * lanes))

    def _stream(self, group: DocumentGroup) -> MappedTokens:
        """End-of-text and the group's documents, with end-of-text as far as its last window reaches."""
        corpus, lanes = self._corpus, self._lanes(group.windows)
        reached = self._num_batches_of(group.windows) * lanes * self._stride + self._objective.lookahead
        stream = np.full(max(reached, group.tokens + 1), corpus.end_of_text, dtype=np.uint32)
        place = 1
        for number in group.documents:
            piece = corpus.validation.ids[self._starts_of[number] : int(corpus.validation_ends[number])]
            stream[place : place + len(piece)] = piece
            place += len(piece)
        return MappedTokens(stream)


def _closed_groups(lengths: NDArray[np.int64], wanted: int) -> list[int]:
    """Where groups end: as soon as one has `wanted` tokens; a rest below half of that joins the group before."""
    ends: list[int] = []
    before = 0
    totals = list(accumulate(lengths.tolist()))
    for place, total in enumerate(totals, 1):
        if total - before >= wanted:
            ends.append(place)
            before = total
    if not ends or ends[-1] < len(lengths):
        rest = totals[-1] - before
        if ends and 2 * rest < wanted:
            ends[-1] = len(lengths)
        else:
            ends.append(len(lengths))
    return ends
