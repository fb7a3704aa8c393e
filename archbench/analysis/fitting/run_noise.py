"""How much one run deviates from a law, counted by runs: neighbouring points of a curve deviate together.

    ln L_i = f(theta, x_i) + u_run + e_i

u shifts a run's whole curve, e is what is left inside it. With W the weights of the points, G the gradient of f, Z the
runs (one column each), H = G (GᵀWG)⁻¹GᵀW what the fit takes up, and P the mean over each run's points:

    M = Zᵀ (I - H)ᵀ PᵀP (I - H) Z,   expected sum of squared run means of the residuals = var(u) · tr M

so that var(u) is read without bias, with tr(M)²/tr(M²) degrees of freedom (Satterthwaite 1946). Where each run is one
point, tr M is points less parameters, as in any regression.

Legend: n points, K runs, P parameters, R resamples.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.power_sum import Array


@dataclass(frozen=True, slots=True)
class RunNoise:
    """Deviations of ln L of the runs of one fit."""

    codes: np.ndarray
    """Run of each point, [n], from 0."""
    shift_std: float
    """Standard deviation of u."""
    within: Array
    """e of each point, [n]; zero where a run is one point."""
    within_std: float
    freedom: float
    """Degrees of freedom of `shift_std`."""

    @property
    def one_run_std(self) -> float:
        """Standard deviation of ln L at one point of a run that was not fitted."""
        return float(np.hypot(self.shift_std, self.within_std))

    @property
    def has_curves(self) -> bool:
        """Whether any run has several points."""
        return bool(len(self.codes) > self.codes.max() + 1)


def run_noise(fit: LawFit) -> RunNoise | None:
    """The deviations of `fit`; None where its runs leave no freedom to tell them."""
    codes = fit.points.runs()
    residual = fit.design().value(fit.theta[None, :])[0] - fit.points.observed
    count, weights = int(codes.max()) + 1, fit.points.weights
    if len(residual) == count:
        left_over = count - fit.num_free
        if left_over < 1:
            return None
        relative = weights / weights.mean()
        spread = float(np.sqrt((relative * residual**2).sum() / left_over))
        return RunNoise(codes, spread, np.zeros_like(residual), 0.0, float(left_over))
    share = np.bincount(codes)[codes]
    mean = np.bincount(codes, residual / share)
    left = _left_by_fit(fit, codes)
    trace = float(np.trace(left))
    if trace < 1e-3:
        return None
    freedom = trace**2 / float((left**2).sum())
    within = residual - mean[codes]
    inside = float(np.sqrt((within**2).sum() / max(len(residual) - count - fit.num_free, 1)))
    return RunNoise(codes, float(np.sqrt((mean**2).sum() / trace)), within, inside, max(freedom, 1.0))


def redrawn(fit: LawFit, noise: RunNoise, scale: Array, generator: np.random.Generator) -> Array:
    """Logarithms of made-up responses, [R, n]: the law, a new shift for every run, and its other deviations' sign anew.

    scale: factor of the noise in each resample, [R].
    """
    runs = int(noise.codes.max()) + 1
    centre = fit.design().value(fit.theta[None, :])[0]
    shift = generator.standard_normal((len(scale), runs)) * noise.shift_std * scale[:, None]
    drawn = centre + shift[:, noise.codes] / np.sqrt(_relative_weights(fit, noise))
    if noise.has_curves:
        signs = generator.standard_normal((len(scale), runs)) * scale[:, None]
        drawn += signs[:, noise.codes] * noise.within
    return np.asarray(drawn)


def covariance(fit: LawFit, noise: RunNoise) -> tuple[list[int], Array]:
    """Indices of the free parameters and their covariance, [free, free], under this noise."""
    free, gradient, inverse = _bread(fit)
    weighted = gradient * fit.points.weights[:, None]
    if noise.has_curves:
        meat = noise.shift_std**2 * _gram_of_sums(weighted, noise.codes)
        meat += _gram_of_sums(weighted * noise.within[:, None], noise.codes)
    else:
        relative = _relative_weights(fit, noise)
        meat = noise.shift_std**2 * (weighted / relative[:, None]).T @ weighted
    return free, np.asarray(inverse @ meat @ inverse) * inefficiency(fit.delta / max(noise.one_run_std, 1e-300))


def inefficiency(threshold: float) -> float:
    """Variance of Huber's estimate over that of least squares, for normal noise (Huber 1981, section 4.5).

    threshold: delta in standard deviations of the noise; pi/2 as it goes to 0.
    """
    if threshold > 8.0:
        return 1.0
    if threshold < 1e-3:
        return float(np.pi / 2)
    inside = 2.0 * float(ndtr(threshold)) - 1.0
    density = float(np.exp(-(threshold**2) / 2.0) / np.sqrt(2.0 * np.pi))
    square = inside - 2.0 * threshold * density + threshold**2 * (1.0 - inside)
    return square / inside**2


def _relative_weights(fit: LawFit, noise: RunNoise) -> Array:
    """How much less a point varies that counts for more; all 1 on curves, where weights say how runs are shared out."""
    if noise.has_curves:
        return np.ones_like(fit.points.weights)
    return np.asarray(fit.points.weights / fit.points.weights.mean())


def _bread(fit: LawFit) -> tuple[list[int], Array, Array]:
    """Indices of free parameters, the law's gradient there, [n, free], and (GᵀWG)⁻¹."""
    free = [index for index in range(fit.law.num_params) if index not in fit.fixed]
    gradient = fit.design().evaluate(fit.theta[None, :]).gradient[0][:, free]
    gram = (gradient * fit.points.weights[:, None]).T @ gradient
    return free, gradient, np.asarray(np.linalg.pinv(gram, rcond=1e-14, hermitian=True))


def _left_by_fit(fit: LawFit, codes: np.ndarray) -> Array:
    """M, [K, K]."""
    _, gradient, inverse = _bread(fit)
    count = int(codes.max()) + 1
    share = np.bincount(codes).astype(float)
    means = np.stack([np.bincount(codes, column, minlength=count) for column in gradient.T], axis=1) / share[:, None]
    weighted = gradient * fit.points.weights[:, None]
    sums = np.stack([np.bincount(codes, column, minlength=count) for column in weighted.T], axis=1)
    left = np.eye(count) - means @ inverse @ sums.T
    return np.asarray(left.T @ left)


def _gram_of_sums(rows: Array, codes: np.ndarray) -> Array:
    """sum over runs of (sum of its rows)(sum of its rows)ᵀ."""
    sums = np.zeros((int(codes.max()) + 1, rows.shape[1]))
    np.add.at(sums, codes, rows)
    return np.asarray(sums.T @ sums)
