"""What a law is: a formula in public parameters, and the same formula as a PowerSum in centred logarithms."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from archbench.analysis.fitting.power_sum import Array, PowerSum

Exponents = Mapping[int, tuple[str, ...]]

MAX_EXPONENT = 6.0
"""Box of every exponent: no published one is above 1.3, a fit that ends here has found no exponent."""
ZERO_FLOOR = -40.0
"""ln E of a floor that is absent."""


class Law(ABC):
    """A scaling law.

    theta, the parameters that are fitted, holds for each power term the logarithm of its size at the centre of the data
    (the geometric mean of each variable), the exponents, ln E and the outer exponent, at the indices named below.
    """

    name: ClassVar[str]
    """What the command line calls it."""
    title: ClassVar[str]
    equation: ClassVar[str]
    """Formula and source."""
    variables: ClassVar[tuple[str, ...]]
    response: ClassVar[str] = "L"
    rises: ClassVar[bool] = False
    """Whether the response grows with its variables; a loss falls."""
    num_params: ClassVar[int]
    amplitudes: ClassVar[tuple[int, ...]]
    """Index in theta of each term's size."""
    exponents: ClassVar[Exponents]
    """Index in theta of each exponent -> the variables that must vary for it to be seen."""
    exponent_scale: ClassVar[float] = 1.0
    """How large its exponents are beside those of a loss: how far the search for initial guesses is stretched."""
    delta: ClassVar[float] = 1e-3
    """Huber's, where none is asked for: Hoffmann et al. 2022, section D.2, on log residuals."""
    floor: ClassVar[int | None] = None
    outer: ClassVar[int | None] = None

    @abstractmethod
    def terms(self, logs: Array) -> Array:
        """G, [K, n, P], for centred logarithms of the variables, [V, n]."""

    @abstractmethod
    def public(self, theta: Array, centre: Array) -> dict[str, Array]:
        """Parameters by their papers' names, [R] each, from theta [R, P]; centre: mean logarithms, [V]."""

    @abstractmethod
    def internal(self, params: Mapping[str, float], centre: Array) -> Array:
        """theta, [P]: the inverse of `public`."""

    def design(self, logs: Array) -> PowerSum:
        """The law on given points."""
        return PowerSum(self.terms(logs), self.floor, self.outer, self.offsets(logs))

    def offsets(self, logs: Array) -> Array | None:
        """What each term holds without a parameter, [K, n]; None for nothing."""
        return None

    def predict(self, params: Mapping[str, float], **variables: Array | float) -> Array:
        """What the law with public `params` gives at each point; keywords are the law's variables, unlogged."""
        values = [np.atleast_1d(np.asarray(variables[name], dtype=float)) for name in self.variables]
        logs = np.log(np.stack(np.broadcast_arrays(*values)))
        theta = self.internal(params, np.zeros(len(logs)))
        return np.asarray(np.exp(self.design(logs).value(theta[None, :])[0]))

    def bounds(self) -> tuple[Array, Array]:
        """Box of theta, [P] each."""
        lower, upper = np.full(self.num_params, -700.0), np.full(self.num_params, 700.0)
        for index in self.exponents:
            lower[index], upper[index] = 0.0, MAX_EXPONENT
        if self.floor is not None:
            lower[self.floor] = ZERO_FLOOR
        if self.outer is not None:
            lower[self.outer], upper[self.outer] = 0.01, MAX_EXPONENT
        return lower, upper


def exp(values: Array) -> Array:
    """e to the values, infinite where that overflows."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(values))


def scale_of(amplitude: Array, exponent: Array, centre: float) -> Array:
    """N_c of (N_c/N)^alpha, from ln of the term at the centre and alpha."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return exp(amplitude / exponent + centre)
