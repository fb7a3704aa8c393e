"""Plans of contenders with recipes of their own, and laws as numbers in the identities of runs."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import pytest

from archbench.api import Attention, LadderConfig, ModelDims
from archbench.cli.plan import contender_lines
from archbench.contracts.common_settings import CommonSettings
from archbench.errors import SpecError
from archbench.results.tuning import TRIAL
from archbench.runs.store import ScanIndex
from archbench.scans.planner import ScanPlan
from archbench.spec.identity import RunIdentity

Plan = Callable[..., ScanPlan]
GPT2 = "  gpt2: {architecture: {kind: gpt2}}"


def own(training: str) -> tuple[str, str]:
    """A second contender with that training of its own."""
    return GPT2, f"{GPT2}\n  other:\n    architecture: {{kind: llama}}\n    training: {training}"


def identities(plan: ScanPlan, contender: str) -> list[RunIdentity]:
    return [run.plan.identity for run in plan.runs if run.contender == contender]


def test_runs_of_a_contender_are_trained_by_its_own_recipe(planned: Plan) -> None:
    plan = planned(own("{learning_rate: 1e-2, optimizer: {kind: muon}, schedule: {warmup_tokens: 5120}}"))
    for identity in identities(plan, "gpt2"):
        assert identity.training.peak_learning_rate == 3e-3
        assert identity.training.optimizer["kind"] == "adamw"
        assert identity.training.schedule.warmup_steps == 5
    for identity in identities(plan, "other"):
        assert identity.training.peak_learning_rate == 1e-2
        assert identity.training.optimizer["kind"] == "muon"
        assert identity.training.schedule.warmup_steps == 10
        assert identity.training.batch_tokens == 512
    (line,) = contender_lines(plan.index)
    assert line.startswith("other: its own training: learning_rate 0.01, schedule {")


def test_a_contender_may_be_tuned_while_others_are_not(planned: Plan) -> None:
    plan = planned(own("{learning_rate: {tune: {around: 1e-3, trials: 3, rungs: 1}}}"))
    assert {run.contender for run in plan.runs if run.role == TRIAL} == {"other"}
    assert len([run for run in plan.runs if run.role == TRIAL]) == 3 * 3
    (pending,) = plan.pending
    assert pending.what.startswith("other: ")


def test_the_same_numbers_give_the_same_runs_however_they_are_said(planned: Plan) -> None:
    """20 thousand parameters warm up for 2,560 tokens by the law as by the number of steps; ids are of numbers."""
    said = planned()
    law = planned(
        ("{warmup_steps: 5}", "{warmup_tokens: 2560}"),
        ("tokens: 40000", "tokens: {power_law: {coefficient: 40000, exponent: 0}}"),
        (
            "learning_rate: 3e-3",
            "learning_rate: 3e-3\n  optimizer: {beta2: {power_law: {coefficient: 0.05, exponent: 0}}}",
        ),
    )
    assert [run.run_id for run in law.runs] == [run.run_id for run in said.runs]


def test_laws_are_numbers_at_each_size(planned: Plan) -> None:
    plan = planned(
        ("batch_tokens: 512", "batch_tokens: {power_law: {coefficient: 0.0512, exponent: 1}}"),
        ("{warmup_steps: 5}", "{warmup_tokens: {power_law: {coefficient: 0.256, exponent: 1}}}"),
        (
            "learning_rate: 3e-3",
            "learning_rate: 3e-3\n  optimizer: {beta2: {power_law: {coefficient: 1e-4, exponent: 1}}}",
        ),
    )
    found = {run.size_index: run.plan.identity.training for run in plan.runs}
    assert [found[index].batch_tokens for index in range(3)] == [512, 1024, 2048]
    assert [found[index].schedule.warmup_steps for index in range(3)] == [5, 5, 5]
    betas = [found[index].optimizer["beta2"] for index in range(3)]
    assert betas == pytest.approx([1 - 0.0512, 1 - 0.1024, 1 - 0.2048])


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        (
            own("{learning_rate: [1e-3]}"),
            "s.yaml:7: contenders.other.training.learning_rate: has 1 entries for 3 sizes",
        ),
        (
            own("{learning_rate: {power_law: {coefficient: 99, exponent: 1}}}"),
            "other.training.learning_rate: other: gives",
        ),
        (
            own("{schedule: {warmup_tokens: 1e9}}"),
            "s.yaml:7: contenders.other.training.schedule.warmup_tokens: other: 1,9",
        ),
        (
            own("{learning_rate: {tune: {around: 5}}}"),
            "s.yaml:7: contenders.other.training.learning_rate.tune.around: other: gives 5 at ",
        ),
        (
            own("{optimizer: {beta2: {power_law: {coefficient: 1, exponent: 1}}}}"),
            "s.yaml:7: contenders.other.training.optimizer.beta2: other: the law gives 512 to forget in a step of 512",
        ),
    ],
)
def test_a_recipe_that_cannot_be_carried_out_is_told_with_its_line(
    planned: Plan, replacement: tuple[str, str], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        planned(replacement)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        (
            ("evaluation:", "execution: {zero_stage: 2}\nevaluation:"),
            "s.yaml:21: execution.zero_stage: other: got 2; optimizer 'muon' serves ZeRO stage 0 alone: choose 0, or",
        ),
        (
            ("learning_rate: 3e-3", "learning_rate: 3e-3\n  precision: bf16"),
            "s.yaml:20: training.precision: other: got bf16, which is trained at ZeRO stage 1; optimizer 'muon' serves",
        ),
    ],
)
def test_muon_is_refused_where_zero_would_give_it_parts_of_matrices(
    planned: Plan, replacement: tuple[str, str], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        planned(own("{optimizer: {kind: muon}}"), replacement)
    assert message in str(caught.value)


class Bare(LadderConfig):
    """An architecture of which nothing but its settings is asked for."""

    kind: Literal["bare"] = "bare"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    tie_output: Literal[True] = True
    output_bias: bool = True

    def build(self, dims: ModelDims, attention: Attention) -> Any:
        raise NotImplementedError

    def num_params(self, dims: ModelDims) -> Any:
        raise NotImplementedError

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> Any:
        raise NotImplementedError


def test_what_an_architecture_has_no_setting_or_no_value_for_is_not_kept() -> None:
    common = CommonSettings(tie_output=False, output_bias=False, initialisation="by_width")
    config, not_kept = Bare().with_common(common)
    assert config == Bare(output_bias=False)
    assert not_kept == ("tie_output", "initialisation")
    assert Bare().with_common(CommonSettings()) == (Bare(), ())


def test_what_contenders_have_in_common_and_what_they_cannot_have_is_printed() -> None:
    said = {"plain": {"as_published": True}, "bare": {}}
    index = ScanIndex(
        name="demo",
        description="",
        baseline=None,
        runs=(),
        spec={"common": {"tie_output": False}, "contenders": said},
        environment={"plugins": {"plain": {}, "bare": {"not_kept": ["tie_output"]}}},
    )
    assert list(contender_lines(index)) == [
        "common to all: tie_output false",
        "plain: as published, without what is common to the others",
        "bare: cannot have tie_output of what is common to the others",
    ]
