"""How a budget is spent best under L(N,D), for a cost that is a power of N times D.

Every joint law here falls with A/N^alpha + B/D^beta, whatever is done to that sum then, so one formula serves all.

Legend: C compute (FLOPs), N parameters, D tokens, L loss, alpha and beta exponents, p and k of C = k·N^p·D.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from archbench.analysis.fitting.power_sum import Array


@dataclass(frozen=True, slots=True)
class CostModel:
    """FLOPs of a run, C = factor·N^power·D."""

    factor: float
    power: float

    def flops(self, params: Array, tokens: Array) -> Array:
        """C of each run."""
        return np.asarray(self.factor * params**self.power * tokens)

    def tokens(self, params: float, flops: float) -> float:
        """D that `flops` buy at N = `params`."""
        return float(flops / (self.factor * params**self.power))


SIX_N_D = CostModel(6.0, 1.0)
"""The cost of Kaplan et al. 2020 and Hoffmann et al. 2022."""


def best_split(params: Mapping[str, float], flops: float, cost: CostModel = SIX_N_D) -> tuple[float, float]:
    """N and D that minimise L(N,D) at a cost of `flops` (Hoffmann et al. 2022, eq 4, for a cost k·N^p·D)."""
    size, tokens = best_splits(params, flops, cost)
    return float(size), float(tokens)


def best_splits(params: Mapping[str, ArrayLike], flops: float, cost: CostModel = SIX_N_D) -> tuple[Array, Array]:
    """The same for parameters that are arrays of one shape; not finite where they are not, or are not positive."""
    alpha, beta, log_size, log_data = _inner_sum(params)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.log(alpha) + log_size - np.log(cost.power * beta) - log_data
        log_params = (ratio + beta * np.log(flops / cost.factor)) / (alpha + cost.power * beta)
        return np.exp(log_params), np.exp(np.log(flops / cost.factor) - cost.power * log_params)


def exponents_of(params: Mapping[str, float]) -> tuple[float, float]:
    """alpha and beta of A/N^alpha + B/D^beta, which are one number in the law with a shared exponent."""
    alpha, beta, _, _ = _inner_sum(params)
    return float(alpha), float(beta)


def compute_exponent(params: Mapping[str, float], cost: CostModel = SIX_N_D) -> float:
    """Exponent of the loss above its floor against compute on the best split, alpha·beta/(alpha + p·beta) times gamma.

    gamma is the outer exponent: 1 in Chinchilla's law, alpha_D in Kaplan's.
    """
    alpha, beta = exponents_of(params)
    outer = params.get("gamma", params.get("alpha_D", 1.0))
    return outer * alpha * beta / (alpha + cost.power * beta)


def _inner_sum(params: Mapping[str, ArrayLike]) -> tuple[Array, Array, Array, Array]:
    """alpha, beta, ln A and ln B of the sum of powers inside a joint law."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if "alpha_N" in params:
            alpha = np.asarray(params["alpha_N"], dtype=float) / np.asarray(params["alpha_D"], dtype=float)
            return alpha, np.ones_like(alpha), alpha * np.log(params["N_c"]), np.asarray(np.log(params["D_c"]))
        shared = params.get("eta")
        alpha = np.asarray(params["alpha"] if shared is None else shared, dtype=float)
        beta = np.asarray(params["beta"] if shared is None else shared, dtype=float)
        return alpha, beta, np.asarray(np.log(params["A"])), np.asarray(np.log(params["B"]))
