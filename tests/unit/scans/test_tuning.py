"""Tuned scans planned in stages: trials end as a known law says, nothing is trained."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from made_specs import spec_of

from archbench.errors import SpecError
from archbench.host import default_host
from archbench.results.runs import RESULT, CurvePoint, RunState
from archbench.results.tuning import CHECK_LABEL, RUNG_LABEL, TRIAL
from archbench.runs.records import Outcome, write_record
from archbench.runs.store import RunStore
from archbench.scans.planned_run import PlannedRun
from archbench.scans.planner import ScanPlan, plan_scan

TEXT = """\
name: trial
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
  reformer: {architecture: {kind: reformer, bucket_size: 16}}
data:
  dataset: {kind: text_files, paths: ["FOLDER/*.txt"]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan:
  sizes: [1e4, 2e4, 4e4, 8e4]
  seeds: {default: 1, smallest_two: 2}
  tokens: [15000, 40000]
training:
  seq_len: 64
  batch_tokens: 512
  learning_rate: {tune: TUNE}
  schedule: {warmup_steps: 5}
evaluation: {tokens: 2000, points: 4}
"""
NUM_RESULTS = 2 * (2 + 2 + 1 + 1)
"""Of each contender: two budgets, two seeds at the two smallest sizes."""

Best = Callable[[PlannedRun], float]


def always(rate: float) -> Best:
    return lambda run: rate


class Scan:
    """A scan whose trials are ended by hand."""

    def __init__(self, text_folder: Path, root: Path, tune: str, *replacements: tuple[str, str]) -> None:
        self.text = TEXT.replace("FOLDER", str(text_folder)).replace("TUNE", tune)
        for old, new in replacements:
            assert old in self.text
            self.text = self.text.replace(old, new)
        self.cache = text_folder / "cache"
        self.store = RunStore(root)
        self.store.create()

    def plan(self) -> ScanPlan:
        return plan_scan(spec_of(self.text), default_host(), cache_dir=self.cache, store=self.store)

    def end(self, run: PlannedRun, best: float, *, diverges_above: float = math.inf) -> None:
        """The run ends with a loss that is lowest at the rate `best`."""
        rate = run.plan.identity.training.peak_learning_rate
        steps, tokens = run.plan.identity.training.total_steps, run.tokens
        loss = 3.0 + 0.1 * math.log(rate / best) ** 2 + 1e4 / tokens
        point = CurvePoint(steps, tokens, run.kaplan_flops, run.exact_flops, loss, loss, None, False, True)
        outcome = Outcome(RunState.DONE, (point,))
        if rate > diverges_above:
            outcome = Outcome(RunState.DIVERGED, reason="the loss is not finite")
        write_record(self.store.prepare(run.plan), run.plan, outcome)

    def finish(self, best: Best, *, diverges_above: float = math.inf) -> ScanPlan:
        """Plans and ends runs until nothing is pending."""
        for _ in range(10):
            plan = self.plan()
            for run in plan.runs:
                self.end(run, best(run), diverges_above=diverges_above)
            if not plan.pending:
                return plan
        raise AssertionError("planning does not come to an end")


def of(plan: ScanPlan, role: str, contender: str = "gpt2") -> list[PlannedRun]:
    return [run for run in plan.runs if run.role == role and run.contender == contender]


def rates(runs: list[PlannedRun]) -> set[float]:
    return {run.plan.identity.training.peak_learning_rate for run in runs}


def test_the_first_plan_holds_the_first_rung_and_says_what_it_will_cost(text_folder: Path, tmp_path: Path) -> None:
    scan = Scan(text_folder, tmp_path, "{around: 3e-3}")
    first = scan.plan()
    assert len(first.runs) == 2 * 4 * 5
    assert {run.role for run in first.runs} == {TRIAL}
    assert {run.tokens for run in first.runs} == {39 * 512}  # half of the larger budget, in whole steps
    assert [one.count for one in first.pending] == [4 * 3 + NUM_RESULTS - 4] * 2
    assert "gpt2: 12 trials and 8 results" in first.pending[0].what
    last = scan.finish(always(3e-3))
    known = {run.run_id: run.exact_flops for run in last.runs}
    planned_first = {run.run_id: run.exact_flops for run in first.runs}
    waiting = sum(known.values()) - sum(planned_first.values())
    assert sum(one.exact_flops for one in first.pending) == pytest.approx(waiting, rel=0.02)  # budgets in whole steps


def test_the_best_trial_is_the_scans_own_run_and_nothing_is_trained_twice(text_folder: Path, tmp_path: Path) -> None:
    last = Scan(text_folder, tmp_path, "{around: 3e-3}").finish(always(5.8e-3))
    for contender in ("gpt2", "reformer"):
        results, trials = of(last, RESULT, contender), of(last, TRIAL, contender)
        assert len(results) == NUM_RESULTS
        assert len(trials) == 4 * (5 + 3)
        assert rates(results) == {6e-3}
        final = {run.run_id for run in trials if run.labels[RUNG_LABEL] == "2"}
        own = {run.run_id for run in results if run.seed == 0 and run.tokens > 39 * 512}
        assert own <= final
        assert len(own) == 4
    assert len(last.distinct_runs()) == 2 * (4 * 8 + NUM_RESULTS - 4)


def test_where_every_result_is_a_trial_the_plan_still_waits_for_them(text_folder: Path, tmp_path: Path) -> None:
    once = (("smallest_two: 2", "smallest_two: 1"), ("tokens: [15000, 40000]", "tokens: 40000"))
    scan = Scan(text_folder, tmp_path, "{around: 3e-3, rungs: 1}", *once)
    assert {(one.what.split(": ")[1], one.count, one.exact_flops) for one in scan.plan().pending} == {
        ("results at rates that the trials before them decide", 0, 0.0)
    }
    last = scan.finish(always(5.8e-3))
    assert len(of(last, RESULT)) == 4
    assert {run.run_id for run in of(last, RESULT)} <= {run.run_id for run in of(last, TRIAL)}


def test_the_plan_is_a_function_of_the_store_alone(text_folder: Path, tmp_path: Path) -> None:
    scan = Scan(text_folder, tmp_path, "{around: 3e-3}")
    for run in reversed(scan.plan().runs):
        scan.end(run, 1e-3)
    again = Scan(text_folder, tmp_path / "other", "{around: 3e-3}")
    for run in again.plan().runs:
        again.end(run, 1e-3)
    assert [run.run_id for run in scan.plan().runs] == [run.run_id for run in again.plan().runs]


def test_every_contender_has_as_many_trials_even_where_most_diverge(text_folder: Path, tmp_path: Path) -> None:
    scan = Scan(text_folder, tmp_path, "{around: 3e-3}")
    plan = scan.finish(always(3e-3), diverges_above=1e-3)
    for contender in ("gpt2", "reformer"):
        assert len(of(plan, TRIAL, contender)) == 4 * 8
        assert rates(of(plan, RESULT, contender)) == {3e-3 / 4}


def test_a_failed_trial_keeps_its_size_waiting_and_no_other(text_folder: Path, tmp_path: Path) -> None:
    scan = Scan(text_folder, tmp_path, "{around: 3e-3}")
    runs = scan.plan().runs
    for run in runs[1:]:
        scan.end(run, 3e-3)
    write_record(scan.store.prepare(runs[0].plan), runs[0].plan, Outcome(RunState.FAILED, reason="disk"))
    plan = scan.plan()
    assert len([run for run in of(plan, TRIAL) if run.size_index == 0]) == 5
    assert len([run for run in of(plan, TRIAL) if run.size_index == 1]) == 8
    assert plan.pending


def test_a_trial_whose_record_is_damaged_is_planned_again(text_folder: Path, tmp_path: Path) -> None:
    scan = Scan(text_folder, tmp_path, "{around: 3e-3}")
    first = scan.plan()
    for run in first.runs:
        scan.end(run, 3e-3)
    scan.store.directory(first.runs[0].run_id).record_file.write_text("{")
    plan = scan.plan()
    assert len([run for run in of(plan, TRIAL) if run.size_index == 0]) == 5
    assert plan.pending


def test_extrapolation_tunes_two_sizes_and_the_law_gives_the_others(text_folder: Path, tmp_path: Path) -> None:
    def best(run: PlannedRun) -> float:
        return float(0.5 * run.plan.facts.non_embedding_params**-0.43)

    scan = Scan(text_folder, tmp_path, "{around: 8e-3, mode: extrapolate, check_factor: 3}")
    plan = scan.finish(best)
    for contender in ("gpt2", "reformer"):
        trials = of(plan, TRIAL, contender)
        assert len(trials) == 2 * 8 + 2
        for run in of(plan, RESULT, contender):
            if run.size_index >= 2:
                assert run.plan.identity.training.peak_learning_rate == pytest.approx(best(run), rel=1e-6)
        checks = [run for run in trials if CHECK_LABEL in run.labels]
        assert {run.size_index for run in checks} == {2}
        assert sorted(rates(checks)) == pytest.approx([best(checks[0]) / 3, best(checks[0]) * 3])


def test_a_tuned_scan_shares_its_runs_with_the_scan_around_which_it_tunes(text_folder: Path, tmp_path: Path) -> None:
    law = "{power_law: {coefficient: 0.5, exponent: -0.43}}"
    tuned = Scan(text_folder, tmp_path / "tuned", f"{{around: {law}}}").finish(lambda run: 0.0081)
    given = Scan(text_folder, tmp_path / "given", "", ("{tune: }", law)).plan()
    shared = {run.run_id for run in tuned.runs} & {run.run_id for run in given.runs}
    assert len(shared) >= 4 * 2  # the middle of each grid goes on to all tokens


@pytest.mark.parametrize(
    ("tune", "replacement", "message"),
    [
        ("{around: [1e-3]}", None, "s.yaml:17: training.learning_rate.tune.around: has 1 entries for 4 sizes"),
        ("{around: 3e-3, check_size: 3}", None, "tune.check_size: is of mode extrapolate only"),
        (
            "{around: 3e-3, mode: extrapolate, check_size: 5}",
            None,
            "got 5, expected a size that follows the law: 3 to 4",
        ),
        ("{around: 3e-3, mode: extrapolate}", ("[1e4, 2e4, 4e4, 8e4]", "[1e4, 2e4]"), "needs at least 3 sizes"),
        ("{around: 5}", None, "tune.around: gpt2: gives 5 at 10,160 parameters, and the grid would reach 20"),
        ("{around: 3e-3, rungs: 5}", None, "5 steps of warm-up do not fit into a run of 5"),
    ],
)
def test_what_cannot_be_tuned_is_told_with_its_place(
    text_folder: Path, tmp_path: Path, tune: str, replacement: tuple[str, str] | None, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        Scan(text_folder, tmp_path, tune, *([replacement] if replacement else [])).plan()
    assert message in str(caught.value)


def test_a_batch_for_each_size_is_the_same_for_all_contenders(text_folder: Path, tmp_path: Path) -> None:
    given = ("learning_rate: {tune: }", "learning_rate: 3e-3")
    law = ("batch_tokens: 512", "batch_tokens: {power_law: {coefficient: 4, exponent: 0.5}}")
    plan = Scan(text_folder, tmp_path, "", given, law).plan()
    batches = {
        contender: [run.plan.identity.training.batch_tokens for run in of(plan, RESULT, contender) if run.seed == 0][
            ::2
        ]
        for contender in ("gpt2", "reformer")
    }
    assert batches["gpt2"] == batches["reformer"] == [384, 576, 768, 1152]


def test_a_batch_list_of_another_length_is_told_with_its_place(text_folder: Path, tmp_path: Path) -> None:
    given = ("learning_rate: {tune: }", "learning_rate: 3e-3")
    for batch, message in (
        ("[512]", "batch_tokens: has 1 entries"),
        ("[512, 512, 500, 512]", "batch_tokens[2]: got 500"),
    ):
        with pytest.raises(SpecError) as caught:
            Scan(text_folder, tmp_path, "", given, ("batch_tokens: 512", f"batch_tokens: {batch}")).plan()
        assert message in str(caught.value)
