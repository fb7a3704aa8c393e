"""Controls come out as they must, and one that does not is named."""

from dataclasses import replace

from made_ladders import ladder

from archbench.analysis.comparison.controls import judge_controls
from archbench.results.controls import ControlOutcome, failed_controls
from archbench.results.runs import CONTROL, FinalEvaluation, RunRecord, size_scan_results

SPEC = {"question": {"margin": 1.1, "controls": ["baseline_again", "shuffled_targets"]}}


def control(name: str, factor: float, *, seed: int) -> list[RunRecord]:
    return [replace(run, role=CONTROL, seed=run.seed + 1000) for run in ladder(name, factor, noise=0.004, seed=seed)]


def judged(again: float, shuffled: float) -> dict[str, ControlOutcome]:
    records = [
        *ladder("gpt2", noise=0.004),
        *ladder("other", 2.0, noise=0.004, seed=5),
        *control("baseline_again", again, seed=1),
        *control("shuffled_targets", shuffled, seed=2),
    ]
    return {one.control: one for one in judge_controls(records, SPEC, "gpt2")}


def test_the_same_again_and_one_that_learnt_little_pass() -> None:
    found = judged(1.0, 1e-5)
    assert found["baseline_again"].passed is True
    assert found["baseline_again"].multiplier is not None
    assert found["baseline_again"].multiplier.covers(1.0)
    assert found["shuffled_targets"].passed is True
    assert not failed_controls(list(found.values()))


def test_a_baseline_that_is_told_apart_from_itself_fails() -> None:
    found = judged(2.0, 1e-5)
    assert found["baseline_again"].passed is False
    assert found["baseline_again"].p_value is not None
    assert found["baseline_again"].p_value < 0.05
    assert failed_controls(list(found.values())) == ["baseline_again"]


def test_targets_that_tell_nothing_must_not_be_better() -> None:
    found = judged(1.0, 3.0)["shuffled_targets"]
    assert found.passed is False
    assert "better" in found.reason


def test_a_control_far_below_the_baseline_fails_though_no_multiplier_can_be_read() -> None:
    found = judged(1.0, 1e5)["shuffled_targets"]
    assert found.passed is False
    assert found.multiplier is None
    assert "below the baseline's" in found.reason


def test_a_baseline_that_learnt_only_frequencies_is_named_and_no_leak_is_seen_in_noise() -> None:
    found = judged(1.0, 1.0)["shuffled_targets"]
    assert found.passed is True
    assert "the baseline has not learnt more than how often tokens occur either" in found.reason


def test_a_control_is_judged_by_its_loss_on_all_held_out_text() -> None:
    """The curve's end is of less text: there it may lie below the baseline's, where its loss does not."""

    def evaluated(run: RunRecord, factor: float) -> RunRecord:
        nats = factor * run.curve[-1].validation_loss_nats
        return replace(run, final=FinalEvaluation((100.0 * nats,), (100,), (1,), None))

    base = ladder("gpt2", noise=0.004)
    shuffled = control("shuffled_targets", 1e5, seed=2)
    by_curve = judge_controls([*base, *shuffled], SPEC, "gpt2")
    assert [one.passed for one in by_curve if one.control == "shuffled_targets"] == [False]
    runs = [*(evaluated(run, 1.0) for run in base), *(evaluated(run, 4.0) for run in shuffled)]
    by_final = judge_controls(runs, SPEC, "gpt2")
    assert [one.passed for one in by_final if one.control == "shuffled_targets"] == [True]


def test_controls_without_finished_runs_are_not_judged() -> None:
    outcomes = judge_controls(ladder("gpt2", noise=0.004), SPEC, "gpt2")
    assert [one.passed for one in outcomes] == [None, None]
    assert outcomes[0].reason == "no run of baseline_again has finished"
    assert judge_controls(ladder("gpt2"), {}, "gpt2") == ()


def test_trials_and_runs_of_other_studies_are_no_part_of_a_judgement() -> None:
    runs = [*ladder("gpt2", noise=0.004), *control("baseline_again", 1.0, seed=1)]
    trials = [replace(run, role="trial") for run in ladder("gpt2", 4.0, seed=7)]
    elsewhere = [replace(run, study="other") for run in ladder("gpt2", 4.0, seed=8)]
    again = [replace(run, study="other") for run in control("baseline_again", 4.0, seed=9)]
    found = judge_controls([*runs, *trials, *elsewhere, *again], SPEC, "gpt2")
    assert found == judge_controls(runs, SPEC, "gpt2")
    assert {one.baseline for one in found} == {"gpt2"}


def test_controls_are_no_results_of_the_size_scan() -> None:
    records = [*ladder("gpt2"), *control("baseline_again", 1.0, seed=1)]
    assert {run.contender for run in size_scan_results(records)} == {"gpt2"}
