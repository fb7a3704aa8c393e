"""The laws of one table side by side, and the one to forecast by.

A law that describes the runs much worse than another is none to forecast by: those whose AICc (Hurvich and Tsai 1989;
runs are its observations, not the points of their curves) exceeds the smallest by more than 10 are left out (Burnham
and Anderson 2002, section 2.6). Of the others the back-test decides: each is fitted to all points below a window of
cost and asked for the window. They are compared on the windows that all of them predict. One whose error is within a
tenth of the smallest is as good, and of those the one with the fewest parameters is recommended; where that one has no
floor, a law with one whose error is within a quarter of it, whatever AICc says of it, since without a floor every loss
far away comes out too low. Where no window can be predicted, AICc decides.

Legend: N parameters, D tokens, C compute, S steps, L loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.fitting.bootstrap import repeated
from archbench.analysis.fitting.fit import Floor, LawFit, fit_points
from archbench.analysis.fitting.forecast import windows_of, with_open_floor
from archbench.analysis.fitting.points import Points, clean_points, design_problem
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.thinning import thinned
from archbench.analysis.laws.base import Law
from archbench.analysis.laws.catalogue import LAWS
from archbench.analysis.tables.run_table import RunTable
from archbench.results.fits import FitStatus

CANDIDATES = ("L(C)", "L(N)", "L(D)", "shared-exponent", "chinchilla", "kaplan-nd", "kaplan-ns", "outer-exponent")
_WINDOWS = 4
"""The last ones: of them the most points are fitted."""
_AS_GOOD = 1.1
_NEARLY_AS_GOOD = 1.25
"""Of a law with a floor beside one without."""
_NO_ERROR = 1e-5
"""An error in ln L that no table of runs is exact enough to tell from none."""
_LEAST_WINDOWS = 2
_NO_SUPPORT = 10.0
"""Difference of AICc."""


@dataclass(frozen=True, slots=True)
class LawRow:
    """One law on the table."""

    law: str
    floor: str
    status: FitStatus
    reason: str
    num_params: int
    back_test_error: float
    """Root mean square of ln(predicted/actual) over `windows`; NaN where there are none."""
    windows: int
    """Windows that every law in the comparison predicts."""
    aicc: float
    """Smaller is better; NaN where the runs are too few."""
    recommended: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The laws side by side; `law` is None where none may be read."""

    rows: tuple[LawRow, ...]
    law: Law | None
    floor: Floor
    reason: str


@dataclass(frozen=True, slots=True)
class _Tried:
    law: Law
    floor: Floor
    fit: LawFit
    misses: dict[int, float]
    """Window -> ln(predicted/actual)."""


def choose_law(
    table: RunTable, *, floor: Floor = "free", delta: float | None = None, log_residuals: bool = True
) -> Choice:
    """Every law of loss whose variables `table` has; a law of one variable is tried with and without a free floor."""
    tried = list[_Tried]()
    for name in CANDIDATES:
        law = LAWS[name]
        if not {*law.variables, law.response} <= table.values.keys():
            continue
        bare = floor == "free" and len(law.variables) == 1
        floors: tuple[Floor, ...] = ("free", "none") if bare else (floor,)
        tried += [_try(law, table, one, delta, log_residuals) for one in floors]
    readable = [one for one in tried if one.fit.ok]
    if not readable:
        return Choice(
            tuple(_candidate_row(one, (), None) for one in tried), None, floor, "no law of this table may be read"
        )
    shared, contenders = _common(readable)
    best, reason = _recommended(contenders, shared)
    if (floored := _with_floor(readable, best, shared)) is not None:
        best, reason = floored
    return Choice(tuple(_candidate_row(one, shared, best) for one in tried), best.law, best.floor, reason)


def _try(law: Law, table: RunTable, floor: Floor, delta: float | None, log_residuals: bool) -> _Tried:
    variables, response = table.inputs(law)
    points = clean_points(law, variables, response, clusters=table.clusters)
    part = thinned(points)
    few = points if part is None else part.points
    fit = with_open_floor(fit_points(law, few, floor=floor, delta=delta, log_residuals=log_residuals))
    if not fit.ok:
        return _Tried(law, floor, fit, {})
    order = _ordering(table, points, None if part is None else part.index)
    misses = {}
    for number, (low, high) in list(enumerate(windows_of(order)))[-_WINDOWS:]:
        held = (order >= low) & (order <= high)
        theta = _refitted(fit, order < low)
        if theta is not None:
            predicted = law.design(few.logs[:, held]).value(theta[None, :])[0]
            misses[number] = float(np.mean(predicted - few.observed[held]))
    return _Tried(law, floor, fit, misses)


def _refitted(fit: LawFit, chosen: np.ndarray) -> Array | None:
    """theta of the fit to a part of its points, from its own minimum; None where the part cannot tell the law."""
    window = fit.points.subset(chosen)
    free_floor = fit.law.floor is not None and fit.law.floor not in fit.fixed
    if design_problem(fit.law, window, free_floor=free_floor) is not None:
        return None
    theta = repeated(replace(fit, points=window), window.observed, window.weights[None, :])[0]
    lower, upper = fit.law.bounds()
    inside = all(lower[index] + 1e-9 < theta[index] < upper[index] * (1 - 1e-6) for index in fit.law.exponents)
    return theta if inside else None


def _ordering(table: RunTable, points: Points, index: np.ndarray | None) -> Array:
    """ln of cost, or of what stands for it, at each point of the fit: one order for every law."""
    values = table.values
    if "N" in values and "D" in values:
        cost = values["N"] * values["D"]
    else:
        cost = values[next(name for name in ("C", "D", "N", "S") if name in values)]
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.log(cost)[points.kept]
    return np.asarray(np.round(kept if index is None else kept[index], 9))


def _common(readable: Sequence[_Tried]) -> tuple[tuple[int, ...], list[_Tried]]:
    """Windows that all contenders predict, and the contenders: laws with support that predict windows enough."""
    known = [value for value in (aicc(one.fit) for one in readable) if np.isfinite(value)]
    supported = [one for one in readable if not known or not aicc(one.fit) > min(known) + _NO_SUPPORT]
    contenders = sorted(supported, key=lambda one: -len(one.misses))
    most = len(contenders[0].misses)
    contenders = [one for one in contenders if len(one.misses) >= min(most, _LEAST_WINDOWS)]
    shared = set.intersection(*(set(one.misses) for one in contenders))
    return tuple(sorted(shared)), contenders


def _recommended(contenders: Sequence[_Tried], shared: Sequence[int]) -> tuple[_Tried, str]:
    if len(shared) >= _LEAST_WINDOWS:
        errors = {id(one): _held_out_error(one, shared) for one in contenders}
        least = min(errors.values())
        good = [one for one in contenders if errors[id(one)] <= max(_AS_GOOD * least, _NO_ERROR)]
        best = min(good, key=lambda one: (one.fit.num_free, errors[id(one)]))
        words = f"it misses {len(shared)} held-out windows by {errors[id(best)]:.2%}"
        if len(contenders) == 1:
            return best, f"the only law that AICc supports; {words}"
        if errors[id(best)] == least:
            return best, f"{words}, the least of {len(contenders)} laws that AICc supports"
        return best, f"{words}, as little as any ({least:.2%}), with the fewest parameters ({best.fit.num_free})"
    known = [one for one in contenders if np.isfinite(aicc(one.fit))]
    if known:
        best = min(known, key=lambda one: aicc(one.fit))
        return best, "the smallest AICc; too few windows could be held out for a back-test"
    best = min(contenders, key=lambda one: one.fit.num_free)
    return best, "the fewest parameters; too few runs for a back-test or AICc"


def _with_floor(readable: Sequence[_Tried], best: _Tried, shared: Sequence[int]) -> tuple[_Tried, str] | None:
    """A law with a floor that foretells nearly as well as `best`, which has none; None where there is none, or no need.

    Far beyond its data a law without floor forecasts too low, and its interval holds no doubt about that.
    """
    if _has_floor(best) or len(shared) < _LEAST_WINDOWS:
        return None
    least = _held_out_error(best, shared)
    near = [one for one in readable if _has_floor(one) and set(shared) <= set(one.misses)]
    near = [one for one in near if _held_out_error(one, shared) <= _NEARLY_AS_GOOD * least]
    if not near:
        return None
    chosen = min(near, key=lambda one: _held_out_error(one, shared))
    return chosen, (
        f"it misses {len(shared)} held-out windows by {_held_out_error(chosen, shared):.2%}, {best.law.name} by "
        f"{least:.2%}, which has no floor, and would forecast too low far beyond these runs"
    )


def _has_floor(one: _Tried) -> bool:
    return one.law.floor is not None and one.law.floor not in one.fit.fixed


def _held_out_error(one: _Tried, shared: Sequence[int]) -> float:
    return float(np.sqrt(np.mean([one.misses[number] ** 2 for number in shared])))


def aicc(fit: LawFit) -> float:
    """Akaike's criterion with its correction for few observations, which are runs; NaN where they are too few."""
    residual = fit.design().value(fit.theta[None, :])[0] - fit.points.observed
    _, codes = np.unique(fit.points.clusters, return_inverse=True)
    squares = np.bincount(codes, residual**2) / np.bincount(codes)
    # One parameter more: the noise.
    runs, count = len(squares), fit.num_free + 1
    if runs <= count + 1:
        return float("nan")
    return float(runs * np.log(max(squares.mean(), 1e-300)) + 2 * count + 2 * count * (count + 1) / (runs - count - 1))


def _candidate_row(one: _Tried, shared: Sequence[int], best: _Tried | None) -> LawRow:
    compared = len(shared) > 0 and set(shared) <= set(one.misses)
    return LawRow(
        one.law.name,
        one.fit.result.floor,
        one.fit.result.status,
        one.fit.result.reason,
        one.fit.num_free,
        _held_out_error(one, shared) if compared else float("nan"),
        len(shared) if compared else 0,
        aicc(one.fit) if one.fit.ok else float("nan"),
        one is best,
    )
