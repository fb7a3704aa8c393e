"""The unified transfer law with its from-scratch half known, so that k, alpha and beta are all that is fitted.

    L^(1/alpha_D) = (N_c/N)^(alpha_N/alpha_D) + D_c/(k·D_F^alpha·N^beta)

Hernandez et al. 2021 take N_c, D_c, alpha_N and alpha_D from training from scratch and then find k, alpha and beta.
Six free parameters need more sizes and amounts of data than most studies have; three need two of each.

Legend: N parameters, D_F fine-tuning tokens, L loss of the fine-tuned model.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import Exponents, Law, exp


class TransferGivenScratch(Law):
    """The unified law for given constants of L(N,D) from scratch; its response is L^(1/alpha_D)."""

    name = "transfer-given-scratch"
    title = "unified transfer law, L(N,D) given"
    equation = (
        "L = [(N_c/N)^(alpha_N/alpha_D) + D_c/(k·D_F^alpha·N^beta)]^alpha_D with L(N,D) given "
        "(Hernandez et al. 2021, eq 4.1)"
    )
    variables = ("D_F", "N")
    response = "L^(1/alpha_D)"
    num_params = 3
    amplitudes = (0,)
    exponents: ClassVar[Exponents] = {1: ("D_F",), 2: ("N",)}

    def __init__(self, scratch: Mapping[str, float], log_params_centre: float) -> None:
        """scratch: alpha_N, alpha_D, N_c, D_c; log_params_centre: mean ln N of the points that will be fitted."""
        self._scratch = scratch
        self._centre = log_params_centre

    def terms(self, logs: Array) -> Array:
        """ln of the data term; the size term has no parameter."""
        terms = np.zeros((2, logs.shape[1], 3))
        terms[0, :, 0], terms[0, :, 1], terms[0, :, 2] = 1.0, -logs[0], -logs[1]
        return terms

    def offsets(self, logs: Array) -> Array:
        """ln of the size term."""
        ratio = self._scratch["alpha_N"] / self._scratch["alpha_D"]
        size = ratio * (np.log(self._scratch["N_c"]) - logs[1] - self._centre)
        return np.stack([np.zeros_like(size), size])

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """k, alpha, beta."""
        shift = theta[:, 1] * centre[0] + theta[:, 2] * centre[1]
        return {
            "k": exp(np.log(self._scratch["D_c"]) - theta[:, 0] - shift),
            "alpha": theta[:, 1],
            "beta": theta[:, 2],
        }

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From k, alpha, beta."""
        alpha, beta = params["alpha"], params["beta"]
        data = np.log(self._scratch["D_c"] / params["k"]) - alpha * centre[0] - beta * centre[1]
        return np.array([data, alpha, beta])
