from dataclasses import astuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from archbench.nn.language_model import Encoded, LanguageModel, State
from archbench.training.evaluation import EvaluationSet
from archbench.training.prefix_audit import audit_prefixes, summarise

VOCABULARY = 11


class Honest(LanguageModel):
    """Hidden state: the running mean of embeddings, and the mean of the segment before as memory."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.output = nn.Linear(8, VOCABULARY)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        embedded = self.embedding(tokens)
        hidden = embedded.cumsum(1) / torch.arange(1, tokens.shape[1] + 1)[:, None]
        if state is not None:
            hidden = hidden + state[0][:, None]
        return Encoded(hidden, (embedded.mean(1).detach(),))

    def logits(self, hidden: Tensor) -> Tensor:
        return self.output(hidden)


class SeesNext(Honest):
    """Puts the next token's id into the hidden state: a model that cheats."""

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        hidden = 10.0 * nn.functional.one_hot(tokens.roll(-1, dims=1), VOCABULARY).float()
        return Encoded(hidden, None)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden


def evaluation_set(rows_per_pass: int = 8, carries_state: bool = True) -> EvaluationSet:
    generator = torch.Generator().manual_seed(3)
    batches = []
    for _ in range(6):
        tokens = torch.randint(0, VOCABULARY, (8, 17), generator=generator)
        batches.append({"tokens": tokens[:, :-1].contiguous(), "targets": tokens[:, 1:].contiguous()})
    return EvaluationSet(batches, rows_per_pass, carries_state, None)


@pytest.mark.parametrize("carries_state", [True, False])
def test_honest_causal_model_gains_nothing(carries_state: bool) -> None:
    audit = audit_prefixes(Honest().eval(), evaluation_set(carries_state=carries_state), 32)
    assert audit is not None
    assert audit.num_positions == 32
    # The two passes hold other text behind a position: rounding of fp32 losses of about ln 11.
    assert (audit.mean_gain_nats, audit.low_nats, audit.high_nats) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)


def test_model_that_sees_the_next_token_gains_what_it_knows() -> None:
    audit = audit_prefixes(SeesNext().eval(), evaluation_set(), 48)
    assert audit is not None
    # Certain and right inside the sequence: loss ln(1 + 10·e^-10) = 4.5e-4. With foreign text behind, it bets on a
    # token that is right once in 11 times and costs 10 nats otherwise: a mean gain of 10·10/11 = 9.1.
    assert audit.low_nats < 9.1 < audit.high_nats
    assert audit.low_nats > 7.0


def test_audit_is_the_same_however_rows_are_cut() -> None:
    whole, cut = (audit_prefixes(SeesNext().eval(), evaluation_set(rows), 48) for rows in (8, 2))
    assert whole is not None
    assert cut is not None
    # Tensors of other shapes: rounding of fp32 losses of about ten nats.
    assert astuple(whole) == pytest.approx(astuple(cut), abs=1e-5)


def test_memory_of_the_stream_is_given_to_both_passes() -> None:
    seen: list[bool] = []

    class CountsMemory(Honest):
        def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
            seen.append(state is not None)
            return super().encode(tokens, token_types=token_types, state=state)

    model = CountsMemory()
    audit_prefixes(model.eval(), evaluation_set(), 24)
    # Three of six batches are audited: the first has no memory to be given, all others have.
    assert seen.count(False) == 3
    assert seen.count(True) == len(seen) - 3


def test_interval_is_students_for_independent_gains() -> None:
    audit = summarise(np.array([1.0, 2.0, 3.0, 4.0]))
    assert audit is not None
    assert audit.mean_gain_nats == 2.5
    # t(0.975, 3) = 3.182446; standard error sqrt(5/3)/2.
    assert audit.high_nats - 2.5 == pytest.approx(3.182446 * np.sqrt(5 / 3) / 2, rel=1e-6)
    assert 2.5 - audit.low_nats == pytest.approx(audit.high_nats - 2.5, rel=1e-12)


@pytest.mark.parametrize("gains", [[], [1.0], [1.0, float("nan")]])
def test_too_few_or_broken_gains_have_no_interval(gains: list[float]) -> None:
    assert summarise(np.array(gains)) is None
