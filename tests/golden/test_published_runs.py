"""Published runs give again the results that were published for them. Sources: rundata/README.md."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from archbench.analysis.fitting.common_floor import FlooredLines
from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.frontier.compute_law import fit_compute_law
from archbench.analysis.laws.chinchilla import Chinchilla, SharedExponent
from archbench.analysis.planning.isoflop import efficient_points, power_trend
from archbench.results.fits import FitStatus

RUNS = Path(__file__).parent / "rundata"


def fit_gemstone(file: str, delta: float) -> LawFit:
    frame = pd.read_json(RUNS / file, lines=True)
    return fit_law(
        Chinchilla(), {"N": frame["params_active_precise"], "D": frame["tokens"]}, frame["final_loss"], delta=delta
    )


def test_gemstone_at_delta_1e_3_gives_the_published_optimum() -> None:
    fit = fit_gemstone("gemstone_hot.jsonl", 1e-3)
    assert fit.result.status is FitStatus.OK
    # Published .2929, .7129 and .0019816129: half a unit of the last digit, and one for beta, which is flat there.
    assert fit.result.params["alpha"] == pytest.approx(0.2929, abs=5e-5)
    assert fit.result.params["beta"] == pytest.approx(0.713, abs=1e-3)
    assert fit.result.objective_value == pytest.approx(0.00198161, abs=5e-9)


def test_gemstone_at_delta_1e_4_finds_a_lower_objective_than_the_published_grid() -> None:
    fit = fit_gemstone("gemstone_hot.jsonl", 1e-4)
    assert fit.result.status is FitStatus.OK
    # Published .0002076018, of a grid; the reference value of the global one is .00020750517.
    assert fit.result.objective_value < 0.00020750517
    # The objective is flat along this direction: exponents agree to .04 between optima of near-equal objective.
    assert fit.result.params["alpha"] == pytest.approx(0.2989, abs=0.04)
    assert fit.result.params["beta"] == pytest.approx(0.6928, abs=0.04)


@pytest.mark.parametrize("delta", [1e-3, 1e-4])
def test_gemstone_runs_of_one_width_are_refused(delta: float) -> None:
    fit = fit_gemstone("gemstone_one_width.jsonl", delta)
    assert fit.result.status is FitStatus.NOT_IDENTIFIABLE
    assert not fit.result.params


def gemstone_flops_per_token(width: pd.Series, depth: pd.Series) -> pd.Series:
    """Forward and backward by the count of McLeish et al. 2025 (arXiv 2502.06857, appendix on counting FLOPs).

    Queries attend to 2,048 tokens, two heads of 128 share a key, the gated feed-forward is 4 wide, 50,304 words.
    """
    scores = 2048 * width * (3 + 3 / 128)
    block = 3 * (6 * width**2 + 5.25 * width) + 3.5 * scores + 3 * (24 * width**2 + 56 * width)
    return depth * block + 3 * (7 * width + 2 * width * 50_304)


def test_gemstone_hull_of_cooled_down_runs_gives_the_published_allocation() -> None:
    frame = pd.read_json(RUNS / "gemstone_cooldown.jsonl", lines=True)
    flops = gemstone_flops_per_token(frame["width"], frame["depth"]) * frame["tokens"]
    corners = efficient_points(flops, frame["final_loss"], kind="hull")
    cost, hull = flops.to_numpy()[corners], frame.iloc[corners]
    # Published with all digits of a float (approach_1_linear_regression_*_cooldown*.json).
    of_params = power_trend(cost, hull["params_active_precise"])
    assert of_params.exponent == pytest.approx(0.5969810173757477, rel=1e-9)
    assert of_params.intercept == pytest.approx(-7.522191520048853, rel=1e-9)
    assert power_trend(cost, hull["tokens"]).exponent == pytest.approx(0.3932603792287174, rel=1e-9)
    heads = hull["width"] // 128
    attention = hull["width"] * (heads + 2 * (heads // 2)) * 128 + hull["width"] ** 2
    bare = hull["depth"] * (attention + 12 * hull["width"] ** 2 + 2 * hull["width"]) + hull["width"]
    assert power_trend(cost, bare).exponent == pytest.approx(0.7241536927100163, rel=1e-9)


def test_gemstone_hull_hangs_on_how_flops_are_counted() -> None:
    frame = pd.read_json(RUNS / "gemstone_cooldown.jsonl", lines=True)
    flops = 6 * frame["params_active_precise"] * frame["tokens"]
    corners = efficient_points(flops, frame["final_loss"], kind="hull")
    trend = power_trend(flops.to_numpy()[corners], frame["params_active_precise"].to_numpy()[corners])
    # Four corners are left on 6·N·D, whose trend is .09 away: a convention, not noise.
    assert len(corners) == 4
    assert trend.exponent == pytest.approx(0.5044, abs=5e-4)


@pytest.mark.parametrize(("arch", "multiple", "percent"), [("open_lm_1b", 640, 0.7103), ("open_lm_7b", 20, 0.7320)])
def test_five_small_runs_predict_the_large_ones_as_published(arch: str, multiple: float, percent: float) -> None:
    frame = pd.read_csv(RUNS / "mlfoundations_runs.csv")
    frame = frame[frame["train_dataset"] == "rpj"]
    small = frame["arch"].str.startswith("d=") & (frame["chinchilla_multiplier"] == 1)
    overtrained = frame["arch"].str.startswith("d=96") & (frame["chinchilla_multiplier"] == 16)
    used = frame[small | overtrained]
    assert len(used) == 5
    fit = fit_law(
        SharedExponent(),
        {"N": used["N"], "D": used["D"]},
        used["loss_c4_val"],
        delta=np.inf,
        log_residuals=False,
    )
    held_out = frame[(frame["arch"] == arch) & (frame["tok_mult_M"] == multiple)]
    error = abs(fit.predict(N=held_out["N"], D=held_out["D"])[0] / held_out["loss_c4_val"].iloc[0] - 1) * 100
    assert error == pytest.approx(percent, abs=1e-4)  # published with four decimals


@pytest.mark.parametrize("row", range(4))
def test_marin_back_test_is_reproduced(row: int) -> None:
    optima = pd.read_csv(RUNS / "marin_isoflop_optima.csv")
    published = pd.read_csv(RUNS / "marin_published_backtest_Linf1.6.csv").iloc[row]
    used = optima.iloc[: int(published["n_budgets_in_fit"])]
    # Least squares of ln(L - 1.6): the excess over the floor that was pinned, by a law without one.
    fit = fit_compute_law(used["budget_flops"], used["paloma_macro_optimum"] - 1.6, floor="none")
    assert fit.status is FitStatus.OK
    # The table's optima are rounded to .001 nats, the published fit used unrounded ones: .001 in alpha's fourth digit.
    assert fit.params["alpha_C"] == pytest.approx(published["alpha"], abs=3e-4)
    for budget in ("3e19", "1e20", "3e20", "1e21", "1e22", "1e23"):
        predicted = 1.6 + np.exp(fit.params["ln_A"]) * float(budget) ** -fit.params["alpha_C"]
        assert predicted == pytest.approx(published[f"pred_{budget}"], abs=0.003)


def test_marin_multipliers_are_reproduced() -> None:
    table = pd.read_csv(RUNS / "marin_published_speedups.csv")
    assert len(table) == 8
    for _, row in table.iterrows():
        # The baseline's published law; its amplitude falls out of the ratio of two costs on it.
        alpha, floor = np.array([[row["alpha"]]]), np.array([row["L_inf"]])
        law = FlooredLines(log_amplitude=np.zeros((1, 1)), alpha=alpha, floor_nats=floor, objective=np.zeros(1))
        baseline, variant = law.log_cost_at(0, np.log([row["L_baseline"], row["L_variant"]]))[0]
        multiplier = float(np.exp(variant - baseline))
        digits = len(str(row["published_compute_multiplier"]).split(".")[1])
        assert multiplier == pytest.approx(row["published_compute_multiplier"], abs=0.5 * 10 ** -min(digits, 2) + 1e-9)
        if np.isfinite(row["published_wallclock_multiplier"]):
            wall_clock = multiplier * row["tps_ratio_variant_over_baseline"]
            assert wall_clock == pytest.approx(row["published_wallclock_multiplier"], abs=0.0051)


@pytest.mark.parametrize(
    ("convention", "of_params", "of_tokens"),
    [
        ("kaplan_matmul_plus_lm_head", 0.54, 0.49),
        ("chinchilla_all_params", 0.37, 0.50),
        ("transformer_only", 0.70, 0.41),
    ],
)
def test_three_parameter_conventions_give_three_exponents(convention: str, of_params: float, of_tokens: float) -> None:
    frame = pd.read_csv(RUNS / "nanochat_isoflop_optima_jan26.csv")
    rows = frame[frame["param_count_convention"] == convention]
    # The table's budgets are rounded labels; the script that made it used these.
    flops = rows["flops"].map({1e18: 1e18, 2e18: 2.15e18, 5e18: 4.64e18, 1e19: 1e19})
    assert power_trend(flops, rows["eff_params"]).exponent == pytest.approx(of_params, abs=0.005)
    assert power_trend(flops, rows["tokens"]).exponent == pytest.approx(of_tokens, abs=0.005)


def test_constants_of_epochs_refit_are_recovered_from_their_own_surface() -> None:
    truth = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
    generator = np.random.default_rng(0)
    N = np.exp(generator.uniform(np.log(5e7), np.log(1.6e10), 240))
    D = np.exp(generator.uniform(np.log(1e9), np.log(5e11), 240))
    fit = fit_law(Chinchilla(), {"N": N, "D": D}, Chinchilla().predict(truth, N=N, D=D))
    assert fit.result.status is FitStatus.OK
    for name, value in truth.items():
        assert fit.result.params[name] == pytest.approx(value, rel=1e-6)  # noise-free surfaces must come back to 1e-6
