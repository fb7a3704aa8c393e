"""How a budget is spent best under L(N,D), for a cost that is a power of N times D.

Legend: C compute (FLOPs), N parameters, D tokens, L loss, alpha and beta exponents, p and k of C = k·N^p·D.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

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
    alpha, beta = exponents_of(params)
    ratio = np.log(alpha * params["A"]) - np.log(cost.power * beta * params["B"])
    size = float(np.exp((ratio + beta * np.log(flops / cost.factor)) / (alpha + cost.power * beta)))
    return size, cost.tokens(size, flops)


def exponents_of(params: Mapping[str, float]) -> tuple[float, float]:
    """alpha and beta, which are one number in the law with a shared exponent."""
    return params.get("alpha", params.get("eta", 0.0)), params.get("beta", params.get("eta", 0.0))


def compute_exponent(params: Mapping[str, float], cost: CostModel = SIX_N_D) -> float:
    """Exponent of the excess loss against compute on the best split, alpha·beta/(alpha + p·beta)."""
    alpha, beta = exponents_of(params)
    return alpha * beta / (alpha + cost.power * beta)
