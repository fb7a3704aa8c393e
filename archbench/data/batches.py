"""Batches as pure functions of (seed, step, row): any step in O(1), any rank's rows alone, equal on every machine."""

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.objective import (
    IGNORE_TARGET,
    ExampleContext,
    ObjectiveConfig,
    TokenSource,
    Windows,
    model_vocab_size,
    special_token_ids,
)
from archbench.data.corpus import Corpus, MappedTokens
from archbench.data.hashing import below, hash_words, permuted
from archbench.errors import DataError
from archbench.spec.identity import TokenOrder

Batch = dict[str, NDArray[np.int64]]

PASSAGE_SEGMENTS = 4
"""Segments of a passage: that a memory of one segment is of the same text in three of four, and that the rows of a step
are not of the same documents as those of many steps before and after it."""

_ROTATION_STREAM, _SHUFFLE_STREAM, _PASSAGE_STREAM = 1, 2, 3
"""Keep the draws of different purposes apart."""


class TrainingBatches:
    """The training batches of one run, by optimiser step.

    `stream`: in each epoch the stream, rotated by a random amount, is cut into `rows` contiguous lanes of equal length;
    step s of the epoch is segment s of every lane. `passages`: the rotated stream is cut into passages of
    `PASSAGE_SEGMENTS` segments, fewer where the text is too short for one a row, which come in random order; each row
    reads passage after passage, from its first segment to its last. `shuffled`: in each epoch the rotated stream is
    cut into windows, which come in random order. A rest too short for one more step (`stream`), passage of every row
    (`passages`) or window (`shuffled`) is left out of that epoch.
    """

    def __init__(
        self,
        corpus: Corpus,
        objective: ObjectiveConfig,
        *,
        seq_len: int,
        rows: int,
        order: TokenOrder,
        seed: int,
        subset_tokens: int | None = None,
    ) -> None:
        """`rows` are those of the whole batch, over all ranks and micro-batches.

        subset_tokens: only the first tokens of the training text are used, as if there were no others: a smaller
        subset lies inside every larger one. Raises DataError if the text is shorter than the subset or one batch.
        """
        self.corpus = corpus
        self.train = corpus.train if subset_tokens is None else _first_tokens(corpus, subset_tokens)
        self.unique_tokens = self.train.num_tokens
        self.objective = objective
        self.seq_len = seq_len
        self.rows = rows
        self.order = order
        self.seed = seed
        needed = rows * objective.stride(seq_len) + objective.lookahead
        if self.unique_tokens < needed:
            what = "training split" if subset_tokens is None else "subset of the training text"
            raise DataError(
                f"the {what} has {self.unique_tokens} tokens, one batch of {rows} rows needs {needed}; "
                f"give more {'text' if subset_tokens is None else 'of it'}, or lower training.batch_tokens"
            )

    @cached_property
    def steps_per_epoch(self) -> int:
        """Steps of one epoch; in `shuffled` order, which has as many as `stream`, an epoch may end inside a step."""
        in_lanes = self.unique_tokens // (self.rows * self._stride)
        if self.order != "passages":
            return in_lanes
        segments = self._passage_segments
        return self.unique_tokens // (segments * self._stride) // self.rows * segments

    @property
    def tokens_per_step(self) -> int:
        """Tokens of the text that one step consumes."""
        return self.rows * self._stride

    def epochs(self, steps: int) -> float:
        """How many times `steps` steps go through the training text."""
        return steps * self.tokens_per_step / self.unique_tokens

    def batch(self, step: int, rows: slice = slice(None)) -> Batch:
        """Arrays of optimiser step `step` (from 0), each with the rows `rows` of the whole batch as first axis."""
        row_numbers = np.arange(self.rows)[rows]
        match self.order:
            case "stream":
                starts = self._stream_starts(step, row_numbers)
            case "passages":
                starts = self._passage_starts(step, row_numbers)
            case "shuffled":
                starts = self._shuffled_starts(step, row_numbers)
        starts %= self.unique_tokens
        tokens = self.train.windows(starts, self._stride + self.objective.lookahead)
        return self.objective.training_examples(Windows(tokens, starts, row_numbers, step, self.seed), self._context)

    @cached_property
    def _stride(self) -> int:
        return self.objective.stride(self.seq_len)

    @cached_property
    def _context(self) -> ExampleContext:
        return example_context(self.corpus, self.train, self.objective, self.seq_len)

    def _rotation(self, epoch: NDArray[np.int64] | int) -> NDArray[np.int64]:
        return below(hash_words(self.seed, _ROTATION_STREAM, epoch), self.unique_tokens)

    def _stream_starts(self, step: int, row_numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        epoch, segment = divmod(step, self.steps_per_epoch)
        lane_tokens = self.steps_per_epoch * self._stride
        starts: NDArray[np.int64] = self._rotation(epoch) + row_numbers * lane_tokens + segment * self._stride
        return starts

    @cached_property
    def _passage_segments(self) -> int:
        return min(PASSAGE_SEGMENTS, self.unique_tokens // (self.rows * self._stride))

    def _passage_starts(self, step: int, row_numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        epoch, in_epoch = divmod(step, self.steps_per_epoch)
        round_, segment = divmod(in_epoch, self._passage_segments)
        passage_tokens = self._passage_segments * self._stride
        key = int(hash_words(self.seed, _PASSAGE_STREAM, epoch)[0])
        passages = permuted(round_ * self.rows + row_numbers, self.unique_tokens // passage_tokens, key)
        starts: NDArray[np.int64] = self._rotation(epoch) + passages * passage_tokens + segment * self._stride
        return starts

    def _shuffled_starts(self, step: int, row_numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        num_windows = self.unique_tokens // self._stride
        epochs, indices = np.divmod(step * self.rows + row_numbers, num_windows)
        windows = np.empty_like(indices)
        for epoch in np.unique(epochs):
            chosen = epochs == epoch
            key = int(hash_words(self.seed, _SHUFFLE_STREAM, int(epoch))[0])
            windows[chosen] = permuted(indices[chosen], num_windows, key)
        starts: NDArray[np.int64] = self._rotation(epochs) + windows * self._stride
        return starts


class EvaluationBatches:
    """A fixed part of the validation text as batches: whole documents, up to about `tokens` tokens.

    What learning curves are measured on; `archbench.data.document_batches` has the evaluation at a run's end.

    An objective that predicts every token gets a stream of end-of-text and the documents, cut into contiguous lanes,
    of which every token but the first is predicted exactly once; row r of batch i + 1 continues row r of batch i.
    Any other objective gets full windows only, and leaves out a rest too short for one.
    """

    def __init__(
        self, corpus: Corpus, objective: ObjectiveConfig, *, seq_len: int, rows: int, tokens: int, seed: int
    ) -> None:
        """`rows` is the most that a batch has. Raises DataError if the text is shorter than one window."""
        self.documents = fitting_documents(corpus, tokens)
        """Numbers of the validation documents covered, in the order of the stream."""
        self.seed = seed
        self._objective = objective
        self._stride = objective.stride(seq_len)
        self._stream = _evaluation_stream(corpus, self.documents)
        self.total_bytes = int(corpus.validation_utf8_bytes[self.documents].sum())
        """UTF-8 bytes of the documents covered."""
        text_tokens = len(self._stream) - 1
        if objective.predicts_every_token:
            if self._stride != seq_len or objective.lookahead != 1:
                raise DataError(
                    f"objective {objective.kind!r} says that it predicts every token, with stride {self._stride} and "
                    f"lookahead {objective.lookahead}; expected {seq_len} and 1"
                )
            self._rows = min(rows, text_tokens)
            self._num_batches = -(-text_tokens // (self._rows * self._stride))
        else:
            self._rows = min(rows, text_tokens // self._stride)
            if self._rows == 0:
                raise DataError(
                    f"the validation text has {text_tokens} tokens, one window needs {self._stride}; give more text, "
                    "raise data.validation_fraction or evaluation.tokens, or lower training.seq_len"
                )
            self._num_batches = text_tokens // (self._rows * self._stride)
        self._lane_tokens = self._num_batches * self._stride
        padded = np.full(self._rows * self._lane_tokens + objective.lookahead + 1, corpus.end_of_text, dtype=np.int64)
        kept = min(len(padded), len(self._stream))
        padded[:kept] = self._stream[:kept]
        self._text_tokens = text_tokens
        self._source = MappedTokens(padded.astype(np.uint32))
        self._context = example_context(corpus, self._source, objective, seq_len)

    def __len__(self) -> int:
        return self._num_batches

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < self._num_batches:
            raise IndexError(f"batch {index} of {self._num_batches}")
        row_numbers = np.arange(self._rows)
        starts = row_numbers * self._lane_tokens + index * self._stride
        tokens = self._source.windows(starts, self._stride + self._objective.lookahead)
        batch = self._objective.examples(Windows(tokens, starts, row_numbers, index, self.seed), self._context)
        if self._objective.predicts_every_token:
            beyond = starts[:, None] + np.arange(self._stride) >= self._text_tokens
            batch["targets"] = np.where(beyond, IGNORE_TARGET, batch["targets"])
        return batch

    @cached_property
    def num_predictions(self) -> int:
        """Predicted tokens over all batches."""
        if self._objective.predicts_every_token:
            return self._text_tokens
        return sum(int((self[index]["targets"] != IGNORE_TARGET).sum()) for index in range(len(self)))


def example_context(corpus: Corpus, source: TokenSource, objective: ObjectiveConfig, seq_len: int) -> ExampleContext:
    """What `objective` may use to make examples of `source`."""
    special_ids: Mapping[str, int] = special_token_ids(corpus.text_vocab_size, objective)
    return ExampleContext(
        source=source,
        seq_len=seq_len,
        vocab_size=model_vocab_size(corpus.text_vocab_size, objective),
        text_vocab_size=corpus.text_vocab_size,
        special_ids=special_ids,
    )


def _first_tokens(corpus: Corpus, count: int) -> MappedTokens:
    if count > corpus.unique_tokens:
        raise DataError(
            f"a subset of {count} tokens was asked for, the training text has {corpus.unique_tokens}; give more text, "
            "or ask for a smaller subset"
        )
    return MappedTokens(corpus.train.ids[:count])


def fitting_documents(corpus: Corpus, tokens: int) -> NDArray[np.int64]:
    """Documents in stored (random) order as long as each still fits into `tokens`; the shortest one if none does."""
    lengths = np.diff(corpus.validation_ends, prepend=0)
    chosen: list[int] = []
    left = tokens
    shortest = int(lengths.min())
    for number, length in enumerate(lengths.tolist()):
        if length <= left:
            chosen.append(number)
            left -= length
            if left < shortest:
                break
    return np.array(chosen or [int(lengths.argmin())], dtype=np.int64)


def _evaluation_stream(corpus: Corpus, documents: NDArray[np.int64]) -> NDArray[np.int64]:
    ends = corpus.validation_ends
    pieces = [np.array([corpus.end_of_text], dtype=np.int64)]
    for number in documents:
        start = int(ends[number - 1]) if number else 0
        pieces.append(corpus.validation.ids[start : int(ends[number])].astype(np.int64))
    return np.concatenate(pieces)
