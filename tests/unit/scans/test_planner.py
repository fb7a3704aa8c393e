"""Every number of a run is resolved, and every problem found, before anything is trained."""

import math
import sys
from collections.abc import Callable

import pytest

from archbench.errors import ArchbenchError, DataError, PluginError, SpecError
from archbench.host import default_host
from archbench.planning.estimate import Rates, estimate_run, held_out_tokens
from archbench.results.runs import CONTROL, RESULT
from archbench.scans.jobs import label
from archbench.scans.planner import ScanPlan

Plan = Callable[..., ScanPlan]


def test_a_scan_has_a_run_for_each_size_and_seed(planned: Plan) -> None:
    plan = planned()
    assert [(run.size_index, run.seed) for run in plan.runs] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert len({run.run_id for run in plan.runs}) == 5
    for run, target in zip(plan.runs, (1e4, 1e4, 2e4, 2e4, 4e4), strict=True):
        # The ladder promises 5 %.
        assert run.plan.facts.non_embedding_params == pytest.approx(target, rel=0.05)
        assert run.tokens == 78 * 512
        assert run.kaplan_flops == 6.0 * run.plan.facts.non_embedding_params * run.tokens
        assert run.exact_flops > run.kaplan_flops


def test_names_and_execution_change_no_run_id_and_numbers_do(planned: Plan) -> None:
    ids = [run.run_id for run in planned().runs]
    same = planned(("name: trial", "name: other"), ("  gpt2:", "  base:"), ("baseline: gpt2", "baseline: base"))
    assert [run.run_id for run in same.runs] == ids
    settings = "execution: {threads: 2, micro_batch_rows: 2, nproc: 4, zero_stage: 3, watchdog_seconds: 9}"
    threads = planned(("evaluation:", f"{settings}\nevaluation:"))
    assert [run.run_id for run in threads.runs] == ids
    for old, new in (("3e-3", "2e-3"), ("tokens: 40000", "tokens: 50000"), ("points: 4", "points: 5")):
        assert not set(ids) & {run.run_id for run in planned((old, new)).runs}


def test_two_contenders_of_the_same_settings_share_their_runs(planned: Plan) -> None:
    plan = planned(("{kind: gpt2}}", "{kind: gpt2}}\n  twin: {architecture: {kind: gpt2}}"))
    assert len(plan.runs) == 10
    assert len(plan.distinct_runs()) == 5


def test_the_parameters_of_an_objectives_head_count_as_non_embedding(planned: Plan) -> None:
    bert = ("{kind: gpt2}}", "{kind: bert}}")
    plain = planned(bert, ("data:\n", "objective: {kind: masked_lm}\ndata:\n"))
    paired = planned(bert, ("data:\n", "objective: {kind: bert_pretraining}\ndata:\n"))
    for one, other in zip(plain.runs, paired.runs, strict=True):
        width = one.plan.identity.dims.d_model
        head = other.plan.facts.non_embedding_params - one.plan.facts.non_embedding_params
        assert one.plan.identity.dims == other.plan.identity.dims
        assert head >= 2 * width


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ("1e-3", lambda N, index: 1e-3),
        ("kaplan", lambda N, index: 0.003239 - 0.0001395 * math.log(N)),
        ("[1e-3, 2e-3, 3e-3]", lambda N, index: (1e-3, 2e-3, 3e-3)[index]),
        ("{power_law: {coefficient: 0.5, exponent: -0.5}}", lambda N, index: 0.5 * N**-0.5),
    ],
)
def test_the_learning_rate_follows_its_rule(planned: Plan, rate: str, expected: Callable[[int, int], float]) -> None:
    for run in planned(("3e-3", rate)).runs:
        wanted = expected(run.plan.facts.non_embedding_params, run.size_index)
        # Rounding of a few floating-point operations.
        assert run.plan.identity.training.peak_learning_rate == pytest.approx(wanted, rel=1e-12)


def test_tokens_per_parameter_follow_the_real_size(planned: Plan) -> None:
    for run in planned(("tokens: 40000", "tokens_per_param: 5")).runs:
        # Half a batch of rounding.
        assert run.tokens == pytest.approx(5 * run.plan.facts.non_embedding_params, abs=256)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1e4, 2e4, 4e4]", "[1e4, 4e4, 2e4]", "s.yaml:10: scan.sizes[2]: got 20000 after 40000; sizes must rise"),
        ("[1e4, 2e4, 4e4]", "[1e4, 1.001e4]", "scan.sizes[1]: 10010 gives 'gpt2' the same shape as 10000"),
        ("[1e4, 2e4, 4e4]", "[1e4, 1e12]", "s.yaml:10: scan.sizes[1]: gpt2: no shape has about 1,000,000,000,000"),
        (
            "batch_tokens: 512",
            "batch_tokens: 500",
            "s.yaml:15: training.batch_tokens: got 500, which is not a multiple",
        ),
        ("learning_rate: 3e-3", "learning_rate: [1e-3]", "training.learning_rate: has 1 entries for 3 sizes"),
        ("warmup_steps: 5", "warmup_steps: 78", "s.yaml:17: training.schedule.warmup_steps: gpt2: 78 steps of warm-up"),
        ("tokens: 40000", "tokens: 4e6", "data.max_epochs (16)"),
        ("{kind: gpt2}}", "{kind: gpt2}, objective: {kind: masked_lm}}", "attends causal, prefix only"),
        ("{kind: gpt2}}", "{kind: reformer}, objective: {kind: prefix_lm}}", "attends bidirectional, causal only"),
        ("{kind: gpt2}", "{kind: reformer, bucket_size: 48}", "seq_len 64 is not divisible by twice bucket_size 48"),
        ("{kind: gpt2}}", "{kind: roberta}, objective: {kind: bert_pretraining}}", "lacks; choose another objective"),
        ("evaluation:", "execution: {micro_batch_rows: 3}\nevaluation:", "got 3, which does not divide the 8 rows"),
        (
            "evaluation:",
            "execution: {nproc: 3}\nevaluation:",
            "s.yaml:18: execution.nproc: got 3, which does not divide the 8 rows of a batch; choose 2, or another",
        ),
        (
            "evaluation:",
            "execution: {nproc: 2, micro_batch_rows: 8}\nevaluation:",
            "s.yaml:18: execution.micro_batch_rows: got 8, which does not divide the 4 rows that each of 2 ranks takes",
        ),
        ("evaluation:", "execution: {zero_stage: 3}\nevaluation:", "one process has nobody to share its parameters"),
    ],
)
def test_what_cannot_be_trained_is_told_with_its_place(planned: Plan, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        planned((old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_memory_across_segments_needs_the_stream_order(planned: Plan) -> None:
    memory = ("{kind: gpt2}", "{kind: transformer_xl}")
    assert planned(memory).runs
    with pytest.raises(SpecError, match="carries memory; choose passages or stream"):
        planned(memory, ("data:\n", "data:\n  order: shuffled\n"))


def test_text_shorter_than_a_batch_is_told(planned: Plan) -> None:
    with pytest.raises(DataError, match=r"s\.yaml:6: data\.dataset: the training split has"):
        planned(("batch_tokens: 512", "batch_tokens: 65536"), ("tokens: 40000", "tokens: 1e6"))


def test_many_epochs_and_few_sizes_are_warned_of(planned: Plan) -> None:
    assert any("times" in warning for warning in planned(("tokens: 40000", "tokens: 4e5")).warnings)
    assert any("3 sizes" in warning for warning in planned().warnings)


def test_no_problem_of_a_plan_is_more_than_one_line(planned: Plan) -> None:
    with pytest.raises(ArchbenchError) as caught:
        planned(("FOLDER/*.txt", "FOLDER/none/*.txt"))
    assert len(str(caught.value).splitlines()) == 1


def test_a_problem_of_the_text_names_the_line_of_the_spec_that_asks_for_it(planned: Plan) -> None:
    with pytest.raises(DataError, match=r"s\.yaml:6: data: .*no file matches this pattern"):
        planned(("FOLDER/*.txt", "FOLDER/none/*.txt"))


def test_a_plugin_that_ends_the_process_while_it_is_planned_is_named(
    planned: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = default_host().registry.architectures["gpt2"].config
    monkeypatch.setattr(architecture, "sized_for", lambda *_, **__: sys.exit(7))
    with pytest.raises(PluginError, match="failed on architecture 'gpt2', size 10000: SystemExit: 7"):
        planned()


def test_each_budget_is_a_run_and_shorter_ones_branch_off_the_longest(planned: Plan) -> None:
    schedule = "schedule: {kind: warmup_stable_decay, warmup_steps: 5}"
    plan = planned(("tokens: 40000", "tokens: [1e4, 2e4, 4e4]"), ("schedule: {warmup_steps: 5}", schedule))
    short, middle, trunk = plan.runs[:3]
    assert [run.tokens for run in (short, middle, trunk)] == [10_240, 19_968, 39_936]
    assert short.after == middle.after == (trunk.run_id,)
    assert trunk.plan.execution.keep_steps == (16, 31)
    branch = short.plan.execution.branch_from
    assert branch is not None
    assert (branch.run_id, branch.step) == (trunk.run_id, 16)
    assert short.own_flops == pytest.approx(short.exact_flops * 4 / 20)
    assert trunk.own_flops == trunk.exact_flops
    separate = planned(("tokens: 40000", "tokens: [1e4, 2e4]"))
    assert all(run.plan.execution.branch_from is None for run in separate.runs)


def test_runs_that_differ_in_their_budget_alone_are_named_by_it(planned: Plan) -> None:
    names = [label(run) for run in planned(("tokens: 40000", "tokens: [1e4, 2e4]")).runs]
    assert len(set(names)) == len(names)
    assert names[0].endswith(" seed 0, 10.2k tokens")
    assert not any("tokens" in label(run) for run in planned().runs)


def test_budgets_must_rise(planned: Plan) -> None:
    with pytest.raises(SpecError, match=r"scan\.tokens: got 10000 after 20000; entries must rise"):
        planned(("tokens: 40000", "tokens: [2e4, 1e4]"))


def test_controls_are_planned_on_the_baselines_ladder_under_ids_of_their_own(planned: Plan) -> None:
    plain = planned()
    plan = planned(("data:\n", "question: {controls: [baseline_again, shuffled_targets]}\ndata:\n"))
    own = [run for run in plan.runs if run.role == RESULT]
    controls = [run for run in plan.runs if run.role == CONTROL]
    assert [run.run_id for run in own] == [run.run_id for run in plain.runs]
    assert len({run.run_id for run in plan.runs}) == 15
    again, shuffled = controls[:5], controls[5:]
    assert {run.contender for run in again} == {"baseline_again"}
    assert [run.seed for run in again] == [1000, 1001, 1000, 1001, 1000]
    for base, one, other in zip(own, again, shuffled, strict=True):
        mine = base.plan.identity
        assert one.plan.identity.model_copy(update={"seed": mine.seed}) == mine
        assert other.plan.identity.model_copy(update={"objective": mine.objective}) == mine
        assert other.plan.identity.objective == {"kind": "causal_lm", "shuffle_targets": True}


def test_controls_of_a_tuned_scan_wait_for_the_baselines_rates(planned: Plan) -> None:
    tuned = ("learning_rate: 3e-3", "learning_rate: {tune: {around: 3e-3, trials: 3, span: 4}}")
    plan = planned(tuned, ("data:\n", "question: {controls: [baseline_again]}\ndata:\n"))
    assert not [run for run in plan.runs if run.role == CONTROL]
    waiting = next(one for one in plan.pending if one.what.startswith("baseline_again"))
    assert waiting.count == 5
    assert waiting.exact_flops > 0


def test_a_dear_evaluation_at_the_end_is_warned_of_and_counted(planned: Plan) -> None:
    whole = planned(("{tokens: 2000,", "{final_tokens: all, tokens: 2000,"))
    (corpus,) = whole.corpora.values()
    share = corpus.statistics.validation_tokens / (3 * whole.runs[0].tokens)
    assert share > 0.05
    few = planned(("{tokens: 2000,", "{final_tokens: 1000, tokens: 2000,"))
    said = [warning for warning in whole.warnings if "the evaluation at the end takes" in warning]
    assert len(said) == (share > 0.1)
    longer = planned(("{tokens: 2000,", "{final_tokens: all, tokens: 2000,"), ("tokens: 40000", "tokens: 20000"))
    assert any(f"takes {200 * share:.0f} % of the compute" in warning for warning in longer.warnings)
    assert not any("the evaluation at the end" in warning for warning in few.warnings)
    assert longer.index.warnings == few.index.warnings, "of no matter for a reader of the results"
    held_out = held_out_tokens(whole.corpora.values())
    rates = Rates({"gpt2": [(10_000, 1e9)]})
    seconds = [estimate_run(plan.runs[0], rates, held_out).seconds for plan in (planned(), few, whole)]
    per_token = whole.runs[0].plan.facts.exact_flops_per_token / 3 / 1e9
    assert seconds[1] - seconds[0] == pytest.approx(1000 * per_token)
    assert seconds[2] - seconds[0] == pytest.approx(corpus.statistics.validation_tokens * per_token)
