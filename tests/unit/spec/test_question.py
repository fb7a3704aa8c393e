"""The question of a spec: where it is asked, of which baseline, and what checks its answers."""

import pytest
from made_specs import spec_of, written_again

from archbench.errors import SpecError
from archbench.spec.models import Spec
from archbench.spec.question import AtCost

TEXT = """\
name: trial
contenders:
  gpt2: {architecture: {kind: gpt2}}
  llama: {architecture: {kind: llama}}
  masked: {architecture: {kind: bert}, objective: {kind: masked_lm}}
question: QUESTION
data:
  dataset: {kind: text_files, paths: [a.txt]}
  tokenizer: {kind: bytes}
scan: {sizes: [1e4, 2e4, 4e4], tokens: 1.5e6}
training: {seq_len: 128, batch_tokens: 4096, learning_rate: 3e-3}
"""


def asking(question: str, text: str = TEXT) -> Spec:
    return spec_of(text.replace("QUESTION", question))


def test_a_question_may_name_the_baseline_of_the_spec() -> None:
    assert asking("{baseline: gpt2, margin: 1.1}").baseline == "gpt2"
    assert asking("{margin: 1.1}").baseline is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{at: [2.9, 2.6]}", (2.9, 2.6)),
        ("{at: 3e12}", 3e12),
        ("{at: {cost: 3e12}}", AtCost(cost=3e12)),
        ("{at: {cost: 60, axis: device_seconds}}", AtCost(cost=60.0, axis="device_seconds")),
        ("{margin: 1.1}", None),
    ],
)
def test_it_is_asked_at_losses_or_at_a_cost(written: str, expected: object) -> None:
    spec = asking(written)
    assert spec.question is not None
    assert spec.question.at == expected
    again = written_again(spec)
    assert again.question == spec.question


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{at: [2.6, 2.9]}", "expected a higher loss, then a lower one"),
        ("{at: -3}", "question.at: got -3"),
        ("{at: {cost: 3, axis: seconds}}", "question.at.axis"),
        ("{baseline: gpt3}", "question.baseline: there is no contender 'gpt3'; did you mean 'gpt2'?"),
        ("{controls: [baseline_again]}", "question.controls: are ladders of the baseline, and none is named"),
        ("{baseline: gpt2, controls: [placebo]}", "question.controls[0]"),
        ("{baseline: gpt2, controls: [baseline_again, baseline_again]}", "expected each of them once"),
        ("{baseline: masked, controls: [shuffled_targets]}", "'masked_lm' of 'masked' has no shuffle_targets"),
    ],
)
def test_what_is_wrong_is_one_line(written: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        asking(written)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_baselines_are_refused() -> None:
    with pytest.raises(SpecError, match=r"got 'llama', but the spec's baseline is 'gpt2'"):
        asking("{baseline: llama}", TEXT.replace("name: trial", "name: trial\nbaseline: gpt2"))


def test_controls_are_the_baseline_with_other_seeds_and_with_shuffled_targets() -> None:
    spec = asking("{baseline: gpt2, controls: [baseline_again, shuffled_targets]}")
    again, shuffled = spec.controls
    base = spec.contenders[0]
    assert [one.name for one in spec.contenders] == ["gpt2", "llama", "masked"]
    assert (again.name, again.architecture, again.objective) == ("baseline_again", base.architecture, base.objective)
    assert again.first_seed >= 100  # seeds of a scan are below
    assert shuffled.objective.model_dump() == {"kind": "causal_lm", "shuffle_targets": True}
    assert base.objective.model_dump() == {"kind": "causal_lm"}


def test_a_contender_of_a_controls_name_is_refused() -> None:
    with pytest.raises(SpecError, match="is the name of a control"):
        asking("{baseline: gpt2, controls: [baseline_again]}", TEXT.replace("  llama:", "  baseline_again:"))
