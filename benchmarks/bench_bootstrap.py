"""Bootstrap of a 245-run joint Chinchilla fit: all resamples at once against a plain loop over scipy.optimize.

    python benchmarks/bench_bootstrap.py [resamples [resamples of the plain loop]]

Both minimise the same Huber objective (delta 1e-3) from the same start. The plain loop is timed on fewer resamples and
scaled; its objectives are compared, so that a fast wrong answer shows.
"""

import sys
import time

import numpy as np
from scipy.optimize import minimize

from archbench.analysis.fitting.bootstrap import refit
from archbench.analysis.fitting.cluster_weights import cluster_weights
from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.fitting.huber import huber
from archbench.analysis.laws.chinchilla import Chinchilla

NUM_RUNS = 245
EPOCH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}


def main() -> None:
    """Prints seconds of both, their ratio, and the largest relative difference of objectives."""
    resamples = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    plain = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    generator = np.random.default_rng(0)
    law = Chinchilla()
    N = np.exp(generator.uniform(np.log(5e7), np.log(1.6e10), NUM_RUNS))
    D = np.exp(generator.uniform(np.log(1e9), np.log(5e11), NUM_RUNS))
    L = law.predict(EPOCH, N=N, D=D) * np.exp(generator.normal(0, 0.01, NUM_RUNS))
    fit = fit_law(law, {"N": N, "D": D}, L)
    weights = cluster_weights(np.arange(NUM_RUNS), resamples, np.random.default_rng(1))
    begin = time.perf_counter()
    samples = refit(fit, weights)
    batched = time.perf_counter() - begin
    design, observed = fit.design(), fit.points.observed

    def objective(theta: np.ndarray, row: np.ndarray) -> tuple[float, np.ndarray]:
        at = design.evaluate(theta[None, :])
        residual = at.value[0] - observed
        slope = row * np.clip(residual, -fit.delta, fit.delta)
        return float((row * huber(residual, fit.delta)).sum()), slope @ at.gradient[0]

    begin, worst = time.perf_counter(), 0.0
    for row, theta in zip(weights[:plain], samples.theta[:plain], strict=True):
        end = minimize(objective, fit.theta, args=(row,), jac=True, method="BFGS", options={"gtol": 1e-8})
        worst = max(worst, objective(theta, row)[0] / end.fun - 1)
    loop = (time.perf_counter() - begin) / plain * resamples
    print(f"batched: {resamples} resamples of a {NUM_RUNS}-run joint fit in {batched:.2f} s")
    print(f"plain loop over scipy.optimize (BFGS, analytic gradient): {loop:.1f} s, measured on {plain} resamples")
    print(f"ratio {loop / batched:.1f}; largest excess of a batched objective over the loop's {worst:.1e}")


if __name__ == "__main__":
    main()
