"""Examples that objectives make: what is hidden, how, and how it depends on seed, step and place."""

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from archbench.builtins.objectives.bert_pretraining import BertPretrainingConfig
from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.builtins.objectives.masked_lm import MaskedLmConfig
from archbench.contracts.objective import (
    IGNORE_TARGET,
    ExampleContext,
    ObjectiveConfig,
    Windows,
    model_vocab_size,
    special_token_ids,
)
from archbench.data.corpus import MappedTokens
from archbench.errors import SpecError

SEQ_LEN = 128
ROWS = 400
SOURCE = MappedTokens(np.arange(60_000, dtype=np.uint16))
TEXT_VOCAB_SIZE = SOURCE.num_tokens

Masking = Literal["static", "dynamic"]


def context_of(objective: ObjectiveConfig) -> ExampleContext:
    return ExampleContext(
        source=SOURCE,
        seq_len=SEQ_LEN,
        vocab_size=model_vocab_size(TEXT_VOCAB_SIZE, objective),
        text_vocab_size=TEXT_VOCAB_SIZE,
        special_ids=special_token_ids(TEXT_VOCAB_SIZE, objective),
    )


def examples_of(
    objective: ObjectiveConfig, *, step: int = 0, seed: int = 0, first: int = 0
) -> dict[str, NDArray[np.int64]]:
    stride = objective.stride(SEQ_LEN)
    starts = first + np.arange(ROWS) * stride
    tokens = SOURCE.windows(starts, stride + objective.lookahead)
    return objective.examples(Windows(tokens, starts, np.arange(ROWS), step, seed), context_of(objective))


@pytest.mark.parametrize("masking", ["static", "dynamic"])
def test_each_row_predicts_the_same_number_of_tokens_and_its_targets_are_the_text(masking: Masking) -> None:
    objective = MaskedLmConfig(masking=masking)
    batch = examples_of(objective)
    text = SOURCE.windows(np.arange(ROWS) * SEQ_LEN, SEQ_LEN)
    predicted = batch["targets"] != IGNORE_TARGET
    assert set(predicted.sum(axis=1)) == {19}  # 0.15 · 128 = 19.2
    assert objective.predicted_fraction(SEQ_LEN) == 19 / 128
    assert np.array_equal(batch["targets"][predicted], text[predicted])
    assert np.array_equal(batch["tokens"][~predicted], text[~predicted])
    assert np.array_equal(np.take_along_axis(batch["targets"], batch["positions"], axis=1), batch["position_targets"])
    assert (np.diff(batch["positions"], axis=1) > 0).all()


@pytest.mark.parametrize("objective", [MaskedLmConfig(), BertPretrainingConfig()])
def test_of_the_predicted_tokens_four_fifths_are_masked_a_tenth_random_and_a_tenth_kept(
    objective: MaskedLmConfig | BertPretrainingConfig,
) -> None:
    batch = examples_of(objective)
    shown = np.take_along_axis(batch["tokens"], batch["positions"], axis=1)
    is_mask = shown == context_of(objective).special_ids["[MASK]"]
    is_kept = shown == batch["position_targets"]
    is_random = ~is_mask & ~is_kept
    # Four standard deviations of a share of 7,600 draws: 0.018 at 0.8, 0.014 at 0.1.
    assert is_mask.mean() == pytest.approx(0.8, abs=0.018)
    assert is_random.mean() == pytest.approx(0.1, abs=0.014)
    assert shown[is_random].max() < TEXT_VOCAB_SIZE
    # Uniform over the vocabulary: the mean of 760 draws within four standard deviations, 0.29 / sqrt(760) each.
    assert (shown[is_random] / TEXT_VOCAB_SIZE).mean() == pytest.approx(0.5, abs=4 * 0.29 / np.sqrt(is_random.sum()))


def test_all_places_are_hidden_equally_often() -> None:
    counts = np.zeros(SEQ_LEN)
    for step in range(20):
        counts += (examples_of(MaskedLmConfig(), step=step)["targets"] != IGNORE_TARGET).sum(axis=0)
    shares = counts / (20 * ROWS)
    # Standard deviation sqrt(0.148 · 0.852 / 8,000) = 0.004; five of them over 128 places.
    assert np.abs(shares - 19 / 128).max() < 0.02


@pytest.mark.parametrize("objective_class", [MaskedLmConfig, BertPretrainingConfig])
def test_static_masks_stay_and_dynamic_masks_change_with_the_step(
    objective_class: type[MaskedLmConfig] | type[BertPretrainingConfig],
) -> None:
    static, dynamic = objective_class(masking="static"), objective_class(masking="dynamic")
    for name in ("tokens", "targets"):
        assert np.array_equal(examples_of(static, step=1)[name], examples_of(static, step=2)[name])
        assert not np.array_equal(examples_of(dynamic, step=1)[name], examples_of(dynamic, step=2)[name])
        assert not np.array_equal(examples_of(static, seed=1)[name], examples_of(static, seed=2)[name])


def test_static_masks_belong_to_the_text_wherever_a_window_begins() -> None:
    hidden = []
    for first in (0, 64):
        targets = examples_of(MaskedLmConfig(masking="static"), first=first)["targets"]
        hidden.append(set(targets[targets != IGNORE_TARGET].tolist()))
    common = len(hidden[0] & hidden[1]) / len(hidden[0])
    # Windows hide a fixed number, so a few differ; independent masks would share 15 %.
    assert common > 0.85


def test_a_window_hides_at_least_one_token() -> None:
    assert MaskedLmConfig(mask_probability=0.001).predicted_fraction(16) == 1 / 16


@pytest.mark.parametrize("masking", ["static", "dynamic"])
def test_pairs_are_cls_a_sep_b_sep_with_token_types(masking: Masking) -> None:
    objective = BertPretrainingConfig(masking=masking)
    special = context_of(objective).special_ids
    batch = examples_of(objective)
    assert objective.stride(SEQ_LEN) == SEQ_LEN - 3
    assert (batch["tokens"][:, 0] == special["[CLS]"]).all()
    assert (batch["tokens"][:, -1] == special["[SEP]"]).all()
    separators = batch["tokens"] == special["[SEP]"]
    assert set(separators.sum(axis=1)) == {2}
    first_separator = separators.argmax(axis=1)
    assert np.array_equal(batch["token_types"], np.arange(SEQ_LEN) > first_separator[:, None])
    in_special = np.take_along_axis(separators, batch["positions"], axis=1) | (batch["positions"] == 0)
    assert not in_special.any()
    assert batch["positions"].shape[1] == 19  # 0.15 · 125 = 18.75
    assert objective.predicted_fraction(SEQ_LEN) == 19 / 128
    quarter = (SEQ_LEN - 3) // 4
    assert first_separator.min() > quarter
    assert first_separator.max() <= SEQ_LEN - 2 - quarter


def test_half_of_the_pairs_go_on_and_the_others_come_from_elsewhere() -> None:
    objective = BertPretrainingConfig()
    batch = examples_of(objective)
    original = np.where(batch["targets"] != IGNORE_TARGET, batch["targets"], batch["tokens"])
    second = batch["token_types"].argmax(axis=1)
    # Tokens are places in the stream: B continues A where the places do.
    steps_over_the_gap = original[np.arange(ROWS), second] - original[np.arange(ROWS), second - 2]
    assert np.array_equal(steps_over_the_gap == 1, batch["is_next"] == 1)
    # Four standard deviations of 400 draws.
    assert batch["is_next"].mean() == pytest.approx(0.5, abs=0.1)
    stride = objective.stride(SEQ_LEN)
    distance = (original[np.arange(ROWS), second] - np.arange(ROWS) * stride) % SOURCE.num_tokens
    assert (distance[batch["is_next"] == 0] >= stride).all()
    for row in range(ROWS):
        b = original[row, second[row] : -1]
        assert ((np.diff(b) == 1) | (np.diff(b) == 1 - SOURCE.num_tokens)).all()


def test_too_short_a_context_for_pairs_is_refused() -> None:
    with pytest.raises(SpecError, match=r"training\.seq_len: got 6, expected at least 7 for bert_pretraining"):
        BertPretrainingConfig().stride(6)


def test_tracks_keep_losses_apart_that_do_not_compare() -> None:
    objectives = (CausalLmConfig(), MaskedLmConfig(), BertPretrainingConfig())
    assert len({objective.track for objective in objectives}) == 3
    for objective in objectives:
        assert objective.comparisons.endswith(".")
        assert objective.comparisons.count("compare") >= 1


def test_shuffled_targets_are_those_of_another_place_and_a_function_of_seed_step_and_row() -> None:
    objective = CausalLmConfig(shuffle_targets=True)
    starts = np.arange(ROWS) * SEQ_LEN
    tokens = SOURCE.windows(starts, SEQ_LEN + 1)
    windows = Windows(tokens, starts, np.arange(ROWS), 3, 7)
    made, true = (
        objective.training_examples(windows, context_of(objective)),
        objective.examples(windows, context_of(objective)),
    )
    assert np.array_equal(made["tokens"], true["tokens"])
    assert made["targets"].shape == true["targets"].shape
    # A chance window overlaps the row's own in about 2 · 128 / 60,000 of rows.
    own = [bool(np.isin(made["targets"][row], tokens[row]).any()) for row in range(ROWS)]
    assert np.mean(own) < 0.02
    part = objective.training_examples(
        Windows(tokens[10:20], starts[10:20], np.arange(10, 20), 3, 7), context_of(objective)
    )
    assert np.array_equal(part["targets"], made["targets"][10:20])
    for step, seed in ((4, 7), (3, 8)):
        other = objective.training_examples(Windows(tokens, starts, np.arange(ROWS), step, seed), context_of(objective))
        assert not np.array_equal(other["targets"], made["targets"])


def test_evaluation_sees_the_true_text_whatever_training_sees() -> None:
    shuffled, plain = CausalLmConfig(shuffle_targets=True), CausalLmConfig()
    assert np.array_equal(examples_of(shuffled)["targets"], examples_of(plain)["targets"])
    windows = Windows(SOURCE.windows(np.arange(4), SEQ_LEN + 1), np.arange(4), np.arange(4), 0, 0)
    assert np.array_equal(
        plain.training_examples(windows, context_of(plain))["targets"],
        plain.examples(windows, context_of(plain))["targets"],
    )
