"""Noise that branches of one training have in common: runs of one size and seed that were decayed at several budgets.

Branches share all of the training before they part, so that they lie above or below their law together. A joint law
takes most of that for its term of N, and its residuals show the rest. With r the residuals, H what the fit takes up,
Z the trunks (one column each), P the mean over each trunk's runs:

    T = |P r|² = |P (I - H) (Z u + e)|²,   expected var(u)·tr(Zᵀ Q Z) + var(e)·tr Q   with Q = (I - H)ᵀPᵀP (I - H)

and the rest of the residuals tells var(e) in the same way. Whether var(u) is above 0 is tested by their ratio (F, with
degrees of freedom by Satterthwaite 1946), over all contenders that are compared.

Legend: n runs, K trunks, u deviation of a trunk, e deviation of a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.frontier.curves import Floats

_LEVEL = 0.05
_LEAST_TRACE = 1e-3


@dataclass(frozen=True, slots=True)
class TrunkNoise:
    """What the branches of a trunk have in common."""

    variance: float
    """Of ln L; 0 where no test shows any."""
    freedom: float


NONE = TrunkNoise(0.0, 0.0)


def trunk_noise(fits: Sequence[tuple[LawFit, np.ndarray]]) -> TrunkNoise:
    """The common noise of several contenders' trunks, from each one's fit and the trunk of each run, [n] from 0."""
    parts = [_Parts.of(fit, trunks) for fit, trunks in fits if int(trunks.max()) + 1 < len(trunks)]
    between = sum(part.between for part in parts)
    within = sum(part.within for part in parts)
    trace_between = sum(part.trace_between for part in parts)
    trace_within = sum(part.trace_within for part in parts)
    trace_shared = sum(part.trace_shared for part in parts)
    if min(trace_between, trace_within, trace_shared) < _LEAST_TRACE or within <= 0.0:
        return NONE
    own = within / trace_within
    ratio = between / trace_between / own
    freedom = (
        trace_between**2 / sum(part.square_between for part in parts),
        trace_within**2 / sum(part.square_within for part in parts),
    )
    if float(fdtrc(*freedom, ratio)) > _LEVEL:
        return NONE
    variance = max(between - own * trace_between, 0.0) / trace_shared
    return TrunkNoise(variance, max(trace_shared**2 / sum(part.square_shared for part in parts), 1.0))


def own_deviations(fit: LawFit, trunks: np.ndarray) -> Floats:
    """Residuals without what trunks have in common, [n], scaled to keep the variance that they would have unfitted."""
    residual = fit.residuals()
    mean = np.bincount(trunks, residual) / np.bincount(trunks)
    part = _Parts.of(fit, trunks)
    left = len(residual) - fit.num_free
    return np.asarray((residual - mean[trunks]) * np.sqrt(left / max(part.trace_within, _LEAST_TRACE)))


@dataclass(frozen=True, slots=True)
class _Parts:
    """Sums of squares of one fit's residuals between and within trunks, and the traces that say what to expect."""

    between: float
    within: float
    trace_between: float
    square_between: float
    trace_within: float
    square_within: float
    trace_shared: float
    square_shared: float

    @staticmethod
    def of(fit: LawFit, trunks: np.ndarray) -> "_Parts":
        free = [index for index in range(fit.law.num_params) if index not in fit.fixed]
        gradient = fit.design().evaluate(fit.theta[None, :]).gradient[0][:, free]
        left = np.eye(len(trunks)) - gradient @ np.linalg.pinv(gradient)
        members = trunks[:, None] == np.arange(int(trunks.max()) + 1)
        mean = (members / members.sum(axis=0)).T
        residual = fit.residuals()
        about = np.eye(len(trunks)) - members @ mean
        between, within = mean @ left, about @ left
        shared = between @ members
        return _Parts(
            float(((mean @ residual) ** 2).sum()),
            float(((about @ residual) ** 2).sum()),
            *_traces(between),
            *_traces(within),
            *_traces(shared),
        )


def _traces(factor: Floats) -> tuple[float, float]:
    """tr FᵀF and tr (FᵀF)²."""
    gram = factor @ factor.T
    return float(np.trace(gram)), float((gram**2).sum())
