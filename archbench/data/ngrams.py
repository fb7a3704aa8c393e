"""Reference lines: what n-gram models of a run's training text reach on the tokens that its evaluation predicts.

A model above the line of pairs has learnt no more of the text than which token follows which. Causal objectives have
the lines `unigram`, `bigram` and `trigram`; masked ones `unigram` and `neighbours`, p(token | left, right).

Smoothing is modified Kneser-Ney, interpolated (Chen and Goodman 1999, "An empirical study of smoothing techniques for
language modeling", section 3): three discounts for each order from its counts of counts, lower orders from the number
of different contexts, and the uniform distribution at the bottom. `neighbours` backs off to the mean of both one-sided
models, whose counts are those of different tokens on the other side (Pickhardt et al. 2014, arXiv 1404.3377, "A
generalized language model as the combination of skipped n-grams and modified Kneser-Ney smoothing").

Legend: V ids of the tokenizer, n entries of a table, m predicted tokens.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.architecture import Attention
from archbench.contracts.objective import IGNORE_TARGET, ObjectiveConfig
from archbench.data.corpus import Corpus, MappedTokens
from archbench.durable import write_whole
from archbench.errors import DataError

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

MAX_TOKENS = 1 << 25
"""Tokens of text that are counted at most: 19 million of 4,096 ids took 0.7 GB and 3 s of processor time. Lines
of a longer run are those of so many tokens, and lie a little too high."""
FOLDER = "reference_lines"
"""Of the lines computed before, inside a corpus' folder."""

_ESTIMATOR = 1
"""Changes whenever the same text would give other lines."""
_DIGITS = 6
"""Decimals of a line: machines differ in the last digits of logarithms, and records do not."""
_MAX_VOCAB = 1 << 21
"""Three ids of fewer fit into 63 bits."""
_NONE = -1
"""In place of a token where there is none."""
_UNKNOWN_DISCOUNT = 0.5
"""Where too few counts tell one: text so plain that nearly every count is large."""
_HIDDEN = 0.5
"""Least share of the targets that a masked objective hides."""


class LineKind(StrEnum):
    """Which lines an objective has."""

    NEXT_TOKEN = "next_token"
    MASKED = "masked"


@dataclass(frozen=True, slots=True)
class Predicted:
    """The predicted tokens of an evaluation set, each with two tokens beside it; `_NONE` where there is none."""

    kind: LineKind
    tokens: Ids
    """[m]."""
    near: Ids
    """[m], the token before."""
    far: Ids
    """[m], the token before that; of a masked objective the token behind."""

    @property
    def sha256(self) -> str:
        """The hash of all of it, in hex."""
        digest = hashlib.sha256(self.kind.value.encode())
        for part in (self.tokens, self.near, self.far):
            digest.update(part.tobytes())
        return digest.hexdigest()


def has_lines(objective: type[ObjectiveConfig], vocab_size: int) -> bool:
    """Whether runs of `objective` over `vocab_size` ids have reference lines, by what the objective says of itself."""
    return _line_kind(objective) is not None and vocab_size <= _MAX_VOCAB


def _line_kind(objective: type[ObjectiveConfig]) -> LineKind | None:
    if not objective.scores_targets:
        return None
    if objective.lookahead == 1:
        return LineKind.NEXT_TOKEN
    masks = objective.lookahead == 0 and objective.attention is Attention.BIDIRECTIONAL
    return LineKind.MASKED if masks else None


def predicted_tokens(
    batches: Sequence[Mapping[str, NDArray[np.int64]]], objective: ObjectiveConfig, vocab_size: int
) -> Predicted | None:
    """What an evaluation set of `objective` predicts; None where its targets are no hidden tokens of the text.

    vocab_size: of the tokenizer, without special tokens, which count as no neighbour.
    """
    kind = _line_kind(type(objective))
    if kind is None or not batches:
        return None
    found = _next_tokens(batches, objective) if kind is LineKind.NEXT_TOKEN else _masked_tokens(batches)
    if found is None or not len(found.tokens) or found.tokens.max() >= vocab_size:
        return None
    near, far = (np.where(side < vocab_size, side, _NONE) for side in (found.near, found.far))
    return Predicted(found.kind, found.tokens, near, far)


def _next_tokens(batches: Sequence[Mapping[str, NDArray[np.int64]]], objective: ObjectiveConfig) -> Predicted | None:
    """Each target with the two tokens before it in its row; rows that go on from batch to batch are joined before."""
    every = objective.predicts_every_token
    tokens, targets = (
        np.concatenate([one[name] for one in batches], axis=int(every)) for name in ("tokens", "targets")
    )
    if every:
        tokens, targets = tokens.reshape(1, -1), targets.reshape(1, -1)
    follows = np.ones_like(tokens, dtype=bool)
    follows[:, 0] = False
    known = targets[:, :-1] != IGNORE_TARGET
    follows[:, 1:] = ~known | (targets[:, :-1] == tokens[:, 1:])
    if every:
        follows[:, 1:] &= known
    elif not follows[:, 1:].all():
        return None
    far = np.where(follows, np.roll(tokens, 1, axis=1), _NONE)
    kept = targets != IGNORE_TARGET
    return Predicted(LineKind.NEXT_TOKEN, targets[kept], tokens[kept], far[kept])


def _masked_tokens(batches: Sequence[Mapping[str, NDArray[np.int64]]]) -> Predicted | None:
    """Each target with the tokens on both sides as they stood in the row before any was hidden."""
    tokens = np.concatenate([batch["tokens"] for batch in batches])
    targets = np.concatenate([batch["targets"] for batch in batches])
    kept = targets != IGNORE_TARGET
    if not kept.any() or (tokens[kept] != targets[kept]).mean() < _HIDDEN:
        return None
    text = np.pad(np.where(kept, targets, tokens), ((0, 0), (1, 1)), constant_values=_NONE)
    return Predicted(LineKind.MASKED, targets[kept], text[:, :-2][kept], text[:, 2:][kept])


def reference_lines(corpus: Corpus, train: MappedTokens, predicted: Predicted, num_tokens: int) -> dict[str, float]:
    """The lines of `predicted` by models of the first `num_tokens` tokens of `train`, in nats per predicted token.

    What was computed before is taken from the corpus' folder. Raises DataError for a vocabulary too large to count.
    """
    counted = min(num_tokens, train.num_tokens, MAX_TOKENS)
    path = corpus.directory / FOLDER / f"{_key(counted, corpus.text_vocab_size, predicted)}.json"
    lines = _kept(path)
    if lines is None:
        text = train.ids[:counted].astype(np.int64)
        losses = ngram_losses(text, predicted, corpus.text_vocab_size)
        lines = {name: round(loss, _DIGITS) for name, loss in losses.items()}
        _keep(path, lines)
    return lines


def _key(counted: int, vocab_size: int, predicted: Predicted) -> str:
    content = json.dumps([_ESTIMATOR, counted, vocab_size, predicted.sha256])
    return f"{predicted.kind.value}-{counted}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _kept(path: Path) -> dict[str, float] | None:
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    sound = isinstance(content, dict) and all(
        isinstance(value, float) and math.isfinite(value) for value in content.values()
    )
    return content if sound and content else None


def _keep(path: Path, lines: Mapping[str, float]) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, json.dumps(lines).encode())
    except OSError:
        pass  # a folder of others, or a full disk: the next run computes them again


def ngram_losses(text: Ids, predicted: Predicted, vocab_size: int) -> dict[str, float]:
    """Name of each line of `predicted` -> mean -ln p by models of `text`, ids below `vocab_size`.

    Raises DataError for text too short or a vocabulary too large to count.
    """
    if vocab_size > _MAX_VOCAB:
        raise DataError(f"reference lines: got a vocabulary of {vocab_size} ids, expected at most {_MAX_VOCAB}")
    if len(text) < 3:
        raise DataError(f"reference lines: got {len(text)} tokens of training text, expected at least 3")
    models = TokenModels.of(text, predicted.kind, vocab_size)
    return {name: float(-np.log(p).mean()) for name, p in models.probabilities(predicted).items()}


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each token was seen in each context, with the discounts of its order; a distribution by `mixed`."""

    keys: Ids
    """[n], rising: context·V + token."""
    counts: Ids
    """[n]."""
    seen: Ids
    """[n + 1]: sum of the counts before each entry."""
    classes: tuple[Ids, Ids, Ids]
    """[n + 1] each: entries seen once, twice, and more often, before each entry."""
    discounts: tuple[float, float, float]
    """Of counts of one, of two, and above."""
    vocab_size: int

    @staticmethod
    def of(keys: Ids, counts: Ids, vocab_size: int) -> "Counts":
        """The table of `keys`, rising, with their `counts`."""
        classes = (counts == 1, counts == 2, counts > 2)
        once, twice, more = (_before(one) for one in classes)
        return Counts(keys, counts, _before(counts), (once, twice, more), _discounts(counts), vocab_size)

    def mixed(self, contexts: Ids, tokens: Ids, lower: Floats | float) -> Floats:
        """[m]: p(token | context), what is discounted shared out by `lower`; that alone where a context is unseen."""
        start = np.searchsorted(self.keys, contexts * self.vocab_size)
        end = np.searchsorted(self.keys, (contexts + 1) * self.vocab_size)
        total = self.seen[end] - self.seen[start]
        freed = sum(
            discount * (one[end] - one[start]) for discount, one in zip(self.discounts, self.classes, strict=True)
        )
        wanted = contexts * self.vocab_size + tokens
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        count = np.where(self.keys[place] == wanted, self.counts[place], 0)
        taken = np.array([0.0, *self.discounts])[np.minimum(count, 3)]
        with np.errstate(invalid="ignore", divide="ignore"):
            p = (count - taken + freed * lower) / total
        return np.where(total > 0, p, lower)


def _before(values: NDArray[Any]) -> Ids:
    """[n + 1]: sums of the [n] `values` before each."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _discounts(counts: Ids) -> tuple[float, float, float]:
    """D1, D2 and D3+ of Chen and Goodman; one of Ney et al. (1994) where counts of counts give no three."""
    one, two, three, four = (int(np.count_nonzero(counts == number)) for number in (1, 2, 3, 4))
    if not one or not two:
        return (_UNKNOWN_DISCOUNT,) * 3
    single = one / (one + 2 * two)
    if not three or not four:
        return (single,) * 3
    found = (1 - 2 * single * two / one, 2 - 3 * single * three / two, 3 - 4 * single * four / three)
    return found if all(0.0 < discount < number for number, discount in enumerate(found, 1)) else (single,) * 3


@dataclass(frozen=True, slots=True)
class Smoothed:
    """A model of one token given one other, with its lower order of different contexts."""

    pairs: Counts
    singles: Counts

    @staticmethod
    def of(keys: Ids, counts: Ids, vocab_size: int) -> "Smoothed":
        """The model of pairs (given·V + token), rising, with their `counts`."""
        return Smoothed(Counts.of(keys, counts, vocab_size), _singles(keys % vocab_size, vocab_size))

    def p(self, given: Ids, tokens: Ids) -> Floats:
        """[m]: p(token | given)."""
        return self.pairs.mixed(given, tokens, single_p(self.singles, tokens))


def single_p(singles: Counts, tokens: Ids) -> Floats:
    """[m]: p(token), mixed with the uniform distribution."""
    return singles.mixed(np.zeros_like(tokens), tokens, 1.0 / singles.vocab_size)


@dataclass(frozen=True, slots=True)
class TokenModels:
    """All models of one kind of lines: of single tokens, of pairs, and of triples that back off to pairs."""

    kind: LineKind
    singles: Counts
    near: Smoothed
    """A token given the one before it."""
    far: Smoothed | None
    """A token given the one behind it; of masked objectives only."""
    triples: Counts
    lower: tuple[Smoothed, ...]
    """What triples back off to, in equal parts."""
    vocab_size: int

    @staticmethod
    def of(text: Ids, kind: LineKind, vocab_size: int) -> "TokenModels":
        """The models of `text`."""
        V = vocab_size
        singles = _singles(text, V)
        near = Smoothed.of(*_distinct(text[:-1] * V + text[1:]), V)
        if kind is LineKind.NEXT_TOKEN:
            keys, counts = _distinct((text[:-2] * V + text[1:-1]) * V + text[2:])
            lower: tuple[Smoothed, ...] = (Smoothed.of(*_distinct(keys % (V * V)), V),)
            far = None
        else:
            keys, counts = _distinct((text[:-2] * V + text[2:]) * V + text[1:-1])
            contexts, tokens = np.divmod(keys, V)
            lower = tuple(Smoothed.of(*_distinct(side * V + tokens), V) for side in np.divmod(contexts, V))
            far = Smoothed.of(*_distinct(text[1:] * V + text[:-1]), V)
        return TokenModels(kind, singles, near, far, Counts.of(keys, counts, V), lower, V)

    def probabilities(self, predicted: Predicted) -> dict[str, Floats]:
        """Name of each line -> [m] probability of each predicted token; a side that is not there is left out of it."""
        tokens = predicted.tokens
        single = single_p(self.singles, tokens)
        has_near, has_far = predicted.near != _NONE, predicted.far != _NONE
        near, far = np.maximum(predicted.near, 0), np.maximum(predicted.far, 0)
        given_near = np.where(has_near, self.near.p(near, tokens), single)
        if self.far is None:
            triple = self.triples.mixed(far * self.vocab_size + near, tokens, self.lower[0].p(near, tokens))
            trigram = np.where(has_near & has_far, triple, given_near)
            return {"unigram": single, "bigram": given_near, "trigram": trigram}
        left, right = self.lower
        both = self.triples.mixed(
            near * self.vocab_size + far, tokens, 0.5 * (left.p(near, tokens) + right.p(far, tokens))
        )
        one_sided = np.where(has_near, given_near, np.where(has_far, self.far.p(far, tokens), single))
        return {"unigram": single, "neighbours": np.where(has_near & has_far, both, one_sided)}


def _distinct(keys: Ids) -> tuple[Ids, Ids]:
    """The different `keys`, rising, and how often each occurs; `keys` are sorted in place."""
    keys.sort()
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[first], np.diff(first, append=len(keys))


def _singles(tokens: Ids, vocab_size: int) -> Counts:
    """The table without context of how often each of `tokens` occurs."""
    counts = np.bincount(tokens, minlength=vocab_size)
    seen = np.flatnonzero(counts)
    return Counts.of(seen, counts[seen], vocab_size)
