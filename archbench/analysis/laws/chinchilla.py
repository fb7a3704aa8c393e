"""L(N,D) = E + A/N^alpha + B/D^beta (Hoffmann et al. 2022, arXiv 2203.15556, eq 2) and two variants.

Legend: N parameters, D tokens, L loss, E floor, A and B sizes of the terms, alpha and beta exponents.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import ZERO_FLOOR, Exponents, Law, exp


def _log_floor(params: Mapping[str, float]) -> float:
    floor = params.get("E", 0.0)
    return max(float(np.log(floor)), ZERO_FLOOR) if floor > 0 else ZERO_FLOOR


class Chinchilla(Law):
    """L(N,D) = E + A/N^alpha + B/D^beta."""

    name = "chinchilla"
    title = "L(N,D) of Chinchilla"
    equation = "L = E + A/N^alpha + B/D^beta (Hoffmann et al. 2022, eq 2)"
    variables = ("N", "D")
    num_params = 5
    amplitudes = (0, 1)
    exponents: ClassVar[Exponents] = {2: ("N",), 3: ("D",)}
    floor = 4

    def terms(self, logs: Array) -> Array:
        """ln A/N^alpha and ln B/D^beta."""
        terms = np.zeros((2, logs.shape[1], self.num_params))
        for term in range(2):
            terms[term, :, term], terms[term, :, 2 + term] = 1.0, -logs[term]
        return terms

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """alpha, beta, A, B, E."""
        return {
            "alpha": theta[:, 2],
            "beta": theta[:, 3],
            "A": exp(theta[:, 0] + theta[:, 2] * centre[0]),
            "B": exp(theta[:, 1] + theta[:, 3] * centre[1]),
            "E": exp(theta[:, 4]),
        }

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From alpha, beta, A, B, E."""
        alpha, beta = params["alpha"], params["beta"]
        size, data = np.log(params["A"]) - alpha * centre[0], np.log(params["B"]) - beta * centre[1]
        return np.array([size, data, alpha, beta, _log_floor(params)])


class SharedExponent(Law):
    """L(N,D) = E + A/N^eta + B/D^eta: one exponent, under which the best D/N does not depend on compute."""

    name = "shared-exponent"
    title = "L(N,D) with one exponent"
    equation = "L = E + A/N^eta + B/D^eta (Gadre et al. 2024, arXiv 2403.08540, eq 4, with D = M·N)"
    variables = ("N", "D")
    num_params = 4
    amplitudes = (0, 1)
    exponents: ClassVar[Exponents] = {2: ("N", "D")}
    floor = 3

    def terms(self, logs: Array) -> Array:
        """ln A/N^eta and ln B/D^eta."""
        terms = np.zeros((2, logs.shape[1], self.num_params))
        for term in range(2):
            terms[term, :, term], terms[term, :, 2] = 1.0, -logs[term]
        return terms

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """eta, A, B, E."""
        return {
            "eta": theta[:, 2],
            "A": exp(theta[:, 0] + theta[:, 2] * centre[0]),
            "B": exp(theta[:, 1] + theta[:, 2] * centre[1]),
            "E": exp(theta[:, 3]),
        }

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From eta, A, B, E."""
        eta = params["eta"]
        size, data = np.log(params["A"]) - eta * centre[0], np.log(params["B"]) - eta * centre[1]
        return np.array([size, data, eta, _log_floor(params)])


class OuterExponent(Law):
    """L(N,D) = E + (A/N^alpha + B/D^beta)^gamma: Kaplan's and Chinchilla's forms are special cases."""

    name = "outer-exponent"
    title = "L(N,D) with an outer exponent"
    equation = (
        "L = E + (A/N^alpha + B/D^beta)^gamma (between Kaplan et al. 2020, eq 1.5 and Hoffmann et al. 2022, eq 2)"
    )
    variables = ("N", "D")
    num_params = 6
    amplitudes = (0, 1)
    exponents: ClassVar[Exponents] = {2: ("N",), 3: ("D",)}
    floor = 4
    outer = 5

    terms = Chinchilla.terms

    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """alpha, beta, A, B, E, gamma."""
        return {
            "alpha": theta[:, 2],
            "beta": theta[:, 3],
            "A": exp(theta[:, 0] + theta[:, 2] * centre[0]),
            "B": exp(theta[:, 1] + theta[:, 3] * centre[1]),
            "E": exp(theta[:, 4]),
            "gamma": theta[:, 5],
        }

    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """From alpha, beta, A, B, E, gamma."""
        alpha, beta = params["alpha"], params["beta"]
        size, data = np.log(params["A"]) - alpha * centre[0], np.log(params["B"]) - beta * centre[1]
        return np.array([size, data, alpha, beta, _log_floor(params), params["gamma"]])
