"""Rates and batches as specs give them."""

import math

import pytest
from made_specs import message_of, spec_of

from archbench.contracts.values import Law, PowerLaw
from archbench.spec.models import Spec
from archbench.spec.rates import TunedRate, TuneSettings, given_batch, given_rate

TEXT = """\
name: trial
contenders:
  gpt2: {architecture: {kind: gpt2}}
data:
  dataset: {kind: text_files, paths: [a.txt]}
  tokenizer: {kind: bytes}
scan: {sizes: [1e4, 2e4, 4e4], tokens: 1.5e6}
training:
  seq_len: 128
  batch_tokens: 4096
  learning_rate: 3e-3
"""


def tuned(settings: str) -> str:
    return TEXT.replace("learning_rate: 3e-3", f"learning_rate: {{tune: {settings}}}")


def settings_of(spec: Spec) -> TuneSettings:
    assert isinstance(spec.training.learning_rate, TunedRate)
    return spec.training.learning_rate.tune


def test_a_tuned_rate_says_where_its_grid_lies() -> None:
    tune = settings_of(spec_of(tuned("{around: {power_law: {coefficient: 0.5, exponent: -0.43}}, span: 8, trials: 7}")))
    assert tune.mode == "per_size"
    assert isinstance(tune.around, Law)
    assert [rung.count for rung in tune.halving()] == [7, 4]
    assert tune.grid(1e-3)[0] == pytest.approx(1e-3 / 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{}", "s.yaml:11: training.learning_rate.tune.around: is missing"),
        ("{around: x}", "training.learning_rate.tune.around: got \"x\", expected 'kaplan'"),
        ("{around: 3e-3, trails: 5}", "training.learning_rate.tune.trails: unknown key; did you mean 'trials'?"),
        ("{around: 3e-3, trials: 2}", "training.learning_rate.tune.trials: got 2, which should be greater than or"),
        ("{around: 3e-3, span: 1}", "training.learning_rate.tune.span: got 1, which should be greater than 1"),
        ("{around: 3e-3, mode: extrapolate, eta: 4}", "needs 3 rates in the last rung to place the best one"),
        ("{around: {tune: {around: 3e-3}}}", "training.learning_rate.tune.around"),
        (
            "{around: {power_law: {coefficient: 1}}}",
            "training.learning_rate.tune.around.power_law.exponent: is missing",
        ),
    ],
)
def test_a_mistake_in_the_tuning_is_told_with_its_place(settings: str, message: str) -> None:
    assert message in message_of(tuned(settings))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ("[4096, x, 4096]", 'training.batch_tokens[1]: got "x", expected a whole number'),
        ("{power_law: {coefficient: 12}}", "training.batch_tokens.power_law.exponent: is missing"),
        ("0", "training.batch_tokens: got 0, which should be greater than 0"),
    ],
)
def test_a_mistake_in_the_batch_is_told_with_its_place(batch: str, message: str) -> None:
    assert message in message_of(TEXT.replace("batch_tokens: 4096", f"batch_tokens: {batch}"))


def test_a_batch_may_be_a_list_or_a_law_of_the_target_size() -> None:
    assert given_batch(4096, 1, 2e4, 128) == 4096
    assert given_batch([1024, 2048], 1, 2e4, 128) == 2048
    law = Law(power_law=PowerLaw(coefficient=20.0, exponent=0.5))
    assert given_batch(law, 0, 1e4, 128) == 2048  # 2000 tokens in whole rows
    assert given_batch(law, 0, 1.0, 128) == 128  # never less than one row


def test_rates_follow_their_form() -> None:
    assert given_rate(3e-3, 2, 10_000) == 3e-3
    assert given_rate([1e-3, 2e-3], 1, 10_000) == 2e-3
    assert given_rate("kaplan", 0, 10_000) == pytest.approx(0.003239 - 0.0001395 * math.log(1e4))
    law = Law(power_law=PowerLaw(coefficient=0.5, exponent=-0.43))
    assert given_rate(law, 0, 10_000) == pytest.approx(0.5 * 1e4**-0.43)
    assert given_rate(Law(power_law=PowerLaw(coefficient=1.0, exponent=1e6)), 0, 10_000) == math.inf
