"""Laws in one variable, without and with a floor: L(C), L(N), L(D) (Kaplan et al. 2020, eq 1.1-1.3).

Legend: C cost, N parameters, D tokens, L loss, alpha_X exponent, X_c scale, E floor.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import ZERO_FLOOR, Exponents, Law, exp, scale_of


class OneVariableLaw(Law):
    """L(X) = E + (X_c/X)^alpha_X of the one variable that `variables` names."""

    num_params = 3
    amplitudes = (0,)
    floor = 2
    delta = float("inf")
    """Least squares: such laws have few points, each the end of a run, and outliers are named by themselves."""
    with_floor: ClassVar[bool] = True

    def terms(self, logs: Array) -> Array:
        """ln (X_c/X)^alpha."""
        terms = np.zeros((1, logs.shape[1], 3))
        terms[0, :, 0], terms[0, :, 1] = 1.0, -logs[0]
        return terms

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """alpha_X, X_c, E."""
        letter = self.variables[0]
        return {
            f"alpha_{letter}": theta[:, 1],
            f"{letter}_c": scale_of(theta[:, 0], theta[:, 1], float(centre[0])),
            "E": exp(theta[:, 2]),
        }

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From alpha_X, X_c and, if there is a floor, E."""
        letter = self.variables[0]
        alpha = params[f"alpha_{letter}"]
        floor = params.get("E", 0.0)
        log_floor = max(np.log(floor), ZERO_FLOOR) if floor > 0 else ZERO_FLOOR
        return np.array([alpha * (np.log(params[f"{letter}_c"]) - centre[0]), alpha, log_floor])


class ComputeLaw(OneVariableLaw):
    """L(C) = E + (C_c/C)^alpha_C."""

    name = "L(C)"
    title = "L(C)"
    equation = "L = E + (C_c/C)^alpha_C (Kaplan et al. 2020, eq 1.3, there with E = 0)"
    variables = ("C",)
    exponents: ClassVar[Exponents] = {1: ("C",)}


class SizeLaw(OneVariableLaw):
    """L(N) = E + (N_c/N)^alpha_N."""

    name = "L(N)"
    title = "L(N)"
    equation = "L = E + (N_c/N)^alpha_N (Kaplan et al. 2020, eq 1.1, there with E = 0)"
    variables = ("N",)
    exponents: ClassVar[Exponents] = {1: ("N",)}


class DataLaw(OneVariableLaw):
    """L(D) = E + (D_c/D)^alpha_D."""

    name = "L(D)"
    title = "L(D)"
    equation = "L = E + (D_c/D)^alpha_D (Kaplan et al. 2020, eq 1.2, there with E = 0)"
    variables = ("D",)
    exponents: ClassVar[Exponents] = {1: ("D",)}


def one_variable_law(letter: str) -> OneVariableLaw:
    """L(X) of a variable that archbench has no law of its own for: alpha_X, X_c and E, `letter` in the place of X."""

    class _Law(OneVariableLaw):
        name = title = f"L({letter})"
        equation = f"L = E + ({letter}_c/{letter})^alpha_{letter}"
        variables = (letter,)
        exponents: ClassVar[Exponents] = {1: (letter,)}

    return _Law()
