"""The form that every scaling law here has in logarithms, with its derivatives, for many parameter vectors at once.

    f(theta) = ln( exp(theta_E) + [ sum_k exp(u_k) ]^gamma ),    u_k = G_k · theta

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
class PowerSum:
    """Design of one law on given points: the gradients of its terms, and which parameters are floor and exponent."""

    terms: Array
    """G, [K, n, P]: derivative of u_k at point i by each parameter."""
    floor: int | None = None
    """Index of theta_E = ln E."""
    outer: int | None = None
    """Index of gamma."""

    @property
    def num_params(self) -> int:
        """P."""
        return int(self.terms.shape[2])

    def value(self, theta: Array) -> Array:
        """f, [R, n], for theta [R, P]."""
        inner, _ = self._inner(theta)
        outer = inner if self.outer is None else theta[:, self.outer, None] * inner
        return outer if self.floor is None else np.logaddexp(outer, theta[:, self.floor, None])

    def jacobian(self, theta: Array) -> tuple[Array, Array]:
        """f [R, n] and its gradient [R, n, P] for theta [R, P]."""
        value, gradient, _ = self._derivatives(theta)
        return value, gradient

    def newton_terms(self, theta: Array, slope: Array) -> tuple[Array, Array, Array]:
        """f [R, n], its gradient [R, n, P], and sum_i slope_i · (second derivative of f_i), [R, P, P]."""
        value, gradient, (shares, inner_gradient, outer_gradient, top) = self._derivatives(theta)
        gamma = 1.0 if self.outer is None else theta[:, self.outer, None]
        weight = slope * top
        curvature = self._inner_curvature(weight * gamma, shares, inner_gradient)
        if self.outer is not None:
            mixed = np.einsum("rn,rnp->rp", weight, inner_gradient)
            curvature[:, self.outer, :] += mixed
            curvature[:, :, self.outer] += mixed
        if self.floor is not None:
            difference = outer_gradient.copy()
            difference[:, :, self.floor] -= 1.0
            curvature += _weighted_gram(difference, weight * (1.0 - top))
        return value, gradient, curvature

    def _inner(self, theta: Array) -> tuple[Array, Array]:
        exponents = np.stack([theta @ term.T for term in self.terms])
        largest = exponents.max(axis=0)
        shares = np.exp(exponents - largest)
        total = shares.sum(axis=0)
        return largest + np.log(total), shares / total

    def _derivatives(self, theta: Array) -> tuple[Array, Array, tuple[Array, Array, Array, Array]]:
        inner, shares = self._inner(theta)
        inner_gradient = np.einsum("krn,knp->rnp", shares, self.terms)
        outer, outer_gradient = inner, inner_gradient
        if self.outer is not None:
            gamma = theta[:, self.outer, None]
            outer, outer_gradient = gamma * inner, gamma[:, :, None] * inner_gradient
            outer_gradient[:, :, self.outer] += inner
        top = np.ones_like(outer)
        value, gradient = outer, outer_gradient
        if self.floor is not None:
            log_floor = theta[:, self.floor, None]
            value = np.logaddexp(outer, log_floor)
            top = np.exp(outer - value)
            gradient = top[:, :, None] * outer_gradient
            gradient[:, :, self.floor] += np.exp(log_floor - value)
        return value, gradient, (shares, inner_gradient, outer_gradient, top)

    def _inner_curvature(self, weight: Array, shares: Array, inner_gradient: Array) -> Array:
        count = self.num_params
        if len(self.terms) == 1:
            return np.zeros((len(weight), count, count))
        curvature = -_weighted_gram(inner_gradient, weight)
        for share, term in zip(shares, self.terms, strict=True):
            products = (term[:, :, None] * term[:, None, :]).reshape(len(term), count * count)
            curvature += ((weight * share) @ products).reshape(-1, count, count)
        return curvature


def _weighted_gram(rows: Array, weight: Array) -> Array:
    """sum_i weight_i · row_i rowᵀ_i, [R, P, P], for rows [R, n, P] and weight [R, n]."""
    return np.asarray(np.matmul((rows * weight[:, :, None]).transpose(0, 2, 1), rows))
