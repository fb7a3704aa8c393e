"""Tables of others' runs: fit, forecast and import as a person calls them."""

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from archbench.analysis.fitting.bootstrap import bca_interval, bootstrap_law, leave_one_run_out
from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.fitting.forecast import back_test, forecast, predictor
from archbench.analysis.fitting.profile_likelihood import profile_exponent
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.laws.single import ComputeLaw
from archbench.analysis.planning.isoflop import efficient_points, isoflop_minimum
from archbench.cli.fit import fit
from archbench.cli.forecast import forecast as forecast_command
from archbench.cli.import_runs import import_runs
from archbench.cli.runs import runs as runs_command
from archbench.errors import SpecError
from archbench.results.fits import FitStatus
from archbench.results.runs import RunState
from archbench.runs.store import RunStore

TRUTH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
COLUMNS = ["--params", "n", "--tokens", "d", "--loss", "loss"]


def runs(count: int = 60, noise: float = 0.004) -> pd.DataFrame:
    generator = np.random.default_rng(4)
    n = np.repeat(np.geomspace(1e7, 1e9, 10), count // 10).round()
    d = np.exp(generator.uniform(np.log(1e9), np.log(1e11), len(n))).round()
    loss = Chinchilla().predict(TRUTH, N=n, D=d) * np.exp(generator.normal(0, noise, len(n)))
    return pd.DataFrame({"n": n, "d": d, "c": 6 * n * d, "loss": loss, "arch": "gpt"})


def run_fit(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(fit, [str(file), *arguments])


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_kind_of_table_gives_the_same_fit(tmp_path: Path, kind: str) -> None:
    file, frame = tmp_path / f"runs.{kind}", runs()
    if kind == "csv":
        frame.to_csv(file, index=False)
    elif kind == "jsonl":
        frame.to_json(file, orient="records", lines=True, double_precision=15)
    else:
        frame.to_parquet(file)
    result = run_fit(file, "--law", "chinchilla", *COLUMNS, "--json", "--no-audit", "--resamples", "50")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)["fits"][0]
    direct = fit_law(Chinchilla(), {"N": frame["n"], "D": frame["d"]}, frame["loss"])
    assert found["status"] == "ok"
    assert found["params"]["alpha"] == pytest.approx(direct.result.params["alpha"], rel=1e-9)
    assert found["intervals"]["alpha"]["low"] < found["params"]["alpha"] < found["intervals"]["alpha"]["high"]
    assert any("not stated" in line for line in found["notes"])


def test_audit_and_back_test_stand_beside_the_exponent(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    runs().to_csv(file, index=False)
    result = run_fit(file, "--law", "chinchilla", *COLUMNS, "--json", "--resamples", "50")
    found = json.loads(result.output)["fits"][0]
    variants = {row["variant"] for row in found["audit"]}
    assert {"no floor", "least squares", "without the largest size", "without the smallest size"} <= variants
    assert any(row["predicted"] for row in found["back_test"])


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of L(C) without floor, whose seconds are another power of their FLOPs."""
    generator = np.random.default_rng(2)
    cost = np.geomspace(1e17, 1e21, 24)
    loss = ComputeLaw().predict({"alpha_C": 0.1, "C_c": 1e23}, C=cost) * np.exp(generator.normal(0, 0.003, 24))
    file = tmp_path_factory.mktemp("straight") / "runs.csv"
    pd.DataFrame({"c": cost, "s": cost**0.8, "loss": loss}).to_csv(file, index=False)
    return file


@pytest.mark.parametrize("interval", ["percentile", "bca", "profile"])
def test_every_kind_of_interval_is_named_and_covers_the_truth(straight: Path, interval: str) -> None:
    flags = ["--law", "L(C)", "--compute", "c", "--loss", "loss", "--floor", "none", "--no-audit", "--json"]
    result = run_fit(straight, *flags, "--interval", interval, "--resamples", "200")
    assert result.exit_code == 0, result.output
    alpha = json.loads(result.output)["fits"][0]["intervals"]["alpha_C"]
    assert interval in alpha["method"]
    # One draw of the noise, chosen by its seed: the estimate lies within one standard error of the truth.
    assert alpha["low"] < 0.1 < alpha["high"]
    assert alpha["high"] - alpha["low"] < 0.004


def test_the_audit_holds_other_cost_axes_and_repeats_nothing(straight: Path) -> None:
    flags = ["--law", "L(C)", "--compute", "c", "--loss", "loss", "--floor", "none", "--resamples", "20"]
    result = run_fit(straight, *flags, "--compute-other", "s=measured seconds", "--json")
    rows = {row["variant"]: row for row in json.loads(result.output)["fits"][0]["audit"]}
    found = {name: row["params"].get("alpha_C") for name, row in rows.items()}
    assert found["C: measured seconds"] == pytest.approx(found["as fitted"] / 0.8, rel=1e-3)
    assert "no floor" not in rows
    assert "least squares" not in rows
    printed = run_fit(straight, *flags).output
    # A floor that is absent has no number: no tiny one, such as exp(-40) = 4.248e-18.
    assert "e-18" not in printed


def test_the_audit_keeps_the_residuals_that_were_asked_for(straight: Path) -> None:
    flags = ["--law", "L(C)", "--compute", "c", "--loss", "loss", "--floor", "none", "--resamples", "0", "--json"]
    result = run_fit(straight, *flags, "--residuals", "absolute", "--delta", "inf")
    rows = json.loads(result.output)["fits"][0]["audit"]
    assert all(row["objective"].endswith("residuals of L") for row in rows)
    assert "least squares" not in {row["variant"] for row in rows}


def test_back_test_windows_are_doublings_where_values_are_many(straight: Path) -> None:
    frame = pd.read_csv(straight)
    fitted = fit_law(ComputeLaw(), {"C": frame["c"]}, frame["loss"], floor="none")
    rows = back_test(fitted, np.log(frame["c"]), floor="none").rows
    assert 1 < len(rows) <= 8
    assert all(np.exp(row.held_to - row.held_out) < 2 * 1e4 ** (1 / 8) for row in rows)
    assert rows[-1].held_to == pytest.approx(np.log(1e21))
    assert all(one.held_to < other.held_out for one, other in itertools.pairwise(rows))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--law", "chinchilla", *COLUMNS, "--compute-other", "c=x"], "has no C"),
        (["--law", "L(C)", "--loss", "loss", "--compute", "c", "--compute-other", "c"], "expected COL=NAME"),
        (["--law", "L(C)", "--loss", "loss", "--compute", "c", "--compute-other", "cc=x"], "no column 'cc'"),
        (["--law", "L(C)", "--loss", "loss", "--compute", "c", "--params-other", "n"], "has no N"),
        (["--law", "chinchila", *COLUMNS], "did you mean 'chinchilla'"),
        (["--law", "chinchilla", "--params", "nn", "--tokens", "d", "--loss", "loss"], "no column 'nn'"),
        (["--law", "chinchilla", "--params", "n", "--loss", "loss"], "--tokens"),
        (["--law", "chinchilla", "--params", "arch", "--tokens", "d", "--loss", "loss"], "expected a number"),
        (["--law", "chinchilla", *COLUMNS, "--floor", "low"], "none, free or a number"),
    ],
)
def test_a_wrong_flag_is_one_clear_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    file = tmp_path / "runs.csv"
    runs().to_csv(file, index=False)
    result = run_fit(file, *arguments)
    assert isinstance(result.exception, SpecError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize(("name", "content"), [("a.csv", ""), ("a.txt", "x"), ("a.jsonl", "{"), ("b.parquet", "x")])
def test_a_file_that_is_no_table_is_one_clear_line(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    result = run_fit(file, "--law", "chinchilla", *COLUMNS)
    assert isinstance(result.exception, SpecError)
    assert name in str(result.exception)


def test_wrong_units_are_noticed_as_a_status_and_do_not_end_in_a_number(tmp_path: Path) -> None:
    frame = runs()
    frame["loss"] = -frame["loss"]
    file = tmp_path / "runs.csv"
    frame.to_csv(file, index=False)
    result = run_fit(file, "--law", "chinchilla", *COLUMNS, "--json", "--no-audit")
    assert json.loads(result.output)["fits"][0]["status"] == "invalid_data"


def test_forecast_gives_loss_allocation_and_marks_what_lies_far(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    runs().to_csv(file, index=False)
    arguments = [str(file), "--law", "chinchilla", *COLUMNS, "--budget", "1e21", "--budget", "1e24", "--json"]
    result = CliRunner().invoke(forecast_command, [*arguments, "--resamples", "100"])
    assert result.exit_code == 0, result.output
    near, far = json.loads(result.output)["forecasts"][0]["budgets"]
    truth = Chinchilla().predict(TRUTH, N=near["params"]["value"], D=near["tokens"]["value"])[0]
    assert near["loss"]["low"] < truth < near["loss"]["high"]
    assert not near["far"]
    assert far["far"]
    assert far["loss"]["high"] - far["loss"]["low"] > near["loss"]["high"] - near["loss"]["low"]


def test_imported_runs_are_read_back_with_their_origin(tmp_path: Path) -> None:
    file, store = tmp_path / "theirs.csv", tmp_path / "runs"
    runs().to_csv(file, index=False)
    arguments = [str(file), *COLUMNS, "--arch", "arch", "--track", "causal", "--param-convention", "total"]
    for _ in range(2):
        result = CliRunner().invoke(import_runs, [*arguments, "--runs", str(store)])
        assert result.exit_code == 0, result.output
    index = RunStore(store).scan("theirs")
    assert len(index.runs) == 60
    records = [RunStore(store).record(run) for run in index.runs]
    assert all(record is not None and record.usable and "theirs.csv" in record.origin for record in records)
    assert {record.size_index for record in records if record} == set(range(10))


def test_imported_runs_are_listed_and_shown_with_their_origin(tmp_path: Path) -> None:
    file, store = tmp_path / "theirs.csv", tmp_path / "runs"
    runs().iloc[:3].to_csv(file, index=False)
    arguments = [str(file), *COLUMNS, "--arch", "arch", "--track", "causal", "--param-convention", "total"]
    assert CliRunner().invoke(import_runs, [*arguments, "--runs", str(store)]).exit_code == 0
    listed = CliRunner().invoke(runs_command, ["list", "--runs", str(store)])
    assert listed.output.count("theirs.csv (N total)") == 3
    rows = json.loads(CliRunner().invoke(runs_command, ["list", "--runs", str(store), "--json"]).output)
    assert {row["state"] for row in rows} == {"done"}
    shown = CliRunner().invoke(runs_command, ["show", rows[0]["run_id"][:8], "--runs", str(store)])
    assert "origin: theirs.csv (N total)" in shown.output
    assert RunStore(store).status(rows[0]["run_id"]).state is RunState.DONE


def test_back_test_covers_noise_around_a_true_law() -> None:
    generator = np.random.default_rng(1)
    cost = np.geomspace(1e17, 1e21, 14)
    loss = ComputeLaw().predict({"alpha_C": 0.15, "C_c": 1e19, "E": 1.7}, C=cost)
    fitted = fit_law(ComputeLaw(), {"C": cost}, loss * np.exp(generator.normal(0, 0.003, 14)), floor=1.7)
    tested = back_test(fitted, np.log(cost), floor=1.7)
    covered = [row.covered for row in tested.rows if row.covered is not None]
    # The first windows have a few points each, whose intervals could cover anything.
    assert len(covered) >= 6
    assert np.mean(covered) >= 0.8  # at a nominal .95, 7 windows show fewer with probability .04
    ready = predictor(fitted, num_resamples=100, lack=tested.lack)
    near, far = (forecast(ready, C=value) for value in (2e21, 1e24))
    assert not near.far
    assert far.far


def test_profile_interval_agrees_with_the_bootstrap_of_many_runs() -> None:
    frame = runs(200)
    fitted = fit_law(Chinchilla(), {"N": frame["n"], "D": frame["d"]}, frame["loss"])
    profile = profile_exponent(fitted, 2)
    samples = bootstrap_law(fitted, num_resamples=300)
    low, high = np.percentile(samples.theta[:, 2], [2.5, 97.5])
    # Both estimate one width; each has a Monte Carlo error of some 10 %.
    assert profile.high - profile.low == pytest.approx(high - low, rel=0.4)
    left_out = leave_one_run_out(fitted).theta[:, 2]
    corrected = bca_interval(float(fitted.theta[2]), samples.theta[:, 2], left_out)
    assert corrected.covers(float(fitted.theta[2]))


def test_isoflop_minimum_is_found_inside_and_refused_outside() -> None:
    n = np.geomspace(1e7, 1e9, 7)
    inside = isoflop_minimum(1e19, n, 3 + 0.05 * (np.log(n) - np.log(1e8)) ** 2)
    assert inside.params == pytest.approx(1e8, rel=1e-6)
    assert inside.loss_nats == pytest.approx(3, rel=1e-9)
    outside = isoflop_minimum(1e19, n, 3 + 0.05 * (np.log(n) - np.log(1e12)) ** 2)
    assert outside.status is FitStatus.NO_INTERIOR_MINIMUM
    assert isoflop_minimum(1e19, n[:2], [3, 2]).status is FitStatus.TOO_FEW_SIZES


def test_efficient_points_fall_and_their_hull_is_convex() -> None:
    generator = np.random.default_rng(0)
    cost, loss = np.exp(generator.uniform(0, 9, 300)), generator.uniform(2, 4, 300)
    lowest = efficient_points(cost, loss)
    assert (np.diff(loss[lowest]) < 0).all()
    hull = efficient_points(cost, loss, kind="hull")
    assert set(hull) <= set(lowest)
    slopes = np.diff(np.log(loss[hull])) / np.diff(np.log(cost[hull]))
    assert (np.diff(slopes) > 0).all()


@pytest.fixture(scope="module")
def isoflop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five budgets of nine sizes around the best one, of a law with equal exponents: N ~ C^.5 exactly."""
    law, truth = Chinchilla(), {"A": 400.0, "B": 400.0, "E": 1.7, "alpha": 0.35, "beta": 0.35}
    budgets = np.repeat(np.geomspace(1e18, 1e21, 5), 9)
    n = np.sqrt(budgets / 6) * np.tile(np.geomspace(1 / 8, 8, 9), 5)
    loss = law.predict(truth, N=n, D=budgets / 6 / n) * np.exp(np.random.default_rng(0).normal(0, 1e-4, 45))
    file = tmp_path_factory.mktemp("isoflop") / "runs.csv"
    pd.DataFrame({"n": n, "d": budgets / 6 / n, "c": budgets, "loss": loss}).to_csv(file, index=False)
    return file


def test_approaches_to_the_allocation_agree_where_the_law_is_symmetric(isoflop: Path) -> None:
    result = run_fit(
        isoflop, "--law", "allocation", *COLUMNS, "--compute", "c", "--resamples", "50", "--points", "all", "--json"
    )
    assert result.exit_code == 0, result.output
    rows = json.loads(result.output)["fits"][0]["allocation"]
    # Finished runs have no learning curves to take a minimum or a hull over.
    assert [row["status"] for row in rows] == ["too_few_points", "too_few_points", "ok", "ok"]
    for row in rows[2:]:
        # Noise of 1e-4 moves a vertex by about a hundredth of ln N over a range of 7 in ln C.
        assert row["of_params"]["value"] == pytest.approx(0.5, abs=0.01)
        assert row["of_tokens"]["value"] == pytest.approx(0.5, abs=0.01)
        assert row["of_params"]["low"] < 0.505
        assert row["of_params"]["high"] > 0.495
    printed = run_fit(isoflop, "--law", "allocation", *COLUMNS, "--compute", "c", "--resamples", "0").output
    assert "isoFLOP parabolas (2)" in printed


def test_an_allocation_without_budgets_shared_by_runs_has_a_status(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    runs().to_csv(file, index=False)
    result = run_fit(file, "--law", "allocation", *COLUMNS, "--compute", "c", "--resamples", "20", "--json")
    row = json.loads(result.output)["fits"][0]["allocation"][2]
    assert row["status"] == "too_few_points"
    assert row["of_params"] is None
    missing = run_fit(file, "--law", "allocation", *COLUMNS)
    assert isinstance(missing.exception, SpecError)
    assert "--compute" in str(missing.exception)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("losses", "law"), [([3.0, 3.01, 3.02, 3.03, 3.04], "L(C)"), ([3.4, 3.0], "L(C)")])
def test_a_refused_fit_prints_no_number_and_no_warning(tmp_path: Path, losses: list[float], law: str) -> None:
    n = 9.1e7 * 2.0 ** np.arange(len(losses))
    file = tmp_path / "theirs.csv"
    pd.DataFrame({"n": n, "d": 20 * n, "loss": losses}).to_csv(file, index=False)
    found = run_fit(file, *COLUMNS, "--law", law, "--compute", "6ND")
    assert found.exit_code == 0, found.output
    assert "status ok" not in found.output
    assert "nan" not in found.output.replace("nanochat", "")
    assert "RuntimeWarning" not in found.output
