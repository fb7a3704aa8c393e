"""Forecasts count runs, are marked beyond the data, and cover what they say; laws side by side."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from archbench.analysis.fitting.audit import ordering_of
from archbench.analysis.fitting.bootstrap import bootstrap_law
from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.fitting.forecast import back_test, beyond, forecast, predictor, with_open_floor
from archbench.analysis.fitting.run_noise import inefficiency, run_noise
from archbench.analysis.fitting.selection import choose_law
from archbench.analysis.fitting.thinning import MANY, thinned
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.laws.kaplan import KaplanSizeData
from archbench.analysis.laws.single import ComputeLaw
from archbench.analysis.planning.allocation import best_split
from archbench.analysis.planning.next_run import standard_error
from archbench.analysis.simulation.forecast_coverage import (
    CURVES,
    GRID,
    LADDER,
    forecast_coverage,
    planned_errors,
    profile_coverage,
)
from archbench.analysis.tables.run_table import RunTable
from archbench.cli.fit import fit as fit_command
from archbench.cli.forecast import forecast as forecast_command
from archbench.errors import SpecError

TRUTH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}


def grid(noise: float = 0.003, seed: int = 0) -> pd.DataFrame:
    """Four budgets of five sizes around the best one, their compute 2 % apart."""
    generator = np.random.default_rng(seed)
    rows = []
    for budget in (6e18, 2e19, 6e19, 2e20):
        for share in (0.25, 0.5, 1.0, 2.0, 4.0):
            flops = budget * (1 + generator.uniform(-0.02, 0.02))
            size = best_split(TRUTH, budget)[0] * share
            rows.append((size, flops / 6 / size, flops))
    n, d, c = np.array(rows).T
    loss = Chinchilla().predict(TRUTH, N=n, D=d) * np.exp(generator.normal(0, noise, len(n)))
    return pd.DataFrame({"N": n, "D": d, "C": c, "loss": loss})


def test_losses_of_budgets_that_differ_by_a_hair_do_not_make_a_forecast_absurd() -> None:
    frame = grid()
    fit = with_open_floor(fit_law(ComputeLaw(), {"C": frame["C"]}, frame["loss"]))
    tested = back_test(fit, ordering_of(fit), floor="free", resamples=60)
    assert len(tested.rows) == 2
    found = forecast(predictor(fit, num_resamples=200, lack=tested.lack), C=1e21).loss
    # Runs of one budget spread by 5 %: the interval holds that, and nothing like orders of magnitude.
    assert found.low < found.value < found.high < 1.5 * found.low


@pytest.mark.parametrize(
    ("at", "factors"),
    [
        ({"N": 1e8, "D": 1e10}, {"N": 1, "D": 1, "C": 1}),
        ({"N": 1e10, "D": 1e10}, {"N": 10, "D": 1, "C": 1e20 / 1e19}),
        ({"N": 1e5, "D": 1e10}, {"N": 0.1, "D": 1, "C": 0.1}),
        ({"N": 1e8, "D": 1e12}, {"N": 1, "D": 1e2, "C": 10}),
    ],
)
def test_each_of_n_d_and_c_is_marked_beyond_the_data_on_either_side(
    at: dict[str, float], factors: dict[str, float]
) -> None:
    n, d = (value.ravel() for value in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e10, 1e10, 1)))
    n, d = np.append(n, [1e6, 1e7, 1e8]), np.append(d, [1e10, 1e9, 1e8])
    fit = fit_law(Chinchilla(), {"N": n, "D": d}, Chinchilla().predict(TRUTH, N=n, D=d))
    assert beyond(fit, **at) == pytest.approx(factors | {"C": beyond(fit, **at)["C"]})
    largest, smallest = (n * d).max(), (n * d).min()
    product = at["N"] * at["D"]
    assert beyond(fit, **at)["C"] == pytest.approx(max(product / largest, 1) * min(product / smallest, 1))


def test_points_of_a_curve_are_one_run_and_not_many() -> None:
    generator = np.random.default_rng(0)
    n = np.repeat(np.geomspace(1e7, 1e9, 8), 20)
    d = 20 * n * np.tile(np.geomspace(0.05, 1, 20), 8)
    codes = np.repeat(np.arange(8), 20)
    shift = generator.normal(0, 0.005, 8)
    loss = Chinchilla().predict(TRUTH, N=n, D=d) * np.exp(shift[codes])
    noise = run_noise(fit_law(Chinchilla(), {"N": n, "D": d}, loss, clusters=codes, delta=np.inf))
    assert noise is not None
    assert noise.has_curves
    # Eight runs less what the law takes up between them.
    assert 1 <= noise.freedom < 8
    # A chi-squared of that many degrees of freedom: within a factor of 3 of the truth.
    assert 0.005 / 3 < noise.one_run_std < 0.005 * 3
    alone = run_noise(fit_law(Chinchilla(), {"N": n, "D": d}, loss, delta=np.inf))
    assert alone is not None
    assert alone.freedom == len(n) - 5


def test_huber_gives_away_what_the_median_does_where_delta_is_small() -> None:
    assert inefficiency(1e-6) == pytest.approx(np.pi / 2)
    assert inefficiency(100.0) == 1.0
    # Huber 1981: 95 % efficient at 1.345 standard deviations.
    assert inefficiency(1.345) == pytest.approx(1 / 0.95, rel=1e-3)


@pytest.mark.parametrize("curves", [True, False])
def test_a_part_of_very_many_points_gives_the_spread_of_all(curves: bool) -> None:
    generator = np.random.default_rng(1)
    runs, each = (30, 100) if curves else (3000, 1)
    codes = np.repeat(np.arange(runs), each)
    cost = np.exp(generator.uniform(np.log(1e17), np.log(1e21), len(codes)))
    shift = generator.normal(0, 0.01, runs)[codes]
    loss = ComputeLaw().predict({"alpha_C": 0.1, "C_c": 1e23}, C=cost) * np.exp(shift)
    fit = fit_law(ComputeLaw(), {"C": cost}, loss, floor="none", delta=np.inf, clusters=codes)
    part = thinned(fit.points)
    assert len(codes) > MANY
    assert part is not None
    assert part.points.weights.sum() == pytest.approx(len(codes) if curves else len(part.points.observed))
    spread = float(np.std(bootstrap_law(fit, num_resamples=300).theta[:, 0]))
    # Of 300 draws a standard deviation is known to 4 %; a part of the points adds a few per cent.
    assert spread == pytest.approx(0.01 / np.sqrt(runs), rel=0.3)


def test_best_split_of_kaplans_law_minimises_it() -> None:
    law, params = KaplanSizeData(), {"alpha_N": 0.076, "alpha_D": 0.103, "N_c": 6.4e13, "D_c": 1.8e13}
    size, tokens = best_split(params, 1e21)
    around = size * np.geomspace(0.5, 2, 201)
    best = around[int(np.argmin(law.predict(params, N=around, D=1e21 / 6 / around)))]
    assert best == pytest.approx(size, rel=0.01)
    assert 6 * size * tokens == pytest.approx(1e21)


def table_of(frame: pd.DataFrame) -> RunTable:
    values = {letter: frame[letter].to_numpy() for letter in ("N", "D", "C")} | {"L": frame["loss"].to_numpy()}
    return RunTable("", values, np.arange(len(frame)).astype(str), np.ones(len(frame), dtype=bool))


def test_the_law_that_made_a_table_is_recommended_over_those_that_cannot_describe_it() -> None:
    choice = choose_law(table_of(grid(noise=0.001)))
    assert choice.law is not None
    assert choice.law.variables == ("N", "D")
    assert sum(row.recommended for row in choice.rows) == 1
    assert {"L(C)", "chinchilla", "kaplan-nd"} <= {row.law for row in choice.rows}
    assert choice.reason


def test_of_laws_that_foretell_without_error_the_one_with_the_fewest_parameters_is_recommended() -> None:
    choice = choose_law(table_of(grid(noise=0.0)))
    assert choice.law is not None
    assert choice.law.name == "chinchilla"


def test_a_forecast_covers_one_further_run_without_being_wide() -> None:
    for row in forecast_coverage(replace(LADDER, seeds=3), studies=2, resamples=60):
        assert row.covered > 0.0  # at a nominal .95, both of 2 studies miss with probability .0025
        assert abs(row.bias) < 0.03
        assert row.width < 0.2


def test_a_planned_standard_error_is_the_spread_over_studies_of_least_squares() -> None:
    # By hand: the sandwich of a straight line in logarithms is sigma over the root of the sum of squares.
    cost = np.geomspace(1e17, 1e21, 9)
    loss = ComputeLaw().predict({"alpha_C": 0.1, "C_c": 1e23}, C=cost)
    loss *= np.exp(np.random.default_rng(0).normal(0, 0.01, 9))
    fit = fit_law(ComputeLaw(), {"C": cost}, loss, floor="none", delta=np.inf)
    residual = fit.residuals()
    expected = np.sqrt((residual**2).sum() / 7 / ((np.log(cost) - np.log(cost).mean()) ** 2).sum())
    assert standard_error(fit, lambda params: params["alpha_C"]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.thorough
def test_forecasts_profiles_and_planned_errors_keep_their_promises_in_simulation() -> None:
    for row in forecast_coverage(replace(LADDER, seeds=3), studies=12, resamples=100):
        # At a nominal .95, 12 studies cover 9 or fewer with probability .02.
        assert row.covered >= 9 / 12
        assert abs(row.bias) < 0.02
    read, covered = profile_coverage(replace(CURVES, points=8), studies=6)
    assert read >= 4
    assert min(covered.values()) > 0.5  # at a nominal .95, 3 of 6 have probability .002
    read, spread, stated = planned_errors(replace(GRID, seeds=3), studies=25)
    assert read >= 20
    # The spread of 25 studies is known to 14 %: three standard errors.
    assert stated == pytest.approx(spread, rel=0.45)


def invoke(file: Path, *arguments: str) -> str:
    result = CliRunner().invoke(forecast_command, [str(file), *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_loss_is_forecast_at_n_and_d_by_any_law_and_marked(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    grid().to_csv(file, index=False)
    for law in ("chinchilla", "shared-exponent"):
        out = invoke(file, "--law", law, "--at", "N=1e11,D=5e9", "--resamples", "100")
        assert re.search(r"N 1e\+11, D 5e\+09: loss \d", out)
        assert re.search(r"beyond the data: N \d+(\.\d+)?x the largest", out)
    best = invoke(file, "--budget", "1e21", "--resamples", "100")
    assert "recommended: " in best
    assert "columns by their usual names" in best


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "N=1e9"], "needs D"),
        (["--at", "N=1e9,D=x"], "got 'D=x'"),
        (["--at", "N=1e9,N=2e9"], "given twice"),
        (["--at", "Q=1"], "expected N, D, C or S"),
        (["--law", "L(N)", "--budget", "1e20"], "has no C"),
        (["--law", "critical-batch", "--at", "N=1e9,D=1e9"], "gives B, no loss"),
        ([], "--budget"),
    ],
)
def test_a_question_that_a_law_cannot_answer_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    file = tmp_path / "runs.csv"
    grid().to_csv(file, index=False)
    law = [] if "--law" in arguments else ["--law", "chinchilla"]
    result = CliRunner().invoke(forecast_command, [str(file), *law, *arguments])
    assert isinstance(result.exception, SpecError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_table_of_finished_runs_has_no_minimum_over_learning_curves(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    grid().to_csv(file, index=False)
    asked = [str(file), "--law", "allocation", "--resamples", "20"]
    out = CliRunner().invoke(fit_command, asked, env={"COLUMNS": "250"}).output
    assert len(re.findall(r"no\s+learning", out)) == 2
    # Budgets that differ by 2 % are one, and the parabolas' bias stands beside them.
    assert re.search(r"isoFLOP parabolas \(2\)\s+4\b", out)
    assert "off under the joint law" in out


def test_budgets_whose_minimum_lies_at_the_edge_are_named_and_left_out(tmp_path: Path) -> None:
    frame = grid(noise=0.0)
    cut = frame[(frame["C"] < 1e20) | (frame["N"] > 0.9 * best_split(TRUTH, 2e20)[0])]
    file = tmp_path / "runs.csv"
    cut.to_csv(file, index=False)
    out = CliRunner().invoke(fit_command, [str(file), "--law", "allocation", "--resamples", "20"]).output
    assert re.search(r"budgets left out: (1\.9|2)", out)
    assert "smallest size tried" in out


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_figure_of_a_fit_is_written(tmp_path: Path, form: str) -> None:
    file, picture = tmp_path / "runs.csv", tmp_path / f"fit.{form}"
    grid().to_csv(file, index=False)
    arguments = [str(file), "--law", "chinchilla", "--resamples", "20", "--no-audit", "--plot", str(picture)]
    result = CliRunner().invoke(fit_command, arguments)
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG" if form == "png" else b"<?xml")
    wrong = CliRunner().invoke(fit_command, [*arguments[:-1], str(tmp_path / "fit.txt")])
    assert isinstance(wrong.exception, SpecError)
