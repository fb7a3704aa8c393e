"""Batches by known answers: bits per byte by hand, epochs, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest

from archbench.builtins.objectives.bert_pretraining import BertPretrainingConfig
from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.builtins.objectives.masked_lm import MaskedLmConfig
from archbench.builtins.text.bytes_tokenizer import BytesTokenizerConfig
from archbench.builtins.text.text_files import TextFilesConfig
from archbench.contracts.objective import IGNORE_TARGET, model_vocab_size
from archbench.data.batches import EvaluationBatches, TrainingBatches
from archbench.data.corpus import Corpus
from archbench.data.prepare import prepare_corpus
from archbench.errors import DataError
from archbench.units import bits_per_byte


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder: Path = tmp_path_factory.mktemp("text")
    for number in range(40):
        (folder / f"{number}.txt").write_text(f"Größe {number}: " + "Wörter " * (number % 7 + 1), encoding="utf-8")
    return prepare_corpus(
        TextFilesConfig(paths=(str(folder),)),
        BytesTokenizerConfig(),
        validation_fraction=0.3,
        cache_dir=folder / "cache",
    )


def test_bits_per_byte_of_a_unigram_model_equal_those_computed_from_the_documents(corpus: Corpus) -> None:
    counts = np.bincount(corpus.train.window(0, corpus.unique_tokens), minlength=corpus.text_vocab_size) + 1
    nats = -np.log(counts / counts.sum())
    batches = EvaluationBatches(corpus, CausalLmConfig(), seq_len=16, rows=3, tokens=10**6, seed=0)
    total = 0.0
    for index in range(len(batches)):
        targets = batches[index]["targets"]
        total += float(nats[targets[targets != IGNORE_TARGET]].sum())

    by_hand_nats, by_hand_bytes, start = 0.0, 0, 0
    for end in corpus.validation_ends:
        document = corpus.validation.window(start, int(end) - start)
        by_hand_nats += math.fsum(nats[token] for token in document)
        by_hand_bytes += len(bytes(document[:-1].astype(np.uint8)).decode().encode())
        start = int(end)
    assert batches.total_bytes == by_hand_bytes
    # Sums of a few thousand numbers in another order.
    assert bits_per_byte(total, batches.total_bytes) == pytest.approx(
        by_hand_nats / math.log(2) / by_hand_bytes, rel=1e-12
    )


def test_targets_are_the_tokens_one_place_further(corpus: Corpus) -> None:
    batch = TrainingBatches(corpus, CausalLmConfig(), seq_len=16, rows=4, order="stream", seed=1).batch(5)
    assert np.array_equal(batch["tokens"][:, 1:], batch["targets"][:, :-1])


def test_epochs_differ_in_their_rotation_and_seeds_in_their_order(corpus: Corpus) -> None:
    def batches(seed: int) -> TrainingBatches:
        return TrainingBatches(corpus, CausalLmConfig(), seq_len=16, rows=4, order="stream", seed=seed)

    first = batches(1)
    assert not np.array_equal(first.batch(0)["tokens"], first.batch(first.steps_per_epoch)["tokens"])
    assert not np.array_equal(first.batch(0)["tokens"], batches(2).batch(0)["tokens"])
    assert first.epochs(first.steps_per_epoch * 2) == pytest.approx(2.0, abs=2 * 64 / corpus.unique_tokens)


def test_too_little_training_text_is_refused(corpus: Corpus) -> None:
    with pytest.raises(DataError, match=r"has \d+ tokens, one batch of 1000 rows needs 128001; give more text"):
        TrainingBatches(corpus, CausalLmConfig(), seq_len=128, rows=1000, order="stream", seed=0)


def test_too_little_validation_text_for_a_window_is_refused(corpus: Corpus) -> None:
    with pytest.raises(DataError, match=r"one window needs 4096; give more text, raise data\.validation_fraction"):
        EvaluationBatches(corpus, MaskedLmConfig(), seq_len=4096, rows=2, tokens=10**6, seed=0)


def test_a_short_evaluation_has_fewer_rows_rather_than_none(corpus: Corpus) -> None:
    batches = EvaluationBatches(corpus, MaskedLmConfig(), seq_len=64, rows=10_000, tokens=10**6, seed=0)
    assert len(batches) == 1
    assert len(batches[0]["tokens"]) == int(corpus.validation_ends[-1]) // 64


@pytest.mark.parametrize("objective", [CausalLmConfig(), MaskedLmConfig(), BertPretrainingConfig()])
def test_the_number_of_predictions_is_that_of_the_targets(
    corpus: Corpus, objective: CausalLmConfig | MaskedLmConfig | BertPretrainingConfig
) -> None:
    batches = EvaluationBatches(corpus, objective, seq_len=32, rows=2, tokens=600, seed=0)
    counted = sum(int((batches[index]["targets"] != IGNORE_TARGET).sum()) for index in range(len(batches)))
    assert batches.num_predictions == counted > 0


@pytest.mark.parametrize("objective", [CausalLmConfig(), MaskedLmConfig(), BertPretrainingConfig()])
def test_all_ids_are_inside_the_models_vocabulary(
    corpus: Corpus, objective: CausalLmConfig | MaskedLmConfig | BertPretrainingConfig
) -> None:
    batches = TrainingBatches(corpus, objective, seq_len=32, rows=8, order="shuffled", seed=0)
    vocab_size = model_vocab_size(corpus.text_vocab_size, objective)
    for step in range(20):
        tokens = batches.batch(step)["tokens"]
        assert tokens.min() >= 0
        assert tokens.max() < vocab_size


def test_evaluation_ends_with_its_last_batch(corpus: Corpus) -> None:
    batches = EvaluationBatches(corpus, CausalLmConfig(), seq_len=32, rows=2, tokens=600, seed=0)
    assert len(list(batches)) == len(batches)
    with pytest.raises(IndexError):
        batches[len(batches)]


def test_shuffled_targets_are_trained_on_and_never_evaluated_on(corpus: Corpus) -> None:
    plain, shuffled = CausalLmConfig(), CausalLmConfig(shuffle_targets=True)

    def trained(objective: CausalLmConfig, rows: slice = slice(None)) -> dict[str, np.ndarray]:
        return TrainingBatches(corpus, objective, seq_len=16, rows=8, order="stream", seed=1).batch(5, rows)

    assert np.array_equal(trained(shuffled)["tokens"], trained(plain)["tokens"])
    assert not np.array_equal(trained(shuffled)["targets"], trained(plain)["targets"])
    # Whichever rank holds a row, its targets are the same.
    assert np.array_equal(trained(shuffled, slice(2, 6))["targets"], trained(shuffled)["targets"][2:6])
    evaluated = [EvaluationBatches(corpus, one, seq_len=16, rows=3, tokens=500, seed=0) for one in (plain, shuffled)]
    for index in range(len(evaluated[0])):
        assert np.array_equal(evaluated[0][index]["targets"], evaluated[1][index]["targets"])
