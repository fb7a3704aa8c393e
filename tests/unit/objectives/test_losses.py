"""Losses of objectives on a model small enough to compute them by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from archbench.builtins.objectives.bert_pretraining import BertPretrainingConfig
from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.builtins.objectives.masked_lm import MaskedLmConfig
from archbench.contracts.architecture import ModelDims
from archbench.contracts.objective import (
    IGNORE_TARGET,
    ExampleContext,
    ObjectiveConfig,
    Windows,
    model_vocab_size,
    special_token_ids,
)
from archbench.data.corpus import MappedTokens
from archbench.nn.language_model import Encoded, LanguageModel, State

DIMS = ModelDims(vocab_size=32, seq_len=16, d_model=8, n_layers=1, n_heads=1, d_ff=8)
SOURCE = MappedTokens((np.arange(4000) * 7 % 20).astype(np.uint16))


class Bag(LanguageModel):
    """An embedding and an output matrix; its memory counts the segments."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(DIMS.vocab_size, DIMS.d_model)
        self.output = nn.Linear(DIMS.d_model, DIMS.vocab_size)
        self.projected = 0

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        seen = torch.zeros(len(tokens)) if state is None else state[0]
        hidden = self.embedding(tokens)
        return Encoded(hidden if token_types is None else hidden + token_types.unsqueeze(-1), (seen + 1,))

    def logits(self, hidden: Tensor) -> Tensor:
        self.projected = hidden.numel() // DIMS.d_model
        result: Tensor = self.output(hidden)
        return result


def batch_of(objective: ObjectiveConfig, rows: int = 6) -> dict[str, Tensor]:
    stride = objective.stride(DIMS.seq_len)
    starts = np.arange(rows) * stride
    context = ExampleContext(
        SOURCE, DIMS.seq_len, model_vocab_size(20, objective), 20, special_token_ids(20, objective)
    )
    windows = Windows(SOURCE.windows(starts, stride + objective.lookahead), starts, np.arange(rows), 0, 0)
    return {name: torch.from_numpy(values) for name, values in objective.examples(windows, context).items()}


@pytest.fixture
def model() -> Bag:
    torch.manual_seed(0)
    return Bag()


OBJECTIVES: list[ObjectiveConfig] = [CausalLmConfig(), MaskedLmConfig(), BertPretrainingConfig()]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_the_loss_is_the_sum_over_the_targets_in_nats(model: Bag, objective: ObjectiveConfig) -> None:
    batch = batch_of(objective)
    parts = objective.loss(model, objective.build_head(DIMS), batch, None)
    log_probabilities = model(batch["tokens"], token_types=batch.get("token_types")).log_softmax(-1).double()
    rows, positions = torch.nonzero(batch["targets"] != IGNORE_TARGET, as_tuple=True)
    expected = -log_probabilities[rows, positions, batch["targets"][rows, positions]].sum()
    # fp32 softmax of about a hundred terms.
    assert parts.nats.item() == pytest.approx(expected.item(), rel=1e-5)
    assert parts.predictions.item() == len(rows)
    assert parts.state is not None
    assert torch.equal(parts.state[0], torch.ones(6))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_parts_of_a_batch_add_up(model: Bag, objective: ObjectiveConfig) -> None:
    batch = batch_of(objective)
    head = objective.build_head(DIMS)
    whole = objective.loss(model, head, batch, None)
    halves = [
        objective.loss(model, head, {name: values[part] for name, values in batch.items()}, None)
        for part in (slice(0, 2), slice(2, 6))
    ]
    assert sum(part.predictions.item() for part in halves) == whole.predictions.item()
    # fp32 sums in another order.
    assert sum(part.nats.item() for part in halves) == pytest.approx(whole.nats.item(), rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_logits_are_computed_for_the_share_of_positions_that_is_declared(
    model: Bag, objective: ObjectiveConfig
) -> None:
    objective.loss(model, objective.build_head(DIMS), batch_of(objective), None)
    assert model.projected == pytest.approx(6 * DIMS.seq_len * objective.predicted_fraction(DIMS.seq_len), abs=1e-9)


def test_a_model_without_knowledge_has_the_logarithm_of_the_vocabulary(model: Bag) -> None:
    nn.init.zeros_(model.output.weight)
    nn.init.zeros_(model.output.bias)
    for objective in OBJECTIVES:
        parts = objective.loss(model, objective.build_head(DIMS), batch_of(objective), None)
        assert parts.nats.item() / parts.predictions.item() == pytest.approx(math.log(DIMS.vocab_size), rel=1e-6)


def test_padding_has_no_loss_and_no_gradient(model: Bag) -> None:
    objective = CausalLmConfig()
    batch = batch_of(objective)
    batch["targets"] = torch.full_like(batch["targets"], IGNORE_TARGET)
    parts = objective.loss(model, None, batch, None)
    parts.nats.backward()  # type: ignore[no-untyped-call]
    assert parts.nats.item() == 0.0
    assert parts.predictions.item() == 0
    assert model.output.weight.grad is not None
    assert not model.output.weight.grad.any()


def test_a_memory_is_handed_on(model: Bag) -> None:
    objective = CausalLmConfig()
    first = objective.loss(model, None, batch_of(objective), None)
    second = objective.loss(model, None, batch_of(objective), first.state)
    assert second.state is not None
    assert torch.equal(second.state[0], torch.full((6,), 2.0))


def test_bf16_models_get_their_softmax_in_fp32(model: Bag) -> None:
    objective = CausalLmConfig()
    parts = objective.loss(model.bfloat16(), None, batch_of(objective), None)
    assert parts.nats.dtype == torch.float32


def test_next_sentence_prediction_trains_head_and_model_beside_the_loss(model: Bag) -> None:
    objective = BertPretrainingConfig()
    head = objective.build_head(DIMS)
    batch = batch_of(objective)
    parts = objective.loss(model, head, batch, None)
    assert parts.auxiliary is not None
    logits = head(model.encode(batch["tokens"], token_types=batch["token_types"]).hidden[:, 0])
    expected = -logits.log_softmax(-1)[torch.arange(6), batch["is_next"]].mean()
    assert parts.auxiliary.item() == pytest.approx(expected.item(), rel=1e-6)
    parts.auxiliary.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in head.parameters())
    assert model.embedding.weight.grad is not None
    assert model.embedding.weight.grad.any()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_the_heads_parameters_are_counted(objective: ObjectiveConfig) -> None:
    head = objective.build_head(DIMS)
    built = sum(parameter.numel() for parameter in head.parameters()) if head is not None else 0
    assert objective.num_head_params(DIMS) == built


def test_a_forgotten_head_is_an_error(model: Bag) -> None:
    objective = BertPretrainingConfig()
    with pytest.raises(ValueError, match="needs the module of build_head"):
        objective.loss(model, None, batch_of(objective), None)
