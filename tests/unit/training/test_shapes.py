"""Shapes that differ from what was agreed are named; the model is as before afterwards."""

import pytest
import torch
from torch import Tensor, nn

from archbench.api import ModelDims
from archbench.errors import PluginError
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.loss import token_nats
from archbench.training.shapes import checked_shapes

DIMS = ModelDims(vocab_size=11, seq_len=4, d_model=8, n_layers=1, n_heads=1, d_ff=8)
TOKENS = torch.zeros(3, 4, dtype=torch.int64)


class Model(LanguageModel):
    def __init__(self, width: int = 8, vocab_size: int = 11, state_rows: int = 3) -> None:
        super().__init__()
        self.embedding, self.output = nn.Embedding(11, width), nn.Linear(width, vocab_size)
        self.state_rows = state_rows

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        return Encoded(self.embedding(tokens), (torch.zeros(self.state_rows, 1),))

    def logits(self, hidden: Tensor) -> Tensor:
        return self.output(hidden)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(vocab_size=12), r"logits have the shape \(3, 4, 12\), expected \(3, 4, 11\)"),
        (Model(width=6), r"hidden states have the shape \(3, 4, 6\), expected \(3, 4, 8\)"),
        (Model(state_rows=2), r"state\[0\] have the shape \(2, 1\), expected \(3, 1\)"),
    ],
)
def test_wrong_shape_is_named_with_the_one_that_was_expected(model: Model, message: str) -> None:
    with checked_shapes(model, DIMS, "x"), pytest.raises(PluginError, match=f"architecture 'x': {message}"):
        model(TOKENS)
    model(TOKENS)


def test_sound_model_computes_the_same_and_keeps_functions_of_its_own() -> None:
    model = Model()
    expected, own = model(TOKENS), model.logits
    vars(model)["logits"] = own
    with checked_shapes(model, DIMS, "x"):
        assert torch.equal(model(TOKENS), expected)
        # The same rows by the same function: a product of another shape may differ in its last bit.
        some = model.encode(TOKENS).hidden[:, 1]
        assert torch.equal(model.logits(some), own(some))
    assert vars(model)["logits"] is own
    assert "encode" not in vars(model)


class HandsOut(Model):
    """Says what makes its logits instead of making them."""

    logits = LanguageModel.logits

    def output_weights(self) -> Projection:
        return Projection(self.output.weight, self.output.bias)


def test_an_output_that_is_handed_out_is_looked_at_too() -> None:
    wide = HandsOut(vocab_size=12)
    with (
        checked_shapes(wide, DIMS, "x"),
        pytest.raises(PluginError, match=r"weights of the output have the shape \(12, 8\), expected \(11, 8\)"),
    ):
        token_nats(wide, torch.zeros(1, 8), torch.zeros(1, dtype=torch.int64), ignored=-100)
    model = HandsOut()
    with checked_shapes(model, DIMS, "x"):
        assert model.derives_logits, "a check must not stand in the way of the loss in blocks"
        model(TOKENS)
    assert "output_weights" not in vars(model)


def test_an_output_of_another_kind_is_named() -> None:
    model = HandsOut()
    vars(model)["output_weights"] = lambda: model.output.weight
    with checked_shapes(model, DIMS, "x"), pytest.raises(PluginError, match="output_weights returned Parameter"):
        model(TOKENS)
