"""The form that every scaling law here has in logarithms, with its derivatives, for many parameter vectors at once.

    f(theta) = ln( exp(theta_E) + [ sum_k exp(u_k) ]^gamma ),    u_k = G_k · theta + o_k

Each `u_k` is the logarithm of one power term, hence linear in the parameters: ln(A/N^alpha) = ln A - alpha · ln N.
The floor theta_E = ln E and the outer exponent gamma are optional. L(C), L(N), L(D), Kaplan's L(N,D) and L(N,S),
Chinchilla's L(N,D) and its variants, B_crit(L), D_T(D_F,N) and the unified transfer law are all of this form, so one
set of analytic derivatives serves them.

Legend: R parameter vectors (resamples, starts), n points, K terms, P parameters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """f and its gradient at R parameter vectors, with what the second derivative needs."""

    value: Array
    """f, [R, n]."""
    gradient: Array
    """[R, n, P]."""
    shares: Array
    """Share of each term in the inner sum, [K, R, n]."""
    inner_gradient: Array
    """Gradient of ln of the inner sum, [R, n, P]."""
    top: Array
    """Share of the power terms beside the floor in exp(f), [R, n]."""


@dataclass(frozen=True, slots=True)
class PowerSum:
    """Design of one law on given points: the gradients of its terms, and which parameters are floor and exponent."""

    terms: Array
    """G, [K, n, P]: derivative of u_k at point i by each parameter."""
    floor: int | None = None
    """Index of theta_E = ln E."""
    outer: int | None = None
    """Index of gamma."""
    offsets: Array | None = None
    """o, [K, n]: what is added to u_k without a parameter."""

    @property
    def num_params(self) -> int:
        """P."""
        return int(self.terms.shape[2])

    def value(self, theta: Array) -> Array:
        """f, [R, n], for theta [R, P]."""
        inner, _ = self._inner(theta)
        outer = inner if self.outer is None else theta[:, self.outer, None] * inner
        if self.floor is None:
            return outer
        # A resample without a fit has NaN parameters and so a NaN value: that is an answer, not a warning.
        with np.errstate(invalid="ignore"):
            return np.asarray(np.logaddexp(outer, theta[:, self.floor, None]))

    def evaluate(self, theta: Array) -> Evaluation:
        """f and its gradient for theta [R, P]."""
        inner, shares = self._inner(theta)
        inner_gradient = shares[0][:, :, None] * self.terms[0]
        for share, term in zip(shares[1:], self.terms[1:], strict=True):
            inner_gradient += share[:, :, None] * term
        value, gradient, top = inner, inner_gradient, np.ones_like(inner)
        if self.outer is not None:
            gamma = theta[:, self.outer, None]
            value, gradient = gamma * inner, gamma[:, :, None] * inner_gradient
            gradient[:, :, self.outer] += inner
        if self.floor is not None:
            log_floor = theta[:, self.floor, None]
            outer, value = value, np.logaddexp(value, log_floor)
            top = np.exp(outer - value)
            gradient = top[:, :, None] * gradient
            gradient[:, :, self.floor] += np.exp(log_floor - value)
        return Evaluation(value, gradient, shares, inner_gradient, top)

    def curvature(self, theta: Array, at: Evaluation, slope: Array) -> Array:
        """sum_i slope_i · (second derivative of f_i), [R, P, P], for slope [R, n]."""
        weight = slope * at.top
        gamma = 1.0 if self.outer is None else theta[:, self.outer, None]
        result = self._inner_curvature(weight * gamma, at)
        if self.outer is not None:
            mixed = np.einsum("rn,rnp->rp", weight, at.inner_gradient)
            result[:, self.outer, :] += mixed
            result[:, :, self.outer] += mixed
        if self.floor is not None:
            # The gradient is top·v' + (1 - top)·1_E, and ln(exp(v) + E) adds top(1 - top)(v' - 1_E)(v' - 1_E)ᵀ;
            # v' - 1_E is (gradient - 1_E)/top, which this form does not divide by.
            difference = at.gradient.copy()
            difference[:, :, self.floor] -= 1.0
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                ratio = np.where(at.top > 1e-12, slope * (1.0 - at.top) / at.top, 0.0)
            result += weighted_gram(difference, ratio)
        return result

    def _inner(self, theta: Array) -> tuple[Array, Array]:
        exponents = np.stack([theta @ term.T for term in self.terms])
        if self.offsets is not None:
            exponents += self.offsets[:, None, :]
        if len(exponents) == 1:
            return exponents[0], np.ones_like(exponents)
        largest = exponents.max(axis=0)
        shares = np.exp(exponents - largest)
        total = shares.sum(axis=0)
        return largest + np.log(total), shares / total

    def _inner_curvature(self, weight: Array, at: Evaluation) -> Array:
        count = self.num_params
        if len(self.terms) == 1:
            return np.zeros((len(weight), count, count))
        result = -weighted_gram(at.inner_gradient, weight)
        for share, term in zip(at.shares, self.terms, strict=True):
            products = (term[:, :, None] * term[:, None, :]).reshape(len(term), count * count)
            result += ((weight * share) @ products).reshape(-1, count, count)
        return result


def weighted_gram(rows: Array, weight: Array) -> Array:
    """sum_i weight_i · row_i rowᵀ_i, [R, P, P], for rows [R, n, P] and weight [R, n]."""
    return np.asarray(np.matmul((rows * weight[:, :, None]).transpose(0, 2, 1), rows))
