"""Recipes of contenders: what a spec says for all, what one says for itself, and laws taken at a size."""

import pytest
from made_specs import changed, message_of, spec_of, written_again

from archbench.errors import ArchbenchError
from archbench.spec.models import Contender, Spec

TEXT = """\
name: trial
contenders:
  plain: {architecture: {kind: gpt2}}
  other:
    architecture: {kind: llama}
    training:
      learning_rate: {power_law: {coefficient: 0.5, exponent: -0.4}}
      schedule: {warmup_tokens: 4096}
      optimizer: {beta2: 0.99}
data:
  dataset: {kind: text_files, paths: [a.txt]}
  tokenizer: {kind: bytes}
scan: {sizes: [1e4, 2e4, 4e4], tokens: 1.5e6}
training:
  seq_len: 128
  batch_tokens: 4096
  learning_rate: 3e-3
  schedule: {kind: linear, warmup_steps: 50}
  optimizer: {beta1: 0.8, beta2: 0.9}
"""


def spec_with(*replacements: tuple[str, str]) -> Spec:
    return spec_of(changed(TEXT, *replacements))


def contender(spec: Spec, name: str) -> Contender:
    return next(one for one in spec.contenders if one.name == name)


def message_with(*replacements: tuple[str, str]) -> str:
    return message_of(changed(TEXT, *replacements), ArchbenchError)


def test_without_a_kind_the_optimizer_is_adamw() -> None:
    optimizer = contender(spec_with(), "plain").recipe.optimizer.at(4096)
    assert optimizer.model_dump() == {
        "kind": "adamw",
        "max_grad_norm": 1.0,
        "beta1": 0.8,
        "beta2": 0.9,
        "epsilon": 1e-8,
        "weight_decay": 0.1,
    }


def test_a_contenders_own_recipe_is_the_specs_but_for_what_it_says() -> None:
    spec = spec_with()
    plain, other = (contender(spec, name).recipe for name in ("plain", "other"))
    assert plain.section.learning_rate == 3e-3
    assert plain.schedule_at(1e4, 4096).warmup_steps == 50
    assert other.schedule_at(1e4, 512).model_dump() == {
        "kind": "linear",
        "warmup_steps": 8,
        "final_fraction": 0.1,
        "decay_fraction": 0.2,
    }
    settings = other.optimizer.at(512).model_dump()
    assert (settings["beta1"], settings["beta2"]) == (0.8, 0.99)
    assert plain.own_settings() == {}
    assert other.own_settings().keys() == {"learning_rate", "schedule", "optimizer"}


def test_an_optimizer_of_another_kind_takes_nothing_from_the_specs() -> None:
    own = contender(spec_with(("optimizer: {beta2: 0.99}", "optimizer: {kind: muon}")), "other").recipe
    assert own.optimizer.at(512).model_dump()["beta1"] == 0.9
    assert own.loc("optimizer", "beta2") == ("contenders", "other", "training", "optimizer", "beta2")
    assert own.loc("precision") == ("training", "precision")


def test_a_decay_may_be_a_law_of_the_batch_in_tokens() -> None:
    """At eight times the tokens a step forgets eight times as much: the same half-life in tokens."""
    law = "{power_law: {coefficient: 1e-5, exponent: 1}}"
    optimizer = contender(spec_with(("beta2: 0.9}", f"beta2: {law}}}")), "plain").recipe.optimizer
    assert optimizer.at(1000).model_dump()["beta2"] == pytest.approx(0.99)
    assert optimizer.at(8000).model_dump()["beta2"] == pytest.approx(0.92)
    assert optimizer.dump()["beta2"] == {"power_law": {"coefficient": 1e-5, "exponent": 1.0}}
    with pytest.raises(ValueError, match=r"gives 10 to forget in a step of 1,000,000 tokens, expected more than 0"):
        optimizer.at(1_000_000)


def test_a_warm_up_may_be_a_law_of_the_target_size() -> None:
    law = "warmup_tokens: {power_law: {coefficient: 1, exponent: 1}}"
    recipe = contender(spec_with(("warmup_steps: 50", law)), "plain").recipe
    assert [recipe.schedule_at(size, 512).warmup_steps for size in (100, 1e4, 4e4)] == [1, 20, 78]


def test_budgets_may_be_laws_of_the_target_size() -> None:
    law = "{power_law: {coefficient: 2, exponent: 0.5}}"
    assert spec_with(("tokens: 1.5e6", f"tokens: {law}")).scan.budgets(9_900, 1e4) == [
        (pytest.approx(200.0), ("scan", "tokens"))
    ]
    assert spec_with(("tokens: 1.5e6", f"tokens_per_param: {law}")).scan.budgets(9_900, 1e4) == [
        (pytest.approx(200.0 * 9_900), ("scan", "tokens_per_param"))
    ]
    longer = "{power_law: {coefficient: 4, exponent: 0.5}}"
    assert spec_with(("tokens: 1.5e6", f"tokens: [{law}, {longer}]")).scan.budgets(9_900, 1e4) == [
        (pytest.approx(200.0), ("scan", "tokens", 0)),
        (pytest.approx(400.0), ("scan", "tokens", 1)),
    ]


def test_the_resolved_spec_gives_the_same_recipes() -> None:
    spec = spec_with()
    resolved = spec.resolved()
    assert resolved["training"]["optimizer"]["kind"] == "adamw"
    assert resolved["contenders"]["other"]["training"]["schedule"] == {
        "kind": "linear",
        "warmup_tokens": 4096.0,
        "final_fraction": 0.1,
        "decay_fraction": 0.2,
    }
    assert "training" not in resolved["contenders"]["plain"]
    again = written_again(spec)
    assert again.resolved() == resolved
    assert contender(again, "other").recipe.optimizer.at(64) == contender(spec, "other").recipe.optimizer.at(64)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{beta2: 0.99}", "{beta2: 2}", "s.yaml:9: contenders.other.training.optimizer.beta2: got 2"),
        (
            "{beta2: 0.99}",
            "{beta_2: 0.9}",
            "s.yaml:9: contenders.other.training.optimizer.beta_2: unknown key; did you",
        ),
        (
            "{beta2: 0.99}",
            "{kind: moun}",
            "s.yaml:9: contenders.other.training.optimizer.kind: optimizer 'moun' is not",
        ),
        (
            "{beta2: 0.99}",
            "{beta2: {power_law: {coefficient: 1}}}",
            "s.yaml:9: contenders.other.training.optimizer.beta2.power_law.exponent: is missing",
        ),
        ("{beta2: 0.99}", "{beta1: {power_law: {}}}", "s.yaml:9: contenders.other.training.optimizer.beta1: got {"),
        ("{warmup_tokens: 4096}", "{warmup: 1}", "s.yaml:8: contenders.other.training.schedule.warmup: unknown key"),
        (
            "{warmup_tokens: 4096}",
            "{warmup_tokens: 1, warmup_steps: 1}",
            "s.yaml:8: contenders.other.training.schedule:",
        ),
        ("schedule: {warmup_tokens: 4096}", "seq_len: 4", "s.yaml:8: contenders.other.training.seq_len: unknown key"),
        (
            "{coefficient: 0.5, exponent: -0.4}",
            "{coefficient: x, exponent: -0.4}",
            "s.yaml:7: contenders.other.training.learning_rate.",
        ),
        ("tokens: 1.5e6", "tokens: {power_law: {coefficient: 1}}", "scan.tokens.power_law.exponent: is missing"),
        (
            "tokens: 1.5e6",
            "tokens: [{power_law: {coefficient: 4, exponent: 0.5}}, {power_law: {coefficient: 2, exponent: 0.5}}]",
            "scan.tokens: got 2 after 4; entries must rise",
        ),
        (
            "tokens: 1.5e6",
            "tokens: [{power_law: {coefficient: 2, exponent: 0.4}}, {power_law: {coefficient: 4, exponent: 0.5}}]",
            "scan.tokens: the laws of a list differ in their coefficient alone",
        ),
        ("beta1: 0.8", "weight_decay: true", "s.yaml:19: training.optimizer.weight_decay: got true, expected a number"),
    ],
)
def test_a_mistake_in_a_recipe_is_told_with_its_line(old: str, new: str, message: str) -> None:
    assert message in message_with((old, new))


def test_what_all_have_in_common_is_set_in_each_but_those_as_published() -> None:
    controlled = "{kind: controlled}"
    spec = spec_with(
        ("{kind: gpt2}}", f"{controlled}}}"),
        ("    architecture: {kind: llama}", f"    as_published: true\n    architecture: {controlled}"),
        ("data:\n", "common: {output_bias: true}\ndata:\n"),
    )
    plain, other = (contender(spec, name) for name in ("plain", "other"))
    assert plain.architecture.model_dump()["output_bias"] is True
    assert "output_bias" not in other.architecture.model_dump()
    assert (plain.as_published, other.as_published) == (False, True)
    assert plain.not_kept == other.not_kept == ()
    resolved = spec.resolved()
    assert resolved["common"] == {"output_bias": True}
    assert resolved["contenders"]["other"]["as_published"] is True
    again = written_again(spec)
    assert again.resolved() == resolved


def test_a_mistake_in_what_is_common_is_told_with_its_line() -> None:
    message = message_with(("data:\n", "common: {tie_outputs: true}\ndata:\n"))
    assert message.startswith("s.yaml:10: common.tie_outputs: unknown key; did you mean 'tie_output'?")
