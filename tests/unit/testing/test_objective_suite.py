"""The objective suite passes a plain objective and catches what it is there to catch."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from archbench.api import Attention, ExampleContext, LossParts, ObjectiveConfig, Windows
from archbench.nn.language_model import LanguageModel, State
from archbench.testing.objective import ObjectiveConformance
from archbench.testing.text import RandomText


class NextTokenConfig(ObjectiveConfig):
    kind: Literal["next_token"] = "next_token"
    summary: ClassVar[str] = "the next token"
    attention: ClassVar[Attention] = Attention.CAUSAL
    track: ClassVar[str] = "causal"
    comparisons: ClassVar[str] = "Only with itself."
    lookahead: ClassVar[int] = 1
    predicts_every_token: ClassVar[bool] = True

    def examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        return {"tokens": windows.tokens[:, :-1], "targets": windows.tokens[:, 1:]}

    def loss(
        self, model: LanguageModel, head: nn.Module | None, batch: Mapping[str, Tensor], state: State | None
    ) -> LossParts:
        logits = model(batch["tokens"]).flatten(0, 1)
        nats = cross_entropy(logits, batch["targets"].flatten(), reduction="sum")
        return LossParts(nats, torch.tensor(batch["targets"].numel()), None, None)


class TestNextToken(ObjectiveConformance):
    config = NextTokenConfig()

    @pytest.mark.skip(reason="its config lives in a test file that imports torch")
    def test_importing_and_planning_load_no_torch(self) -> None: ...


def mutant(**members: Any) -> ObjectiveConformance:
    """The suite on an objective that differs from `NextTokenConfig` in `members`."""

    class Suite(ObjectiveConformance):
        config = type("Mutant", (NextTokenConfig,), {"__module__": __name__, **members})()

    return Suite()


def test_an_objective_that_shows_the_answer_is_caught() -> None:
    def examples(self: Any, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        return {"tokens": windows.tokens[:, 1:], "targets": windows.tokens[:, 1:]}

    with pytest.raises(AssertionError, match="100% of the predicted positions show their target"):
        mutant(examples=examples).test_answers_are_hidden()


def test_randomness_that_depends_on_the_other_rows_is_caught() -> None:
    def examples(self: Any, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        noise = np.random.default_rng((windows.seed, windows.step)).integers(250, size=windows.tokens.shape)
        return {"tokens": noise[:, :-1], "targets": windows.tokens[:, 1:]}

    with pytest.raises(AssertionError, match="tokens depends on the other rows"):
        mutant(examples=examples).test_examples_are_a_function_of_seed_step_and_row()


def test_an_id_out_of_nowhere_is_caught() -> None:
    def examples(self: Any, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        return {"tokens": np.full_like(windows.tokens[:, 1:], context.vocab_size), "targets": windows.tokens[:, 1:]}

    with pytest.raises(AssertionError, match=r"tokens has ids \[256\]"):
        mutant(examples=examples).test_tokens_are_text_or_announced_special_tokens()


def test_a_wrong_share_of_predictions_is_caught() -> None:
    with pytest.raises(AssertionError, match=r"predicted_fraction says 0\.150, examples predict 1\.000"):
        mutant(
            predicted_fraction=lambda self, seq_len: 0.15
        ).test_predicted_fraction_is_the_share_of_positions_with_logits()


def test_a_mean_in_place_of_a_sum_is_caught() -> None:
    def loss(self: Any, model: LanguageModel, head: Any, batch: Mapping[str, Tensor], state: Any) -> LossParts:
        parts = NextTokenConfig().loss(model, head, batch, state)
        return parts._replace(nats=parts.nats / parts.predictions)

    with pytest.raises(AssertionError, match="not close"):
        mutant(loss=loss).test_loss_is_the_cross_entropy_of_the_targets_in_nats()
    with pytest.raises(AssertionError, match="not close"):
        mutant(loss=loss).test_losses_of_parts_of_a_batch_add_up()


def test_losses_that_are_no_logarithms_of_probabilities_are_caught() -> None:
    def loss(self: Any, model: LanguageModel, head: Any, batch: Mapping[str, Tensor], state: Any) -> LossParts:
        parts = NextTokenConfig().loss(model, head, batch, state)
        return parts._replace(nats=parts.nats / math.log(2))

    with pytest.raises(AssertionError, match=r"probabilities of all targets sum to 0\.\d{4}"):
        mutant(loss=loss).test_probabilities_of_all_tokens_sum_to_one()


def test_a_head_that_was_not_counted_is_caught() -> None:
    with pytest.raises(AssertionError, match="num_head_params does not say 50"):
        mutant(build_head=lambda self, dims: nn.Linear(dims.d_model, 2)).test_head_has_the_announced_parameters()


def test_random_text_wraps_round_at_its_end() -> None:
    text = RandomText.drawn(10, 5)
    np.testing.assert_array_equal(text.window(8, 4), text.tokens[[8, 9, 0, 1]])
