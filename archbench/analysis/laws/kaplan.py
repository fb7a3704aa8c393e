"""The joint laws of Kaplan et al. 2020 (arXiv 2001.08361): L(N,D), L(N,S) and the critical batch.

Legend: N parameters without embeddings, D tokens, S steps, S_min steps at a batch far above critical, B batch (tokens),
L loss (nats); alpha_N, alpha_D, alpha_S, alpha_B exponents; N_c, D_c, S_c, B_star scales.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import Exponents, Law, exp, scale_of


class KaplanSizeData(Law):
    """L(N,D) = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D."""

    name = "kaplan-nd"
    title = "L(N,D) of Kaplan"
    equation = "L = [(N_c/N)^(alpha_N/alpha_D) + D_c/D]^alpha_D (Kaplan et al. 2020, eq 1.5)"
    variables = ("N", "D")
    num_params = 4
    amplitudes = (0, 1)
    exponents: ClassVar[Exponents] = {2: ("N",)}
    outer = 3

    def terms(self, logs: Array) -> Array:
        """ln (N_c/N)^r with r = alpha_N/alpha_D, and ln D_c/D."""
        terms = np.zeros((2, logs.shape[1], 4))
        terms[0, :, 0], terms[0, :, 2] = 1.0, -logs[0]
        terms[1, :, 1] = 1.0
        return terms

    def offsets(self, logs: Array) -> Array:
        """-ln D: its exponent inside the bracket is 1."""
        return np.stack([np.zeros_like(logs[1]), -logs[1]])

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """alpha_N, alpha_D, N_c, D_c."""
        return {
            "alpha_N": theta[:, 2] * theta[:, 3],
            "alpha_D": theta[:, 3],
            "N_c": scale_of(theta[:, 0], theta[:, 2], float(centre[0])),
            "D_c": exp(theta[:, 1] + centre[1]),
        }

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From alpha_N, alpha_D, N_c, D_c."""
        ratio = params["alpha_N"] / params["alpha_D"]
        return np.array(
            [
                ratio * (np.log(params["N_c"]) - centre[0]),
                np.log(params["D_c"]) - centre[1],
                ratio,
                params["alpha_D"],
            ]
        )


class KaplanSizeSteps(Law):
    """L(N,S) = (N_c/N)^alpha_N + (S_c/S_min)^alpha_S."""

    name = "kaplan-ns"
    title = "L(N,S) of Kaplan"
    equation = "L = (N_c/N)^alpha_N + (S_c/S_min)^alpha_S (Kaplan et al. 2020, eq 1.6)"
    variables = ("N", "S")
    num_params = 4
    amplitudes = (0, 1)
    exponents: ClassVar[Exponents] = {2: ("N",), 3: ("S",)}

    def terms(self, logs: Array) -> Array:
        """ln (N_c/N)^alpha_N and ln (S_c/S_min)^alpha_S."""
        terms = np.zeros((2, logs.shape[1], 4))
        for term in range(2):
            terms[term, :, term], terms[term, :, 2 + term] = 1.0, -logs[term]
        return terms

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """alpha_N, alpha_S, N_c, S_c."""
        return {
            "alpha_N": theta[:, 2],
            "alpha_S": theta[:, 3],
            "N_c": scale_of(theta[:, 0], theta[:, 2], float(centre[0])),
            "S_c": scale_of(theta[:, 1], theta[:, 3], float(centre[1])),
        }

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From alpha_N, alpha_S, N_c, S_c."""
        size, steps = params["alpha_N"], params["alpha_S"]
        return np.array(
            [size * (np.log(params["N_c"]) - centre[0]), steps * (np.log(params["S_c"]) - centre[1]), size, steps]
        )


class CriticalBatch(Law):
    """B_crit(L) = B_star / L^(1/alpha_B)."""

    name = "critical-batch"
    title = "B_crit(L)"
    equation = "B_crit = B_star/L^(1/alpha_B) (Kaplan et al. 2020, eq 1.4)"
    variables = ("L",)
    response = "B"
    num_params = 2
    amplitudes = (0,)
    exponents: ClassVar[Exponents] = {1: ("L",)}
    exponent_scale = 5.0

    def bounds(self) -> tuple[Array, Array]:
        """1/alpha_B is published as 4.8, beyond the box of other exponents."""
        return np.array([-700.0, 0.0]), np.array([700.0, 100.0])

    def terms(self, logs: Array) -> Array:
        """ln B_crit."""
        terms = np.zeros((1, logs.shape[1], 2))
        terms[0, :, 0], terms[0, :, 1] = 1.0, -logs[0]
        return terms

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """alpha_B, B_star (unit of B)."""
        with np.errstate(divide="ignore"):
            return {"alpha_B": 1.0 / theta[:, 1], "B_star": exp(theta[:, 0] + theta[:, 1] * centre[0])}

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From alpha_B and B_star."""
        slope = 1.0 / params["alpha_B"]
        return np.array([np.log(params["B_star"]) - slope * centre[0], slope])


def minimal_steps(steps: Array, batch_tokens: Array, critical_batch_tokens: Array) -> Array:
    """S_min = S/(1 + B_crit/B): steps that a batch far above critical would have taken (Kaplan et al. 2020, eq 5.4)."""
    return np.asarray(steps / (1.0 + critical_batch_tokens / batch_tokens))


def minimal_compute(flops: Array, batch_tokens: Array, critical_batch_tokens: Array) -> Array:
    """C_min = C/(1 + B/B_crit): compute at a batch far below critical (Kaplan et al. 2020, eq 5.5)."""
    return np.asarray(flops / (1.0 + batch_tokens / critical_batch_tokens))
