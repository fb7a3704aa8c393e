"""Batches over random sizes: who sees which token, when, and how often."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from archbench.builtins.objectives.bert_pretraining import BertPretrainingConfig
from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.builtins.objectives.masked_lm import MaskedLmConfig
from archbench.contracts.objective import IGNORE_TARGET, ObjectiveConfig
from archbench.data.batches import PASSAGE_SEGMENTS, EvaluationBatches, TrainingBatches
from archbench.data.corpus import Corpus, CorpusStatistics, MappedTokens
from archbench.data.hashing import permuted
from archbench.errors import DataError
from archbench.spec.identity import TokenOrder

_END = 999_999
OBJECTIVES: list[ObjectiveConfig] = [
    CausalLmConfig(),
    MaskedLmConfig(),
    MaskedLmConfig(masking="static"),
    BertPretrainingConfig(),
    BertPretrainingConfig(masking="dynamic"),
]


def corpus_of(train_tokens: int, validation_lengths: list[int]) -> Corpus:
    """Each training token is its own place in the stream, so that tokens show where they come from."""
    ends = np.cumsum(np.array(validation_lengths) + 1)
    validation = np.arange(ends[-1])
    validation[ends - 1] = _END
    return Corpus(
        directory=Path("nowhere"),
        corpus_hash="",
        text_vocab_size=_END + 1,
        end_of_text=_END,
        tokenizer_fingerprint="",
        train=MappedTokens(np.arange(train_tokens, dtype=np.uint32)),
        validation=MappedTokens(validation.astype(np.uint32)),
        validation_ends=ends,
        validation_utf8_bytes=np.array(validation_lengths) * 3,
        statistics=CorpusStatistics(1, 1, train_tokens, len(ends), 1, int(ends[-1]), 0, 0),
        dataset={},
        tokenizer={},
    )


sizes = st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(0, 200))


@given(sizes, st.integers(0, 2**31))
def test_an_epoch_of_passages_shows_every_token_at_most_once_and_rows_go_on_within_a_passage(
    size: tuple[int, int, int], seed: int
) -> None:
    seq_len, rows, extra = size
    corpus = corpus_of(seq_len * rows * (1 + extra // 5) + 1 + extra, [1])
    batches = TrainingBatches(corpus, CausalLmConfig(), seq_len=seq_len, rows=rows, order="passages", seed=seed)
    segments = min(PASSAGE_SEGMENTS, corpus.unique_tokens // (rows * seq_len))
    for epoch in (0, 1):
        first = epoch * batches.steps_per_epoch
        seen = np.stack([batches.batch(first + step)["tokens"] for step in range(batches.steps_per_epoch)])
        assert len(np.unique(seen)) == seen.size
        assert corpus.unique_tokens - seen.size < (rows + 1) * segments * seq_len
        for step in range(1, batches.steps_per_epoch):
            goes_on = (seen[step - 1, :, -1] + 1) % corpus.unique_tokens == seen[step, :, 0]
            assert goes_on.all() or step % segments == 0


@given(sizes, st.integers(0, 2**31))
def test_an_epoch_in_stream_order_shows_every_token_at_most_once_and_misses_less_than_a_step(
    size: tuple[int, int, int], seed: int
) -> None:
    seq_len, rows, extra = size
    corpus = corpus_of(seq_len * rows + 1 + extra, [1])
    batches = TrainingBatches(corpus, CausalLmConfig(), seq_len=seq_len, rows=rows, order="stream", seed=seed)
    for epoch in (0, 1):
        first = epoch * batches.steps_per_epoch
        seen = np.concatenate(
            [batches.batch(first + step)["tokens"].ravel() for step in range(batches.steps_per_epoch)]
        )
        assert len(np.unique(seen)) == len(seen) == batches.steps_per_epoch * rows * seq_len
        assert corpus.unique_tokens - len(seen) < rows * seq_len


@given(sizes, st.integers(0, 2**31))
def test_lanes_in_stream_order_go_on_where_they_stopped(size: tuple[int, int, int], seed: int) -> None:
    seq_len, rows, extra = size
    corpus = corpus_of(seq_len * rows * 3 + 1 + extra, [1])
    batches = TrainingBatches(corpus, CausalLmConfig(), seq_len=seq_len, rows=rows, order="stream", seed=seed)
    for step in range(batches.steps_per_epoch - 1):
        here, there = batches.batch(step), batches.batch(step + 1)
        assert np.array_equal(here["targets"][:, -1], there["tokens"][:, 0])


@given(sizes, st.integers(0, 2**31))
def test_an_epoch_in_shuffled_order_shows_every_window_once(size: tuple[int, int, int], seed: int) -> None:
    seq_len, rows, extra = size
    corpus = corpus_of(seq_len * rows + 1 + extra, [1])
    batches = TrainingBatches(corpus, CausalLmConfig(), seq_len=seq_len, rows=rows, order="shuffled", seed=seed)
    num_windows = corpus.unique_tokens // seq_len
    steps = -(-2 * num_windows // rows)
    tokens = np.concatenate([batches.batch(step)["tokens"] for step in range(steps)])
    for epoch in (0, 1):
        seen = tokens[epoch * num_windows : (epoch + 1) * num_windows].ravel()
        assert len(np.unique(seen)) == len(seen) == num_windows * seq_len


@given(st.sampled_from(OBJECTIVES), st.sampled_from(get_args(TokenOrder)), st.integers(0, 10**12), st.data())
def test_a_batch_is_a_pure_function_and_any_rows_of_it_are_rows_of_the_whole(
    objective: ObjectiveConfig, order: str, step: int, data: st.DataObject
) -> None:
    corpus = corpus_of(5000, [1])
    seq_len, rows = 16, 6

    def fresh() -> TrainingBatches:
        return TrainingBatches(corpus, objective, seq_len=seq_len, rows=rows, order=order, seed=3)  # type: ignore[arg-type]

    whole = fresh().batch(step)
    again = fresh()
    again.batch(step + 1)
    part = data.draw(st.slices(rows).filter(lambda piece: len(range(rows)[piece]) > 0))
    pieces = again.batch(step, part)
    assert whole.keys() == pieces.keys()
    for name, values in whole.items():
        assert values.dtype == np.int64
        assert np.array_equal(values[part], pieces[name]), name


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.integers(1, 9),
    st.integers(1, 7),
    st.integers(1, 500),
)
def test_evaluation_predicts_every_token_of_whole_documents_exactly_once(
    lengths: list[int], seq_len: int, rows: int, tokens: int
) -> None:
    corpus = corpus_of(100, lengths)
    batches = EvaluationBatches(corpus, CausalLmConfig(), seq_len=seq_len, rows=rows, tokens=tokens, seed=0)
    all_targets = [batches[index]["targets"] for index in range(len(batches))]
    predicted = np.concatenate([targets[targets != IGNORE_TARGET] for targets in all_targets])
    assert np.array_equal(np.sort(predicted), np.sort(_tokens_of(corpus, batches.documents)))
    assert len(predicted) == batches.num_predictions
    assert batches.total_bytes == 3 * sum(lengths[number] for number in batches.documents)
    assert len(predicted) <= tokens or len(batches.documents) == 1


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 9), st.integers(1, 7))
def test_evaluation_lanes_go_on_from_batch_to_batch_and_begin_with_end_of_text(
    lengths: list[int], seq_len: int, rows: int
) -> None:
    batches = EvaluationBatches(
        corpus_of(100, lengths), CausalLmConfig(), seq_len=seq_len, rows=rows, tokens=10_000, seed=0
    )
    assert batches[0]["tokens"][0, 0] == _END
    for index in range(len(batches)):
        targets = batches[index]["targets"]
        following = batches[index]["tokens"][:, 1:]
        inside = targets[:, :-1] != IGNORE_TARGET
        assert np.array_equal(following[inside], targets[:, :-1][inside])
        if index + 1 < len(batches):
            last = targets[:, -1]
            assert np.array_equal(
                batches[index + 1]["tokens"][:, 0][last != IGNORE_TARGET], last[last != IGNORE_TARGET]
            )


@given(st.integers(1, 3000), st.integers(0, 2**63))
def test_the_shuffle_is_a_permutation(size: int, key: int) -> None:
    assert np.array_equal(np.sort(permuted(np.arange(size), size, key)), np.arange(size))


@pytest.mark.parametrize("objective", OBJECTIVES[1:], ids=lambda objective: f"{objective.kind}-{objective.masking}")
def test_masked_evaluation_has_the_same_masks_each_time(objective: ObjectiveConfig) -> None:
    corpus = corpus_of(100, [200, 300])
    first, second = (EvaluationBatches(corpus, objective, seq_len=16, rows=4, tokens=10_000, seed=5) for _ in range(2))
    for index in range(len(first)):
        for name, values in first[index].items():
            assert np.array_equal(values, second[index][name])


@given(sizes, st.sampled_from(OBJECTIVES), st.sampled_from(get_args(TokenOrder)), st.integers(0, 2**31))
def test_a_subset_is_read_as_if_there_were_no_other_text(
    size: tuple[int, int, int], objective: ObjectiveConfig, order: TokenOrder, seed: int
) -> None:
    seq_len, rows, extra = size[0] + 7, size[1], size[2]
    subset = rows * objective.stride(seq_len) + objective.lookahead + extra
    whole, alone = corpus_of(subset + 1000, [1]), corpus_of(subset, [1])
    settings_: dict[str, Any] = {"seq_len": seq_len, "rows": rows, "order": order, "seed": seed}
    of_whole = TrainingBatches(whole, objective, subset_tokens=subset, **settings_)
    of_alone = TrainingBatches(alone, objective, **settings_)
    # Two epochs and a bit: the end of the subset is followed by its beginning.
    for step in range(2 * max(1, subset // of_alone.tokens_per_step) + 2):
        ours, theirs = of_whole.batch(step), of_alone.batch(step)
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert np.array_equal(ours[name], theirs[name])
        if isinstance(objective, CausalLmConfig):  # the others put random ids in
            assert ours["tokens"].max() < subset
    assert of_whole.epochs(7) == of_alone.epochs(7)


@settings(max_examples=30)  # epochs of batches, on a machine with other work
@given(st.integers(20, 300), st.integers(0, 300))
def test_a_smaller_subset_lies_inside_every_larger_one(smaller: int, more: int) -> None:
    corpus = corpus_of(smaller + more + 10, [1])

    def seen(subset: int) -> set[int]:
        batches = TrainingBatches(
            corpus, CausalLmConfig(), seq_len=4, rows=1, order="shuffled", seed=0, subset_tokens=subset
        )
        steps = range(6 * (subset // 4))
        return set(np.concatenate([batches.batch(step)["tokens"].ravel() for step in steps]).tolist())

    # Six epochs of windows that begin at other places each time show every token.
    assert seen(smaller) == set(range(smaller))
    assert seen(smaller) <= seen(smaller + more)


def test_a_subset_that_is_too_small_or_too_large_is_refused() -> None:
    corpus = corpus_of(1000, [1])
    shape: dict[str, Any] = {"seq_len": 16, "rows": 4, "order": "stream", "seed": 0}
    with pytest.raises(DataError, match=r"the subset of the training text has 64 tokens, one batch of 4 rows needs 65"):
        TrainingBatches(corpus, CausalLmConfig(), subset_tokens=64, **shape)
    with pytest.raises(DataError, match=r"a subset of 1001 tokens was asked for, the training text has 1000; give"):
        TrainingBatches(corpus, CausalLmConfig(), subset_tokens=1001, **shape)


def _tokens_of(corpus: Corpus, documents: NDArray[np.int64]) -> NDArray[np.int64]:
    starts = np.concatenate([[0], corpus.validation_ends[:-1]])
    return np.concatenate(
        [
            corpus.validation.window(int(starts[number]), int(corpus.validation_ends[number] - starts[number]))
            for number in documents
        ]
    )
