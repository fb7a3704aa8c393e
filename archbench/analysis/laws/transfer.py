"""Transfer laws of Hernandez et al. 2021 (arXiv 2102.01293).

Legend: N parameters, D_F fine-tuning tokens, D_T effective data transferred, L loss of the fine-tuned model.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import Exponents, Law, exp, scale_of


class DataTransferred(Law):
    """D_T(D_F,N) = k·D_F^alpha·N^beta, in the low-data regime."""

    name = "data-transferred"
    title = "D_T(D_F,N)"
    equation = "D_T = k·D_F^alpha·N^beta (Hernandez et al. 2021, eq 1.1)"
    variables = ("D_F", "N")
    response = "D_T"
    rises = True
    num_params = 3
    amplitudes = (0,)
    exponents: ClassVar[Exponents] = {1: ("D_F",), 2: ("N",)}

    def terms(self, logs: Array) -> Array:
        """ln D_T."""
        terms = np.zeros((1, logs.shape[1], 3))
        terms[0, :, 0], terms[0, :, 1], terms[0, :, 2] = 1.0, logs[0], logs[1]
        return terms

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """k, alpha, beta."""
        return {
            "k": exp(theta[:, 0] - theta[:, 1] * centre[0] - theta[:, 2] * centre[1]),
            "alpha": theta[:, 1],
            "beta": theta[:, 2],
        }

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From k, alpha, beta."""
        alpha, beta = params["alpha"], params["beta"]
        return np.array([np.log(params["k"]) + alpha * centre[0] + beta * centre[1], alpha, beta])


class UnifiedTransfer(Law):
    """L(N,D_F) = [(N_c/N)^(alpha_N/alpha_D) + D_c/(k·D_F^alpha·N^beta)]^alpha_D; only D_c/k can be seen."""

    name = "unified-transfer"
    title = "unified transfer law"
    equation = "L = [(N_c/N)^(alpha_N/alpha_D) + D_c/(k·D_F^alpha·N^beta)]^alpha_D (Hernandez et al. 2021, eq 4.1)"
    variables = ("D_F", "N")
    num_params = 6
    amplitudes = (0, 1)
    exponents: ClassVar[Exponents] = {2: ("N",), 3: ("D_F",), 4: ("N",)}
    outer = 5

    def terms(self, logs: Array) -> Array:
        """ln of the size term and of the data term inside the bracket."""
        terms = np.zeros((2, logs.shape[1], 6))
        terms[0, :, 0], terms[0, :, 2] = 1.0, -logs[1]
        terms[1, :, 1], terms[1, :, 3], terms[1, :, 4] = 1.0, -logs[0], -logs[1]
        return terms

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """alpha_N, alpha_D, alpha, beta, N_c, D_c_over_k."""
        return {
            "alpha_N": theta[:, 2] * theta[:, 5],
            "alpha_D": theta[:, 5],
            "alpha": theta[:, 3],
            "beta": theta[:, 4],
            "N_c": scale_of(theta[:, 0], theta[:, 2], float(centre[1])),
            "D_c_over_k": exp(theta[:, 1] + theta[:, 3] * centre[0] + theta[:, 4] * centre[1]),
        }

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From alpha_N, alpha_D, alpha, beta, N_c, D_c_over_k."""
        ratio = params["alpha_N"] / params["alpha_D"]
        alpha, beta = params["alpha"], params["beta"]
        data = np.log(params["D_c_over_k"]) - alpha * centre[0] - beta * centre[1]
        return np.array([ratio * (np.log(params["N_c"]) - centre[1]), data, ratio, alpha, beta, params["alpha_D"]])
