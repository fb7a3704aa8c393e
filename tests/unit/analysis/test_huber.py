"""Minimisation of Huber objectives: against scipy on linear models, and to the end on resampled ladders."""

import numpy as np
import pytest
from scipy.optimize import minimize

from archbench.analysis.fitting.bootstrap import refit
from archbench.analysis.fitting.cluster_weights import cluster_weights
from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.fitting.huber import LEAST_SQUARES, huber, minimise
from archbench.analysis.fitting.linear_huber import LinearHuber
from archbench.analysis.laws.chinchilla import Chinchilla

TRUTH = {"A": 20.0, "B": 120.0, "E": 0.9, "alpha": 0.25, "beta": 0.3}


def ladder(noise: float, *, seed: int = 0) -> LawFit:
    """Four sizes at three budgets, two seeds each."""
    generator = np.random.default_rng(seed)
    N, D = np.meshgrid(6e3 * 2.0 ** np.arange(4), 4e5 * 2.0 ** np.arange(3))
    N, D = np.repeat(N, 2), np.repeat(D, 2)
    law = Chinchilla()
    return fit_law(law, {"N": N, "D": D}, law.predict(TRUTH, N=N, D=D) * np.exp(generator.normal(0, noise, len(N))))


@pytest.mark.parametrize("delta", [1e-3, 0.1, LEAST_SQUARES])
def test_linear_problems_end_where_scipy_ends(delta: float) -> None:
    generator = np.random.default_rng(1)
    count, points, params = 20, 30, 4
    residual = generator.normal(0, 0.3, (count, points))
    slopes = generator.normal(0, 1, (count, points, params))
    weight = generator.integers(0, 3, (count, points)).astype(float)
    roots = generator.normal(0, 0.1, (count, params, params))
    quadratic = roots @ roots.transpose(0, 2, 1) + 1e-3 * np.eye(params)
    lower, upper = np.full((count, params), -0.05), np.full((count, params), 0.2)
    held = np.array([False, False, False, True])
    problem = LinearHuber(residual, slopes, weight, quadratic, lower, upper, delta, held, np.full(count, 1e-16))
    found = problem.minimum(np.zeros((count, params)))
    assert (found >= lower).all()
    assert (found <= upper).all()
    assert (found[:, held] == 0).all()

    def objective(d: np.ndarray, row: int) -> float:
        losses = weight[row] * huber(residual[row] + slopes[row] @ d, delta)
        return float(losses.sum() + 0.5 * d @ quadratic[row] @ d)

    for row in range(count):
        box = [
            (low, high) if free else (0.0, 0.0) for low, high, free in zip(lower[row], upper[row], ~held, strict=True)
        ]
        other = minimize(
            objective, found[row], (row,), method="Powell", bounds=box, options={"xtol": 1e-10, "ftol": 1e-14}
        )
        assert objective(found[row], row) <= other.fun * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_resamples_of_a_noisy_ladder_reach_their_minimum(seed: int) -> None:
    fit = ladder(0.03, seed=seed)
    weights = cluster_weights(fit.points.runs(), 200, np.random.default_rng(seed))
    lower, upper = fit.law.bounds()
    start = np.broadcast_to(fit.theta, (200, 5))
    box = {"delta": 1e-3, "lower": lower, "upper": upper}
    ends = minimise(fit.design(), fit.points.observed, weights, start, tolerance=1e-9, **box)
    assert ends.converged.mean() >= 0.95
    # From where they ended no small step, and no second try, gains what a figure would show.
    generator = np.random.default_rng(7)
    for size in (1e-4, 1e-3, 1e-2):
        near = ends.theta + generator.normal(0, size, ends.theta.shape)
        again = minimise(fit.design(), fit.points.observed, weights, near, tolerance=1e-9, **box)
        gain = 1 - again.objective / ends.objective
        assert np.quantile(gain, 0.95) < 1e-3


def test_a_floor_of_zero_is_reached() -> None:
    law = Chinchilla()
    N, D = (axis.ravel() for axis in np.meshgrid(6e3 * 2.0 ** np.arange(4), 4e5 * 2.0 ** np.arange(3)))
    L = law.predict({**TRUTH, "E": 0.0}, N=N, D=D)
    lower, upper = law.bounds()
    fit = fit_law(law, {"N": N, "D": D}, L)
    start = law.internal({**TRUTH, "E": 0.5}, fit.points.centre)[None, :]
    end = minimise(fit.design(), fit.points.observed, np.ones((1, len(L))), start, delta=1e-3, lower=lower, upper=upper)
    assert end.converged[0]
    assert law.public(end.theta, fit.points.centre)["E"][0] < 1e-3
    assert law.public(end.theta, fit.points.centre)["alpha"][0] == pytest.approx(TRUTH["alpha"], rel=1e-3)


def test_refits_of_exact_data_have_the_law_s_own_parameters() -> None:
    fit = ladder(0.0)
    drawn = refit(fit, cluster_weights(fit.points.runs(), 50, np.random.default_rng(0))).params()
    for name, value in TRUTH.items():
        few = np.isnan(drawn[name])
        assert few.mean() < 0.2
        assert drawn[name][~few] == pytest.approx(value, rel=1e-4)
