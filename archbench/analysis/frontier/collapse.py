"""Whether the normalised learning curves of a ladder fall on one curve, and which size departs from the others.

Qiu et al. 2025 (arXiv 2507.02119): of a well tuned ladder, loss over final loss against the share of the run's compute
is one curve, whatever the size. A size whose peak rate is off has a curve of another shape.

Here y(x) = ln L(x·T) - ln L(T), with T the run's tokens, at 12 shares x from a fifth of the run on, even in ln x; no
irreducible loss is subtracted, since few ladders identify one. Without it, and where sizes have unlike tokens a
parameter, curves drift with size even on an exact law: what the other sizes say of one is a line in ln N through their
mean y, or their mean where they are fewer than three.

Legend: L validation loss (nats), x share of the run's compute, N parameters, R runs, n sizes.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from archbench.analysis.frontier.curves import Floats
from archbench.results.controls import Collapse, CollapseRung
from archbench.results.runs import RunRecord

FROM_SHARE = 0.2
"""Earlier, warm-up and what a model finds out first shape the curve."""
TOLERANCE = 0.01
"""Of the mean of ln(L/L_end): curves of exact laws stay within it."""
WITHOUT_SEEDS = 0.02
"""The tolerance where no seeds tell the scatter."""
LEVEL = 0.05
MIN_SIZES = 4
_LEAST_OTHERS = 3
_POINTS = 12
_SHARES = np.geomspace(FROM_SHARE, 1.0, _POINTS + 1)[:-1]
_LEAST_EVALUATIONS = 4


def analyse_collapse(records: Sequence[RunRecord]) -> tuple[Collapse, ...]:
    """One for each contender with learning curves, in the order of the records; of a size the largest budget counts."""
    by_name: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.usable:
            by_name[record.contender].append(record)
    return tuple(_of_contender(name, runs) for name, runs in by_name.items() if any(len(run.curve) > 2 for run in runs))


@dataclass(frozen=True, slots=True)
class _Size:
    """The normalised curves of one size."""

    size_index: int
    params: int
    curves: Floats
    """[R, points]: y of each seed."""

    @property
    def scores(self) -> Floats:
        """[R]: mean of y over x."""
        return np.asarray(self.curves.mean(axis=1))


def _of_contender(name: str, runs: Sequence[RunRecord]) -> Collapse:
    sizes = _sizes(runs)
    freedom = sum(len(one.curves) - 1 for one in sizes)
    squares = sum(float(((one.scores - one.scores.mean()) ** 2).sum()) for one in sizes)
    std = float(np.sqrt(squares / freedom)) if freedom else None
    tolerance = TOLERANCE if freedom else WITHOUT_SEEDS
    if len(sizes) < MIN_SIZES:
        note = f"{len(sizes)} sizes have curves that can be held against each other; {MIN_SIZES} are needed"
        return Collapse(name, (), FROM_SHARE, std, tolerance, note)
    flagged: list[int] = []
    while len(sizes) - len(flagged) > _LEAST_OTHERS:
        kept = [place for place in range(len(sizes)) if place not in flagged]
        found = {
            place: _against([sizes[other] for other in kept if other != place], sizes[place], std) for place in kept
        }
        worst = max(kept, key=lambda place: found[place].departs)
        if not found[worst].beyond(tolerance, freedom, len(kept)):
            break
        flagged.append(worst)
    rungs = []
    for place, one in enumerate(sizes):
        others = [sizes[other] for other in range(len(sizes)) if other not in (*flagged, place)]
        rungs.append(_rung(one, _against(others, one, std), place in flagged))
    return Collapse(name, tuple(rungs), FROM_SHARE, std, tolerance)


def _sizes(runs: Sequence[RunRecord]) -> list[_Size]:
    """The sizes that have usable curves, smallest first."""
    longest: dict[int, int] = {}
    for run in runs:
        longest[run.size_index] = max(longest.get(run.size_index, 0), run.planned_tokens)
    curves: dict[tuple[int, int], list[Floats]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.size_index, run.seed)):
        curve = _normalised(run) if run.planned_tokens == longest[run.size_index] else None
        if curve is not None:
            curves[run.size_index, run.non_embedding_params].append(curve)
    return [_Size(index, params, np.stack(some)) for (index, params), some in sorted(curves.items())]


def _normalised(run: RunRecord) -> Floats | None:
    """[points]: y at the shares; None where the run was evaluated too seldom, or not before the first share."""
    points = [one for one in run.curve if not one.in_warmup and one.tokens > 0]
    if not points or not points[-1].finished:
        return None
    share = np.array([one.tokens for one in points], dtype=float) / points[-1].tokens
    loss = np.array([one.validation_loss_nats for one in points])
    if share[0] > FROM_SHARE or (share > FROM_SHARE).sum() < _LEAST_EVALUATIONS or not (loss > 0).all():
        return None
    return np.asarray(np.interp(np.log(_SHARES), np.log(share), np.log(loss)) - np.log(loss[-1]))


@dataclass(frozen=True, slots=True)
class _Residual:
    """One size less what the others make of it."""

    curve: Floats
    """[points]"""
    error: float | None

    @property
    def mean(self) -> float:
        return float(self.curve.mean())

    @property
    def departs(self) -> float:
        """How far it departs, in standard errors where they are known."""
        return abs(self.mean) / self.error if self.error else abs(self.mean)

    def beyond(self, tolerance: float, freedom: int, tests: int) -> bool:
        """Whether that is more than tolerance and, by the seeds, more than chance in `tests` tests (Bonferroni)."""
        if abs(self.mean) <= tolerance:
            return False
        if not self.error:
            return True
        return bool(2.0 * stdtr(freedom, -self.departs) * tests < LEVEL)


def _against(others: Sequence[_Size], one: _Size, std: float | None) -> _Residual:
    weights = _weights(np.log([other.params for other in others]), float(np.log(one.params)))
    expected = weights @ np.stack([other.curves.mean(axis=0) for other in others])
    error = None
    if std is not None:
        runs = np.array([len(other.curves) for other in others])
        error = std * float(np.sqrt(1.0 / len(one.curves) + (weights**2 / runs).sum()))
    return _Residual(one.curves.mean(axis=0) - expected, error)


def _weights(log_params: Floats, at: float) -> Floats:
    """[n]: what a line through values at `log_params` gives at `at`, as weights of the values; their mean for two."""
    count = len(log_params)
    centred = log_params - log_params.mean()
    if count < _LEAST_OTHERS:
        return np.full(count, 1.0 / count)
    return np.asarray(1.0 / count + (at - log_params.mean()) * centred / (centred**2).sum())


def _rung(one: _Size, found: _Residual, flagged: bool) -> CollapseRung:
    largest = int(np.argmax(np.abs(found.curve)))
    return CollapseRung(
        size_index=one.size_index,
        non_embedding_params=one.params,
        num_runs=len(one.curves),
        residual=found.mean,
        standard_error=found.error,
        largest=float(found.curve[largest]),
        largest_at=float(_SHARES[largest]),
        flagged=flagged,
    )
