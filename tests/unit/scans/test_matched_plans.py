"""Plans whose contenders cost the same per token, and specs that ask for steps."""

from collections.abc import Callable

import pytest

from archbench.errors import SpecError
from archbench.scans.planner import ScanPlan

Plan = Callable[..., ScanPlan]

OTHER = ("{kind: gpt2}}", "{kind: gpt2}}\n  other: {architecture: {kind: controlled, mixer: linear, chunk_size: 16}}")
MATCH = ("  seeds:", "  match: exact_flops\n  seeds:")


def costs(plan: ScanPlan, contender: str) -> dict[int, float]:
    return {run.size_index: run.plan.facts.exact_flops_per_token for run in plan.runs if run.contender == contender}


def test_matched_contenders_cost_what_the_baseline_costs_at_every_size(planned: Plan) -> None:
    free, matched = planned(OTHER), planned(OTHER, MATCH)
    assert any(abs(costs(free, "other")[size] / costs(free, "gpt2")[size] - 1.0) > 0.02 for size in range(3))
    for size in range(3):
        assert costs(matched, "other")[size] == pytest.approx(costs(matched, "gpt2")[size], rel=0.02)
    assert costs(matched, "gpt2") == costs(free, "gpt2")


def test_matching_changes_no_run_of_the_baseline_and_parameters_is_todays_rule(planned: Plan) -> None:
    free, matched = planned(OTHER), planned(OTHER, MATCH)
    asked = planned(OTHER, ("  seeds:", "  match: parameters\n  seeds:"))
    assert [run.run_id for run in asked.runs] == [run.run_id for run in free.runs]
    assert asked.index.spec == free.index.spec
    assert "match" not in free.index.spec["scan"]
    assert matched.index.spec["scan"]["match"] == "exact_flops"
    baselines = [{run.run_id for run in plan.runs if run.contender == "gpt2"} for plan in (free, matched)]
    assert baselines[0] == baselines[1]


def test_matching_without_a_baseline_is_refused(planned: Plan) -> None:
    with pytest.raises(SpecError, match=r"scan\.match: got exact_flops, but no `baseline` says"):
        planned(MATCH, ("baseline: gpt2\n", ""))


def test_a_cost_that_a_contender_cannot_have_is_refused_with_its_name_and_the_nearest(planned: Plan) -> None:
    tiny = ("sizes: [1e4, 2e4, 4e4]", "sizes: [1900, 4e4]")
    greedy = ("{kind: gpt2}}", "{kind: gpt2}}\n  greedy: {architecture: {kind: transformer_xl, mem_len: 4096}}")
    with pytest.raises(SpecError, match=r"scan\.sizes\[0\]: greedy: cannot match gpt2 at 1900 parameters: no shape"):
        planned(greedy, MATCH, tiny)


def test_the_steps_of_a_spec_are_kept_and_others_do_without(planned: Plan) -> None:
    chained = planned(OTHER, ("data:\n", "decompose: [gpt2, other]\ndata:\n"))
    assert chained.index.spec["decompose"] == ["gpt2", "other"]
    plain = planned(OTHER)
    assert "decompose" not in plain.index.spec
    assert [run.run_id for run in chained.runs] == [run.run_id for run in plain.runs]


@pytest.mark.parametrize(
    ("chain", "problem"),
    [
        ("[gpt2, othr]", r"decompose\[1\]: there is no contender 'othr'; did you mean 'other'"),
        ("[gpt2, other, gpt2]", r"decompose\[2\]: 'gpt2' stands there twice"),
        ("[gpt2]", r"decompose: got"),
    ],
)
def test_steps_that_lead_nowhere_are_refused_with_their_place(planned: Plan, chain: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        planned(OTHER, ("data:\n", f"decompose: {chain}\ndata:\n"))


def test_steps_between_tracks_are_refused(planned: Plan) -> None:
    masked = ("{kind: gpt2}}", "{kind: gpt2}}\n  m: {architecture: {kind: bert}, objective: {kind: masked_lm}}")
    with pytest.raises(SpecError, match="'m' is of track masked, 'gpt2' of causal: their losses do not compare"):
        planned(masked, ("data:\n", "decompose: [gpt2, m]\ndata:\n"))
