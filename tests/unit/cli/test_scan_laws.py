"""What comes next in a scan, and what a budget buys: by the runs of the store."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from archbench.analysis.frontier.scan_laws import joint_law
from archbench.cli.forecast import forecast
from archbench.cli.plan import plan
from archbench.errors import SpecError, StoreError
from archbench.results.runs import CONTROL, RunState
from archbench.runs.imported import imported_run_id, write_imported
from archbench.runs.store import IndexedRun, RunStore, ScanIndex
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

QUICKSTART = Path(__file__).parents[3] / "specs" / "quickstart.yaml"
LAW = SyntheticLaw(E=1.2, noise_std=0.004)


def fill(store: RunStore, name: str, records: list[Any]) -> None:
    store.create()
    runs = []
    for record in records:
        run_id = imported_run_id(record)
        write_imported(store.directory(run_id), replace(record, run_id=run_id))
        names = {"contender": record.contender, "study": record.study, "role": record.role}
        runs.append(IndexedRun(size_index=record.size_index, seed=record.seed, run_id=run_id, **names))
    store.save_scan(ScanIndex(name=name, description="", baseline=None, runs=tuple(runs), spec={}, environment={}))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    store = RunStore(tmp_path_factory.mktemp("runs"))
    two_sizes = SyntheticScan(sizes=(10_000, 20_000), seeds=(1, 1))
    fill(store, "quickstart", synthetic_records("gpt2", LAW) + synthetic_records("small", LAW, two_sizes, seed=1))
    fill(store, "twosizes", synthetic_records("gpt2", LAW, two_sizes))
    again = [replace(run, role=CONTROL) for run in synthetic_records("baseline_again", LAW, two_sizes, seed=2)]
    fill(store, "controlled", [*synthetic_records("gpt2", LAW), *again])
    unfinished = [replace(run, state=RunState.FAILED, reason="stopped") for run in synthetic_records("late", LAW)]
    fill(store, "begun", [*synthetic_records("gpt2", LAW), *unfinished])
    return store


def next_of(store: RunStore, *arguments: str) -> Result:
    return CliRunner().invoke(plan, [str(QUICKSTART), "--next", "--runs", str(store.root), *arguments])


@pytest.mark.parametrize("quantity", ["exponent", "loss"])
def test_the_next_runs_shrink_the_standard_error_within_the_flops_to_spend(store: RunStore, quantity: str) -> None:
    result = next_of(store, "--quantity", quantity, "--spend", "3e13", "--json", "--contender", "gpt2")
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)["plans"]
    assert 0 < one["std_after"] < one["std_now"]
    assert sum(run["flops"] * run["count"] for run in one["runs"]) == pytest.approx(one["spent"])
    assert one["spent"] <= 3e13
    assert all(run["count"] <= 3 for run in one["runs"])
    # The axis of the plan is `exact`, which in these runs is twice 6·N·D.
    assert one["runs"][0]["flops"] == pytest.approx(12 * one["runs"][0]["params"] * one["runs"][0]["tokens"])


def test_a_contender_with_too_few_sizes_is_named_in_one_line(store: RunStore) -> None:
    result = next_of(store)
    assert result.exit_code == 0, result.output
    assert "runs of" in result.stdout
    assert "small: 2 finished runs are too few" in result.stderr
    alone = next_of(store, "--contender", "small")
    assert isinstance(alone.exception, SpecError)
    assert "2 sizes" in str(alone.exception)
    assert "\n" not in str(alone.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--contender", "gtp2"], "did you mean 'gpt2'"),
        (["--budget", "1e15"], "add --quantity loss"),
        (["--contender", "gpt2", "--spend", "10"], "the cheapest run"),
    ],
)
def test_a_question_that_makes_no_sense_is_one_line(store: RunStore, arguments: list[str], message: str) -> None:
    result = next_of(store, *arguments)
    assert isinstance(result.exception, SpecError)
    assert message in str(result.exception)


def test_flags_of_next_are_refused_without_it(store: RunStore) -> None:
    result = CliRunner().invoke(plan, [str(QUICKSTART), "--spend", "1e15"])
    assert isinstance(result.exception, SpecError)
    assert "add --next" in str(result.exception)


def forecast_of(store: RunStore, *arguments: str) -> Result:
    return CliRunner().invoke(forecast, ["--runs", str(store.root), "--resamples", "100", *arguments])


def test_a_forecast_from_the_store_covers_the_truth_and_marks_what_lies_far(store: RunStore) -> None:
    result = forecast_of(
        store, "--scan", "quickstart", "--contender", "gpt2", "--budget", "2e13", "--budget", "1e16", "--json"
    )
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)["forecasts"]
    near, far = one["budgets"]
    # Frontier points are those of runs at that budget, whatever their split: the truth is the best split's loss.
    best = min(LAW.loss(size, 2e13 / 12 / size) for size in range(10_000, 600_000, 2_000))
    assert near["loss"]["loss"]["low"] < best < near["loss"]["loss"]["high"]
    assert not near["loss"]["far"]
    assert far["loss"]["far"]
    assert one["joint"]["status"] == "ok"
    for row in (near, far):
        assert 12 * row["params"]["value"] * row["tokens"]["value"] == pytest.approx(row["flops"])
        assert row["params"]["low"] < row["params"]["value"] < row["params"]["high"]
    wide, narrow = (row["loss"]["loss"]["high"] / row["loss"]["loss"]["low"] for row in (far, near))
    assert wide > narrow


def test_a_forecast_of_too_few_sizes_prints_statuses_and_no_number(store: RunStore) -> None:
    result = forecast_of(store, "--scan", "twosizes", "--budget", "1e14")
    assert result.exit_code == 0, result.output
    assert "too_few_sizes" in result.stdout
    assert "no forecast" in result.stdout
    assert "nats" not in result.stdout


def test_a_contender_without_a_finished_run_has_no_forecast_and_says_so(store: RunStore) -> None:
    result = forecast_of(store, "--scan", "begun", "--budget", "1e14")
    assert result.exit_code == 0, result.output
    assert "late: L(C), floor none: too_few_sizes: 0 sizes finished" in " ".join(result.stdout.split())


def test_controls_are_asked_nothing(store: RunStore, tmp_path: Path) -> None:
    result = forecast_of(store, "--scan", "controlled", "--budget", "2e13", "--json")
    assert result.exit_code == 0, result.output
    assert [one["contender"] for one in json.loads(result.stdout)["forecasts"]] == ["gpt2"]
    spec = tmp_path / "spec.yaml"
    spec.write_text(QUICKSTART.read_text().replace("name: quickstart", "name: controlled"))
    planned = CliRunner().invoke(plan, [str(spec), "--next", "--runs", str(store.root)])
    assert planned.exit_code == 0, planned.output
    assert "baseline_again" not in planned.output
    named = forecast_of(store, "--scan", "controlled", "--contender", "baseline_again", "--budget", "2e13")
    assert isinstance(named.exception, SpecError)
    assert "has none called 'baseline_again'" in str(named.exception)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--budget", "1e9"], SpecError, "--scan NAME is needed"),
        (["--budget", "1e9", "--scan", "quickstar"], StoreError, "did you mean 'quickstart'"),
        (["--budget", "1e9", "--scan", "quickstart", "--contender", "gtp2"], SpecError, "did you mean 'gpt2'"),
        (["--budget", "-1", "--scan", "quickstart"], SpecError, "positive number of FLOPs"),
        (["x.csv", "--budget", "1", "--scan", "quickstart"], SpecError, "name one of the two"),
        (["x.csv", "--budget", "1", "--contender", "gpt2"], SpecError, "with --scan only"),
        (["x.csv", "--budget", "1"], SpecError, "x.csv: no such file"),
        (["x.csv", "--budget", "1", "--law", "L(C)"], SpecError, "x.csv: no such file"),
    ],
)
def test_a_wrong_forecast_flag_is_one_line(
    store: RunStore, arguments: list[str], error: type[Exception], message: str
) -> None:
    result = forecast_of(store, *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


def test_a_long_curve_enters_the_joint_law_thinned_with_its_last_point() -> None:
    records = synthetic_records("gpt2", LAW, SyntheticScan(points=200, seeds=(1, 1, 1, 1, 1)))
    found = joint_law(records, "gpt2").fit
    assert 5 * 32 < found.result.points_used <= 5 * 64
    largest = found.points.logs[1] + found.points.centre[1]
    # Tokens of a whole number of steps.
    assert largest.max() == pytest.approx(math.log(records[0].planned_tokens))
