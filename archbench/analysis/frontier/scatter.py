"""How far the cells of contenders lie about their laws: lack of fit, and noise between seeds.

Legend: R resamples, n cells of all contenders, G contenders, L loss (nats).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.finished import FinishedRuns

_LEVEL = 0.05
_ENOUGH_FOR_PAIRING = 4
"""Degrees of freedom from which on the correlation of shared seeds is used."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """How far cells lie about their laws: lack of fit, common to the seeds of a cell, and noise between seeds.

    Each part is one number for all contenders unless a test says that it is not (F, at 5 %).
    """

    group: np.ndarray
    """[n]"""
    num_runs: Floats
    """[n]"""
    residual_variance: Floats
    """[G], of a cell's mean about the law."""
    residual_freedom: Floats
    """[G]"""
    seed_variance: Floats
    """[G]; 0 where no seeds show it."""
    seed_freedom: Floats
    """[G]"""
    shared: tuple[tuple[int, int, float], ...]
    """Cells of two contenders with the same size and seeds, and the correlation of their noise."""

    @staticmethod
    def of(cells: Sequence[FinishedRuns], group: np.ndarray, residual: Floats, free: float) -> "Scatter":
        """From the residuals of laws [n] that leave `free` degrees of freedom; group: whose cell each is, [n]."""
        count = len(cells)
        members = group[None, :] == np.arange(count)[:, None]
        sizes = members.sum(axis=1)
        # Each law takes two of the degrees of freedom of its own cells, however few; the floor and what it is charged
        # are shared out in proportion to the rest.
        left = sizes - 2.0
        own_freedom = left * (free / left.sum())
        squares = np.array([float((residual[mine] ** 2).sum()) for mine in members])
        own_seeds = np.array([one.seed_variance for one in cells])
        seed_freedom = np.array([float(one.seed_freedom) for one in cells])
        pooled = float(squares.sum()) / free
        apart = count == 2 and _differ(squares / own_freedom, own_freedom)
        seeds = float((own_seeds * seed_freedom).sum() / max(seed_freedom.sum(), 1.0))
        seeds_apart = count == 2 and bool((seed_freedom > 0).all()) and _differ(own_seeds, seed_freedom)
        return Scatter(
            group=group,
            num_runs=np.concatenate([one.num_runs for one in cells]).astype(float),
            residual_variance=squares / own_freedom if apart else np.full(count, pooled),
            residual_freedom=own_freedom if apart else np.full(count, float(free)),
            seed_variance=own_seeds if seeds_apart else np.full(count, seeds),
            seed_freedom=seed_freedom if seeds_apart else np.full(count, float(seed_freedom.sum())),
            shared=_shared_noise(cells),
        )

    def weights(self) -> Floats | None:
        """Inverse variances of the cells, mean 1; None where all are alike."""
        variance = self._variances(self.residual_variance[None, :], self.seed_variance[None, :])[0]
        if not (variance > 0).all() or variance.max() <= variance.min() * (1.0 + 1e-9):
            return None
        weights = 1.0 / variance
        return np.asarray(weights / weights.mean())

    def _variances(self, residual: Floats, seed: Floats) -> Floats:
        """Variance of each cell's mean, [R, n], from both variances [R, G]: lack of fit plus noise over seeds.

        The variance about the law holds the noise already; what it holds beyond is lack of fit.
        """
        per_cell = (1.0 / self.num_runs)[None, :]
        mean_share = np.array([per_cell[0, self.group == number].mean() for number in range(residual.shape[1])])
        lack = np.maximum(residual - seed * mean_share[None, :], 0.0)
        return np.asarray(lack[:, self.group] + seed[:, self.group] * per_cell)

    def draw(self, num_resamples: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """New deviations of each cell's mean from its law, [R, n], and the standard deviation of a further one, [R]."""
        residual = self._scaled(self.residual_variance, self.residual_freedom, num_resamples, generator)
        seed = self._scaled(self.seed_variance, self.seed_freedom, num_resamples, generator)
        total = self._variances(residual, seed)
        noise = seed[:, self.group] / self.num_runs[None, :]
        normal = generator.standard_normal((2, num_resamples, len(self.group)))
        for one, other, correlation in self.shared:
            rest = np.sqrt(1.0 - correlation**2)
            normal[0][:, other] = correlation * normal[0][:, one] + rest * normal[0][:, other]
        lack = np.maximum(total - noise, 0.0)
        deviations = np.sqrt(noise) * normal[0] + np.sqrt(lack) * normal[1]
        return deviations, np.sqrt(total.mean(axis=1))

    @staticmethod
    def _scaled(variance: Floats, freedom: Floats, num_resamples: int, generator: np.random.Generator) -> Floats:
        """Variances drawn from their sampling distributions, [R, G]; contenders of one variance share the draw."""
        shape = (num_resamples, len(variance))
        drawn = np.zeros(shape)
        same = bool((variance == variance[0]).all() and (freedom == freedom[0]).all())
        for number in range(len(variance)):
            if same and number:
                drawn[:, number] = drawn[:, 0]
            elif freedom[number] > 0:
                scale = freedom[number] / generator.chisquare(freedom[number], size=num_resamples)
                drawn[:, number] = variance[number] * scale
        return drawn


def _differ(variances: Floats, freedom: Floats) -> bool:
    """Whether two variances differ by an F test (two-sided, 5 %)."""
    if not (variances > 0).all() or (freedom < 1).any():
        return False
    tail = float(fdtrc(freedom[0], freedom[1], variances[0] / variances[1]))
    return min(tail, 1.0 - tail) < _LEVEL / 2


def _shared_noise(cells: Sequence[FinishedRuns]) -> tuple[tuple[int, int, float], ...]:
    """Pairs of cells (numbered over all contenders) of one rung and the same seeds, and how their noise correlates.

    The correlation is taken one standard error (Fisher's z) low, so that a chance one does not narrow an interval.
    """
    if len(cells) != 2:
        return ()
    first, second = cells
    pairs, products, squares, freedom = [], 0.0, [0.0, 0.0], 0
    for one in range(len(first)):
        for other in np.flatnonzero(second.size_index == first.size_index[one]):
            same_budget = abs(first.log_tokens[one] - second.log_tokens[other]) < 1e-6
            if first.seeds[one] == second.seeds[other] and len(first.seeds[one]) > 1 and same_budget:
                a = first.losses[one] - first.losses[one].mean()
                b = second.losses[other] - second.losses[other].mean()
                products += float((a * b).sum())
                squares = [squares[0] + float((a * a).sum()), squares[1] + float((b * b).sum())]
                freedom += len(a) - 1
                pairs.append((one, len(first) + int(other)))
    if freedom < _ENOUGH_FOR_PAIRING or min(squares) <= 0.0:
        return ()
    estimate = np.clip(products / np.sqrt(squares[0] * squares[1]), -0.99, 0.99)
    low = float(np.tanh(np.arctanh(estimate) - 1.0 / np.sqrt(freedom - 1)))
    return tuple((one, other, low) for one, other in pairs) if low > 0 else ()
