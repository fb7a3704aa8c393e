"""Reference lines by known answers: a brute-force count of every order, chains of known entropy, uniform text."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archbench.builtins.objectives.bert_pretraining import BertPretrainingConfig
from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.builtins.objectives.masked_lm import MaskedLmConfig
from archbench.builtins.text.bytes_tokenizer import BytesTokenizerConfig
from archbench.builtins.text.text_files import TextFilesConfig
from archbench.contracts.objective import IGNORE_TARGET, ObjectiveConfig
from archbench.data.batches import EvaluationBatches
from archbench.data.corpus import Corpus
from archbench.data.ngrams import (
    FOLDER,
    LineKind,
    Predicted,
    TokenModels,
    ngram_losses,
    predicted_tokens,
    reference_lines,
)
from archbench.data.prepare import prepare_corpus
from archbench.errors import DataError
from archbench_denoising.prefix_lm import PrefixLmConfig
from archbench_denoising.replaced_tokens import ReplacedTokenDetectionConfig
from archbench_denoising.span_corruption import SpanCorruptionConfig

V = 7
NONE = -1


class BruteForce:
    """Modified Kneser-Ney written out from the papers, entry by entry."""

    def __init__(self, text: list[int]) -> None:
        self.text = text

    @staticmethod
    def discounts(counts: list[int]) -> list[float]:
        n1, n2, n3, n4 = (counts.count(k) for k in (1, 2, 3, 4))
        if n1 == 0 or n2 == 0:
            return [0.5] * 3
        Y = n1 / (n1 + 2 * n2)
        if n3 == 0 or n4 == 0:
            return [Y] * 3
        found = [1 - 2 * Y * n2 / n1, 2 - 3 * Y * n3 / n2, 3 - 4 * Y * n4 / n3]
        return found if all(0 < d < k for k, d in enumerate(found, 1)) else [Y] * 3

    @classmethod
    def p(cls, table: Counter[tuple[Any, int]], context: Any, token: int, lower: float) -> float:
        discounts = cls.discounts(list(table.values()))
        here = {key[1]: count for key, count in table.items() if key[0] == context}
        if not here:
            return lower
        total = sum(here.values())
        count = here.get(token, 0)
        freed = sum(discounts[min(c, 3) - 1] for c in here.values())
        return (count - (discounts[min(count, 3) - 1] if count else 0.0)) / total + freed / total * lower

    def unigram(self, token: int) -> float:
        return self.p(Counter(((), w) for w in self.text), (), token, 1 / V)

    def pair(self, table: Counter[tuple[Any, int]], given: int, token: int) -> float:
        types = Counter(((), w) for _, w in table)
        return self.p(table, given, token, self.p(types, (), token, 1 / V))

    def bigram(self, given: int, token: int) -> float:
        return self.pair(Counter(zip(self.text, self.text[1:], strict=False)), given, token)

    def backward(self, given: int, token: int) -> float:
        return self.pair(Counter(zip(self.text[1:], self.text, strict=False)), given, token)

    def trigram(self, first: int, second: int, token: int) -> float:
        triples = Counter(zip(zip(self.text, self.text[1:], strict=False), self.text[2:], strict=False))
        pairs = Counter((v, w) for (_, v), w in triples)
        return self.p(triples, (first, second), token, self.pair(pairs, second, token))

    def neighbours(self, left: int, right: int, token: int) -> float:
        triples = Counter(((a, c), b) for a, b, c in zip(self.text, self.text[1:], self.text[2:], strict=False))
        lefts = Counter((a, b) for (a, _), b in triples)
        rights = Counter((c, b) for (_, c), b in triples)
        lower = 0.5 * (self.pair(lefts, left, token) + self.pair(rights, right, token))
        return self.p(triples, (left, right), token, lower)


def some_text(length: int, seed: int = 3) -> list[int]:
    """Ids below V, some often and one never, so that every count of counts occurs."""
    generator = np.random.default_rng(seed)
    weights = np.array([0.4, 0.25, 0.15, 0.1, 0.07, 0.03, 0.0])
    return [int(token) for token in generator.choice(V, size=length, p=weights)]


def all_of(kind: LineKind) -> Predicted:
    """Every token in every context, contexts that are missing among them."""
    grid = np.array([(a, b, w) for a in range(NONE, V) for b in range(NONE, V) for w in range(V)])
    return Predicted(kind, grid[:, 2], grid[:, 1], grid[:, 0])


@pytest.mark.parametrize("length", [5, 40, 300])
def test_next_token_models_equal_those_of_a_brute_force_count(length: int) -> None:
    text = some_text(length)
    brute, asked = BruteForce(text), all_of(LineKind.NEXT_TOKEN)
    found = TokenModels.of(np.array(text), LineKind.NEXT_TOKEN, V).probabilities(asked)
    for number, (token, near, far) in enumerate(zip(asked.tokens, asked.near, asked.far, strict=True)):
        unigram = brute.unigram(token)
        bigram = unigram if near == NONE else brute.bigram(near, token)
        trigram = bigram if NONE in (near, far) else brute.trigram(far, near, token)
        assert [found[name][number] for name in ("unigram", "bigram", "trigram")] == pytest.approx(
            [unigram, bigram, trigram], abs=1e-12
        )


@pytest.mark.parametrize("length", [5, 300])
def test_models_of_both_neighbours_equal_those_of_a_brute_force_count(length: int) -> None:
    text = some_text(length, seed=4)
    brute, asked = BruteForce(text), all_of(LineKind.MASKED)
    found = TokenModels.of(np.array(text), LineKind.MASKED, V).probabilities(asked)
    assert list(found) == ["unigram", "neighbours"]
    for number, (token, left, right) in enumerate(zip(asked.tokens, asked.near, asked.far, strict=True)):
        if NONE not in (left, right):
            expected = brute.neighbours(left, right, token)
        elif left != NONE:
            expected = brute.bigram(left, token)
        else:
            expected = brute.unigram(token) if right == NONE else brute.backward(right, token)
        assert found["neighbours"][number] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", list(LineKind))
@pytest.mark.parametrize("length", [3, 17, 2000])
def test_probabilities_over_all_tokens_sum_to_one(kind: LineKind, length: int) -> None:
    found = TokenModels.of(np.array(some_text(length, seed=5)), kind, V).probabilities(all_of(kind))
    for p in found.values():
        assert (p > 0).all()
        # The grid lists the V tokens of a context one after another.
        np.testing.assert_allclose(p.reshape(-1, V).sum(axis=1), 1.0, atol=1e-12)


def chain(order: int, length: int, states: int = 5) -> tuple[np.ndarray, float]:
    """Text of a Markov chain of that order, and its entropy in nats per token, from the transitions themselves."""
    generator = np.random.default_rng(order)
    transitions = generator.dirichlet(np.full(states, 0.3), size=states**order)
    cumulative, draws = transitions.cumsum(axis=1), generator.random(length)
    text, context = np.empty(length, dtype=np.int64), 0
    for place in range(length):
        token = min(int(np.searchsorted(cumulative[context], draws[place])), states - 1)
        text[place] = token
        context = (context * states + token) % states**order
    step = np.zeros((states**order, states**order))
    for given in range(states**order):
        for token in range(states):
            step[given, (given * states + token) % states**order] += transitions[given, token]
    values, vectors = np.linalg.eig(step.T)
    stationary = np.real(vectors[:, np.argmax(np.real(values))])
    stationary /= stationary.sum()
    own = -(transitions * np.log(np.maximum(transitions, 1e-300))).sum(axis=1)
    return text, float(stationary @ own)


@pytest.mark.parametrize(("order", "line"), [(1, "bigram"), (2, "trigram")])
def test_a_chain_of_known_entropy_is_reached_by_the_line_of_its_order_and_by_none_before(order: int, line: str) -> None:
    text, entropy = chain(order, 400_000)
    train, held_out = text[:200_000], text[200_000:]
    predicted = Predicted(LineKind.NEXT_TOKEN, held_out[2:], held_out[1:-1], held_out[:-2])
    losses = ngram_losses(train, predicted, 5)
    # The mean over 2e5 held-out tokens has a standard error of about 0.002 nats.
    assert losses[line] == pytest.approx(entropy, abs=0.008)
    before = {"bigram": "unigram", "trigram": "bigram"}[line]
    assert losses[before] > entropy + 0.05
    if order == 1:
        assert losses["trigram"] == pytest.approx(entropy, abs=0.008)


def test_both_neighbours_reach_what_is_known_of_a_chain_given_both_sides() -> None:
    text, _ = chain(1, 400_000)
    train, held_out = text[:200_000], text[200_000:]
    joint = np.zeros((5, 5, 5))
    np.add.at(joint, (held_out[:-2], held_out[2:], held_out[1:-1]), 1.0)
    given = joint / np.maximum(joint.sum(axis=2, keepdims=True), 1.0)
    entropy = -(joint * np.log(np.maximum(given, 1e-300))).sum() / joint.sum()
    predicted = Predicted(LineKind.MASKED, held_out[1:-1], held_out[:-2], held_out[2:])
    # The entropy is that of the held-out text's own table: no model of other text lies below it.
    assert entropy < ngram_losses(train, predicted, 5)["neighbours"] < entropy + 0.002


def test_on_uniform_text_no_line_lies_below_the_logarithm_of_the_vocabulary() -> None:
    text = np.random.default_rng(0).integers(32, size=300_000)
    held_out = np.random.default_rng(1).integers(32, size=50_000)
    predicted = Predicted(LineKind.NEXT_TOKEN, held_out[2:], held_out[1:-1], held_out[:-2])
    losses = ngram_losses(text, predicted, 32)
    assert losses["unigram"] == pytest.approx(np.log(32), abs=2e-4)
    for loss in losses.values():
        # What is told from uniform text is noise, which costs and never helps.
        assert np.log(32) - 1e-3 < loss < np.log(32) + 0.1


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder: Path = tmp_path_factory.mktemp("text")
    for number in range(40):
        (folder / f"{number}.txt").write_text(f"Größe {number}: " + "Wörter und Zahlen " * (number % 7 + 1))
    return prepare_corpus(
        TextFilesConfig(paths=(str(folder),)),
        BytesTokenizerConfig(),
        validation_fraction=0.3,
        cache_dir=folder / "cache",
    )


def evaluated(corpus: Corpus, objective: ObjectiveConfig, rows: int = 3) -> tuple[EvaluationBatches, Predicted | None]:
    batches = EvaluationBatches(corpus, objective, seq_len=16, rows=rows, tokens=10**6, seed=0)
    found = predicted_tokens([batches[index] for index in range(len(batches))], objective, corpus.text_vocab_size)
    return batches, found


def test_every_token_of_the_evaluation_text_is_predicted_from_the_two_before_it(corpus: Corpus) -> None:
    batches, found = evaluated(corpus, CausalLmConfig())
    text = corpus.validation.window(0, corpus.validation.num_tokens)
    assert found is not None
    assert len(found.tokens) == batches.num_predictions
    assert found.tokens.tolist() == text.tolist()
    assert found.near.tolist() == [corpus.end_of_text, *text[:-1]]
    assert found.far.tolist() == [NONE, corpus.end_of_text, *text[:-2]]


def test_lines_do_not_depend_on_how_the_evaluation_text_is_cut_into_rows(corpus: Corpus) -> None:
    first, second = (evaluated(corpus, CausalLmConfig(), rows=rows)[1] for rows in (1, 5))
    assert first is not None
    assert second is not None
    assert first.sha256 == second.sha256


def test_masked_tokens_stand_between_the_neighbours_of_the_text(corpus: Corpus) -> None:
    objective = MaskedLmConfig()
    batches, found = evaluated(corpus, objective)
    assert found is not None
    assert found.kind is LineKind.MASKED
    assert len(found.tokens) == batches.num_predictions
    text = [corpus.end_of_text, *corpus.validation.window(0, corpus.validation.num_tokens).tolist()]
    triples = set(zip(text, text[1:], text[2:], strict=False))
    inner = [
        (left, token, right)
        for left, token, right in zip(found.near.tolist(), found.tokens.tolist(), found.far.tolist(), strict=True)
        if NONE not in (left, right)
    ]
    assert len(inner) > 0.8 * len(found.tokens)
    assert triples.issuperset(inner)


def test_special_tokens_are_no_neighbours(corpus: Corpus) -> None:
    _, found = evaluated(corpus, BertPretrainingConfig())
    assert found is not None
    assert max(found.near.max(), found.far.max()) < corpus.text_vocab_size


def test_a_prefix_model_has_the_lines_of_its_own_targets(corpus: Corpus) -> None:
    batches, found = evaluated(corpus, PrefixLmConfig())
    assert found is not None
    assert found.kind is LineKind.NEXT_TOKEN
    assert len(found.tokens) == batches.num_predictions


@pytest.mark.parametrize("objective", [SpanCorruptionConfig(), ReplacedTokenDetectionConfig()])
def test_an_objective_that_asks_for_something_else_has_no_lines(corpus: Corpus, objective: ObjectiveConfig) -> None:
    assert evaluated(corpus, objective)[1] is None


class Copying(CausalLmConfig):
    """A stranger's objective: each token itself."""

    def examples(self, windows: Any, context: Any) -> dict[str, Any]:
        found = super().examples(windows, context)
        return {**found, "targets": np.where(found["targets"] == IGNORE_TARGET, IGNORE_TARGET, found["tokens"])}


def test_contexts_are_used_only_where_the_text_confirms_them(corpus: Corpus) -> None:
    _, found = evaluated(corpus, Copying())
    assert found is not None
    text = corpus.validation.window(0, corpus.validation.num_tokens)
    confirmed = found.far != NONE
    # Where a target is not the next input, the one before it is no context.
    assert confirmed.mean() < 0.2
    assert len(found.tokens) == len(text)


def test_lines_are_kept_in_the_folder_of_the_corpus_and_taken_from_there(corpus: Corpus) -> None:
    _, found = evaluated(corpus, CausalLmConfig())
    assert found is not None
    lines = reference_lines(corpus, corpus.train, found, 2_000)
    assert lines["trigram"] < lines["bigram"] < lines["unigram"] < np.log(257)
    (path,) = (corpus.directory / FOLDER).glob("next_token-2000-*.json")
    path.write_text(json.dumps({"unigram": 1.5}))
    assert reference_lines(corpus, corpus.train, found, 2_000) == {"unigram": 1.5}
    path.write_text("half of i")
    assert reference_lines(corpus, corpus.train, found, 2_000) == lines
    assert json.loads(path.read_text()) == lines
    path.unlink()


def test_more_text_than_there_is_counts_once(corpus: Corpus) -> None:
    _, found = evaluated(corpus, CausalLmConfig())
    assert found is not None
    every = reference_lines(corpus, corpus.train, found, corpus.unique_tokens)
    assert reference_lines(corpus, corpus.train, found, 5 * corpus.unique_tokens) == every


def test_text_too_short_and_vocabularies_too_large_are_refused() -> None:
    predicted = all_of(LineKind.NEXT_TOKEN)
    with pytest.raises(DataError, match="got 2 tokens"):
        ngram_losses(np.array([1, 2]), predicted, V)
    with pytest.raises(DataError, match="at most 2097152"):
        ngram_losses(np.array([1, 2, 3]), predicted, 1 << 22)
