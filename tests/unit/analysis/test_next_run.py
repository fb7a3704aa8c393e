"""The run that is worth its compute most, against simulation."""

import numpy as np
import pytest

from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.fitting.huber import minimise
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.planning.next_run import greedy_design, standard_error

TRUTH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
NOISE = 0.003


def ladder() -> tuple[np.ndarray, np.ndarray]:
    n, d = np.meshgrid(np.geomspace(1e7, 3e8, 5), np.geomspace(3e8, 1e10, 5))
    return n.ravel(), d.ravel()


def spread_of_alpha(n: np.ndarray, d: np.ndarray, studies: int = 400) -> float:
    """Standard deviation of alpha over simulated studies, by least squares from the truth."""
    law = Chinchilla()
    logs = np.log(np.stack([n, d]))
    centre = logs.mean(axis=1)
    design, theta = law.design(logs - centre[:, None]), law.internal(TRUTH, centre)[None, :]
    lower, upper = law.bounds()
    clean, found = design.value(theta)[0], []
    for seed in range(studies):
        observed = clean + np.random.default_rng(seed).normal(0, NOISE, len(n))
        weights = np.ones((1, len(n)))
        end = minimise(design, observed, weights, theta, delta=np.inf, lower=lower, upper=upper, tolerance=1e-8)
        found.append(end.theta[0, 2])
    return float(np.std(found))


def test_chosen_runs_shrink_the_spread_more_than_a_uniform_ladder_of_the_same_compute() -> None:
    n, d = ladder()
    loss = Chinchilla().predict(TRUTH, N=n, D=d) * np.exp(np.random.default_rng(9).normal(0, NOISE, len(n)))
    fit = fit_law(Chinchilla(), {"N": n, "D": d}, loss, delta=np.inf)
    flops = 6 * n * d
    chosen = list(
        greedy_design(fit, lambda params: params["alpha"], {"N": n, "D": d}, flops, budget=float(flops.sum()))
    )
    assert flops[chosen].sum() <= flops.sum()
    planned = spread_of_alpha(np.append(n, n[chosen]), np.append(d, d[chosen]))
    assert planned < 0.95 * spread_of_alpha(np.tile(n, 2), np.tile(d, 2))


def test_expected_standard_error_is_that_of_a_fit_with_the_run_added() -> None:
    n, d = ladder()
    loss = Chinchilla().predict(TRUTH, N=n, D=d) * np.exp(np.random.default_rng(9).normal(0, NOISE, len(n)))
    fit = fit_law(Chinchilla(), {"N": n, "D": d}, loss, delta=np.inf)
    for row in range(0, len(n), 6):
        gradient = fit.design().evaluate(fit.theta[None, :]).gradient[0] / fit.result.residual_std
        added = gradient.T @ gradient + np.outer(gradient[row], gradient[row])
        expected = float(np.sqrt(np.linalg.inv(added)[2, 2]))
        found = standard_error(fit, lambda params: params["alpha"], {"N": n[row], "D": d[row]})
        assert found == pytest.approx(expected, rel=1e-5)
        assert found < standard_error(fit, lambda params: params["alpha"])
