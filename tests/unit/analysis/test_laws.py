"""Every law: gradient, recovery of its exponents without noise, refusals."""

import numpy as np
import pytest

from archbench.analysis.fitting.bootstrap import bootstrap_law
from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.laws.base import Law
from archbench.analysis.laws.catalogue import LAWS, law_named
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.laws.kaplan import CriticalBatch
from archbench.analysis.laws.transfer import DataTransferred
from archbench.analysis.planning.allocation import best_split
from archbench.errors import SpecError
from archbench.results.fits import FitStatus

TRUTH: dict[str, dict[str, float]] = {
    "L(C)": {"alpha_C": 0.1, "C_c": 1e20, "E": 1.6},
    "L(N)": {"alpha_N": 0.076, "N_c": 8.8e13, "E": 0.8},
    "L(D)": {"alpha_D": 0.095, "D_c": 5.4e13, "E": 0.5},
    "chinchilla": {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658},
    "shared-exponent": {"A": 166.2, "B": 366.7, "eta": 0.27285, "E": 1.83665},
    "outer-exponent": {"A": 482.0, "B": 3000.0, "alpha": 0.4, "beta": 0.5, "E": 1.5, "gamma": 0.7},
    "kaplan-nd": {"alpha_N": 0.076, "alpha_D": 0.103, "N_c": 6.4e13, "D_c": 1.8e13},
    "kaplan-ns": {"alpha_N": 0.077, "alpha_S": 0.76, "N_c": 6.5e13, "S_c": 2.1e3},
    "critical-batch": {"B_star": 2e8, "alpha_B": 0.21},
    "data-transferred": {"k": 1.9e4, "alpha": 0.18, "beta": 0.38},
    "unified-transfer": {
        "alpha_N": 0.076,
        "alpha_D": 0.103,
        "N_c": 6.4e13,
        "alpha": 0.18,
        "beta": 0.38,
        "D_c_over_k": 9.5e8,
    },
}
RANGES = {"N": (1e6, 1e9), "D": (1e8, 1e11), "C": (1e17, 1e22), "S": (1e3, 1e6), "L": (2, 8), "D_F": (1e5, 1e8)}


def variables_of(law: Law, count: int = 60, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: np.exp(generator.uniform(*np.log(RANGES[name]), size=count)) for name in law.variables}


def test_every_law_is_tested() -> None:
    assert set(TRUTH) == set(LAWS)


@pytest.mark.parametrize("name", LAWS)
def test_gradient_and_curvature_equal_numerical_ones(name: str) -> None:
    law = LAWS[name]
    variables = variables_of(law, 7)
    logs = np.log(np.stack([variables[v] for v in law.variables]))
    centre = logs.mean(axis=1)
    design = law.design(logs - centre[:, None])
    theta = law.internal(TRUTH[name], centre)
    slope = np.random.default_rng(1).normal(size=(1, 7))
    at = design.evaluate(theta[None, :])
    curvature = design.curvature(theta[None, :], at, slope)[0]
    for index in range(law.num_params):
        step = np.zeros(law.num_params)
        step[index] = 1e-5
        above, below = design.evaluate((theta + step)[None, :]), design.evaluate((theta - step)[None, :])
        # Central differences: error of order 1e-10 from the step, 1e-11 from rounding.
        np.testing.assert_allclose(at.gradient[0, :, index], (above.value - below.value)[0] / 2e-5, atol=1e-7)
        numerical = slope[0] @ (above.gradient - below.gradient)[0] / 2e-5
        np.testing.assert_allclose(curvature[index], numerical, atol=1e-6)


@pytest.mark.parametrize("name", LAWS)
def test_public_parameters_return_from_internal_ones(name: str) -> None:
    law, centre = LAWS[name], np.arange(1.0, len(LAWS[name].variables) + 1)
    back = law.public(law.internal(TRUTH[name], centre)[None, :], centre)
    for parameter, value in TRUTH[name].items():
        assert back[parameter][0] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("name", LAWS)
def test_law_is_recovered_when_noise_free(name: str) -> None:
    law = LAWS[name]
    variables = variables_of(law)
    fit = fit_law(law, variables, law.predict(TRUTH[name], **variables))
    assert fit.result.status is FitStatus.OK, fit.result.reason
    for parameter, value in TRUTH[name].items():
        assert fit.result.params[parameter] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.7), (0.6, 0.25), (0.34, 0.28)])
@pytest.mark.parametrize("tokens_per_param", [5.0, 400.0])
def test_asymmetric_exponents_on_off_centre_grids_are_recovered(
    alpha: float, beta: float, tokens_per_param: float
) -> None:
    generator = np.random.default_rng(2)
    N = np.exp(generator.uniform(np.log(1e6), np.log(1e9), 40))
    D = N * tokens_per_param * np.exp(generator.normal(0, 0.7, 40))
    truth = {"A": 300 ** (alpha / 0.3), "B": 800 ** (beta / 0.3), "E": 1.7, "alpha": alpha, "beta": beta}
    fit = fit_law(Chinchilla(), {"N": N, "D": D}, Chinchilla().predict(truth, N=N, D=D))
    assert fit.result.status is FitStatus.OK, fit.result.reason
    assert fit.result.params["alpha"] == pytest.approx(alpha, rel=1e-6)
    assert fit.result.params["beta"] == pytest.approx(beta, rel=1e-6)


def noisy(count: int = 60) -> tuple[dict[str, np.ndarray], np.ndarray]:
    variables = variables_of(Chinchilla(), count)
    noise = np.exp(np.random.default_rng(3).normal(0, 0.005, count))
    return variables, Chinchilla().predict(TRUTH["chinchilla"], **variables) * noise


def test_two_sizes_are_refused() -> None:
    variables, loss = noisy()
    variables["N"] = np.where(variables["N"] > 3e7, 1e8, 1e7)
    assert fit_law(Chinchilla(), variables, loss).result.status is FitStatus.TOO_FEW_SIZES


def test_tokens_in_proportion_to_parameters_are_refused() -> None:
    variables, loss = noisy()
    variables["D"] = 20 * variables["N"]
    assert fit_law(Chinchilla(), variables, loss).result.status is FitStatus.NOT_IDENTIFIABLE


def test_one_outlier_of_a_hundredfold_moves_exponents_little() -> None:
    variables, loss = noisy()
    clean = fit_law(Chinchilla(), variables, loss).result.params
    loss[7] *= 100
    spoilt = fit_law(Chinchilla(), variables, loss).result.params
    assert spoilt["alpha"] == pytest.approx(clean["alpha"], rel=0.05)


def test_nan_and_negative_losses_are_left_out_and_counted() -> None:
    variables, loss = noisy()
    loss[0], loss[1], variables["N"][2] = np.nan, -1.0, 0.0
    result = fit_law(Chinchilla(), variables, loss).result
    assert result.left_out == {"not_finite": 1, "variable_not_positive": 1, "response_not_positive": 1}
    assert result.points_used == 57


def test_loss_that_rises_with_size_hits_a_bound_or_is_refused() -> None:
    variables, loss = noisy()
    assert fit_law(Chinchilla(), variables, 1 / loss).result.status is not FitStatus.OK


def test_a_refusal_says_which_way_the_response_should_have_gone() -> None:
    points = [(tokens, size) for tokens in (1e4, 1e5, 1e6) for size in (1e4, 1e5, 1e6)]
    tokens, size = np.array(points).T
    falling = fit_law(DataTransferred(), {"D_F": tokens, "N": size}, 1e9 * size**0.5 / tokens**0.3).result
    assert (falling.status, falling.reason) == (
        FitStatus.BOUND_HIT,
        "the exponent of D_F is at 0: D_T does not rise with it",
    )
    loss = np.linspace(2.0, 4.0, 8)
    rising = fit_law(CriticalBatch(), {"L": loss}, 1e3 * loss**2).result
    assert rising.reason == "the exponent of L is at 0: B does not fall with it"


def test_bootstrap_interval_of_exponent_holds_the_truth() -> None:
    variables, loss = noisy(120)
    fit = fit_law(Chinchilla(), variables, loss)
    drawn = bootstrap_law(fit, num_resamples=200, seed=1).params()["alpha"]
    low, high = np.percentile(drawn, [0.5, 99.5])
    assert low < TRUTH["chinchilla"]["alpha"] < high


def test_optimal_allocation_minimises_the_law() -> None:
    N, D = best_split(TRUTH["chinchilla"], 1e21)
    assert pytest.approx(1e21) == 6 * N * D
    here = Chinchilla().predict(TRUTH["chinchilla"], N=N, D=D)
    for factor in (0.9, 1.1):
        assert Chinchilla().predict(TRUTH["chinchilla"], N=N * factor, D=D / factor) > here


def test_unknown_law_is_named_with_its_neighbour() -> None:
    with pytest.raises(SpecError, match="chinchilla"):
        law_named("chinchila")
