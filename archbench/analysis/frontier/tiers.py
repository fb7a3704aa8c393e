"""What each size of a ladder is worth beside the best smaller one, and the tiers that follow.

Three outcomes, at the final costs of both: a size *gains* if its gain is above 0; it *does not gain* if its gain is
below half of what the ladder's own law expects for that spacing; otherwise the design has *not resolved* it. Both are
one-sided t tests of ln L at level 0.05, corrected by Holm (1979) over the ladder. A *tier* is a run of neighbouring
sizes that do not gain, with the size before them: equality needs evidence of its own, and a lack of seeds is no tier.

The law is fitted without the size in question, in two ways: to all other sizes, which judges a single size that fell
behind, and to the smaller ones alone, which judges where a ladder stops paying (Bonferroni over the two). Each is taken
with and without a floor, and a size must fall short of half of what *either* form expects, since a ladder that nears
its floor gains less and less by its own law. Sizes found not to gain inform no law.

Legend: x ln C at the end, y mean over seeds of ln L there, K sizes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

from archbench.analysis.frontier.curves import CurveSet, Floats, MeanCurve
from archbench.analysis.frontier.expected_gain import ExpectedGains, floor_gains, line_gains
from archbench.analysis.frontier.leadership import cause_of
from archbench.analysis.frontier.noise import SeedNoise
from archbench.results.fits import GainOutcome, Interval, SizeGain, Tier
from archbench.results.runs import size_number
from archbench.units import counted

LEVEL = 0.05
_DEARER = 1.05
"""Factor of cost by which the next size of a ladder ends beyond all smaller ones, at least."""
_LAW_SIZES = 3
"""Sizes that a law with a floor needs; one of fewer could not tell a ladder that bends from one that stops."""
_LACK_OF_FIT_FREEDOM = 2
"""Degrees of freedom from which on residuals of the ladder's law stand in for unknown noise."""
_IN_CONTENTION = 3.0
"""Standard errors within which a smaller size may be the best one by luck."""
_POWER = 0.8
_MANY_SEEDS = 100


@dataclass(frozen=True, slots=True)
class SizeTiers:
    """The outcome of each size of a ladder, and its tiers."""

    tiers: tuple[Tier, ...]
    """From the smallest size up; a size that gains, or is not resolved, begins a new one. Empty without a ladder."""
    gains: tuple[SizeGain, ...]
    note: str
    """What of the sizes is no ladder, or what stands in for unknown noise; empty otherwise."""
    warning: str | None
    """What this design has not resolved, in one sentence."""


def find_tiers(curves: CurveSet, noise: SeedNoise | None) -> SizeTiers:
    """The outcome of each size against the best smaller one, and the tiers.

    Sizes that do not cost more, one after another, are no ladder (an isoFLOP grid, say): then there are no tiers, and
    the note says why. Without seeds the scatter about the ladder's law is the noise where enough sizes show it; else
    nothing is resolved.
    """
    ladder, note = _ladder(curves)
    if len(ladder) < 2:
        return SizeTiers((), (), note, None)
    declared: frozenset[int] = frozenset()
    while True:
        gains = _Judgement.of(ladder, noise, declared).gains()
        found = {number for number, one in enumerate(gains, 1) if one.outcome is GainOutcome.DOES_NOT_GAIN}
        if declared.issuperset(found):
            break
        declared |= found
    stand_in = noise is None and gains[0].p_gains is not None
    if stand_in:
        note = "; ".join(filter(None, (note, "the scatter of its sizes about their own law stands in for noise")))
    return SizeTiers(_tiers(ladder, gains), gains, note, _warning(gains, noise))


def holm(p_values: Mapping[int, float]) -> dict[int, float]:
    """Step-down corrected p-values by the same keys (Holm 1979)."""
    ranked = sorted(p_values, key=lambda key: p_values[key])
    corrected: dict[int, float] = {}
    highest = 0.0
    for rank, key in enumerate(ranked):
        highest = max(highest, min(1.0, (len(ranked) - rank) * p_values[key]))
        corrected[key] = highest
    return {key: corrected[key] for key in p_values}


def _ladder(curves: CurveSet) -> tuple[list[MeanCurve], str]:
    """The curve whose end stands for each size, smallest first, and what was left out of the ladder.

    Of several token budgets at a size the largest counts; where costs do not rise then, the largest that all share.
    """
    by_size: dict[int, list[MeanCurve]] = {}
    for curve in sorted(curves.curves, key=lambda curve: curve.planned_tokens):
        by_size.setdefault(curve.size_index, []).append(curve)
    sizes = sorted(by_size.values(), key=lambda held: held[0].non_embedding_params)
    chosen = [held[-1] for held in sizes]
    shared = set.intersection(*({curve.planned_tokens for curve in held} for held in sizes))
    kept = _rising(chosen)
    if len(kept) < len(sizes) and shared:
        common = max(shared)
        alike = [next(curve for curve in held[::-1] if curve.planned_tokens == common) for held in sizes]
        if len(_rising(alike)) > len(kept):
            chosen, kept = alike, _rising(alike)
    off = [curve for curve in chosen if not any(curve is one for one in kept)]
    if not off:
        return kept, ""
    if len(off) > max(1, len(sizes) // 4):
        return [], (
            "its sizes are no ladder: they do not cost more one after another (several share a budget, as on an "
            "isoFLOP grid)"
        )
    which = ", ".join(str(size_number(curve.size_index)) for curve in off)
    verb = "cost" if len(off) > 1 else "costs"
    return kept, f"{'sizes' if len(off) > 1 else 'size'} {which} {verb} no more than a smaller one: left out of tiers"


def _rising(chosen: Sequence[MeanCurve]) -> list[MeanCurve]:
    kept: list[MeanCurve] = []
    for curve in chosen:
        if not kept or curve.cost[-1] > _DEARER * kept[-1].cost[-1]:
            kept.append(curve)
    return kept


@dataclass(frozen=True, slots=True)
class _Pair:
    """One size beside the best smaller one; both are places on the ladder."""

    size: int
    rival: int
    candidates: int
    """Smaller sizes that might be the best one."""
    gain: float
    """Of ln L."""


@dataclass(frozen=True, slots=True)
class _Shortfall:
    """Half of what one form of the law expects, less the gain seen; linear in the log losses."""

    value: float
    coefficients: Floats
    """[K]: of what is tested, gain minus half the expected one."""
    expected: float
    error: float
    freedom: float

    @property
    def p_value(self) -> float:
        """Of the size gaining that half, or more."""
        return _below(-self.value, self.error, self.freedom)


@dataclass(frozen=True, slots=True)
class _Judgement:
    """A ladder laid out for its tests."""

    ladder: Sequence[MeanCurve]
    x: Floats
    y: Floats
    runs: Floats
    noise: SeedNoise | None
    pairs: tuple[_Pair, ...]
    laws: tuple[tuple[NDArray[np.bool_], ...], ...]
    """For each pair the choices of sizes that a law is fitted to."""
    forms: tuple[ExpectedGains, ...]
    """Without and with floor; their fits are those of all pairs' choices, one behind the other."""

    @staticmethod
    def of(ladder: Sequence[MeanCurve], noise: SeedNoise | None, declared: frozenset[int]) -> "_Judgement":
        """The tests of `ladder`; the places `declared` inform no law."""
        x = np.array([np.log(curve.cost[-1]) for curve in ladder])
        y = np.array([np.log(curve.final_losses_nats).mean() for curve in ladder])
        runs = np.array([curve.num_runs for curve in ladder], dtype=float)
        laws = tuple(_choices(size, len(ladder), declared) for size in range(1, len(ladder)))
        blank = _Judgement(ladder, x, y, runs, noise, (), laws, ())
        # Which smaller size is the best one needs a scale of noise, and without seeds the law's residuals are it.
        first = blank._fitted([_Pair(size, int(np.argmin(y[:size])), 1, 0.0) for size in range(1, len(ladder))])
        pairs = [first._pair(size) for size in range(1, len(ladder))]
        return first._with(pairs, first.forms)

    def gains(self) -> tuple[SizeGain, ...]:
        """Every pair's outcome."""
        raw_gains = {
            number: p for number, pair in enumerate(self.pairs) if (p := self._p_gains(number, pair)) is not None
        }
        shortfalls = [self._shortfalls(number, pair) for number, pair in enumerate(self.pairs)]
        raw_short = {
            number: min(1.0, pair.candidates * len(each) * min(max(form.p_value for form in law) for law in each))
            if (each := shortfalls[number])
            else 1.0
            for number, pair in enumerate(self.pairs)
        }
        p_gains, p_short = holm(raw_gains), holm(raw_short)
        return tuple(
            self._outcome(number, pair, p_gains.get(number), p_short[number], shortfalls[number])
            for number, pair in enumerate(self.pairs)
        )

    def _with(self, pairs: Sequence[_Pair], forms: tuple[ExpectedGains, ...]) -> "_Judgement":
        return _Judgement(self.ladder, self.x, self.y, self.runs, self.noise, tuple(pairs), self.laws, forms)

    def _fitted(self, pairs: Sequence[_Pair]) -> "_Judgement":
        """The laws of every pair's choices, with and without floor."""
        fits = [(pair, choice) for pair, each in zip(pairs, self.laws, strict=True) for choice in each]
        if not fits:
            return self._with(pairs, ())
        precision = self.runs
        if self.noise is not None and self.noise.by_size:
            own = np.array([self.noise.at(curve.size_index).std_log for curve in self.ladder])
            precision = self.runs / np.maximum(own, 1e-3 * own.max()) ** 2
            precision = precision / precision.mean()
        weights = np.stack([choice for _, choice in fits]) * precision
        start = np.array([self.x[pair.rival] for pair, _ in fits])
        end = np.array([self.x[pair.size] for pair, _ in fits])
        return self._with(pairs, tuple(fit(self.x, self.y, weights, start, end) for fit in (line_gains, floor_gains)))

    def _pair(self, size: int) -> _Pair:
        rival = int(np.argmin(self.y[:size]))
        candidates = 1
        for other in range(size):
            if other != rival:
                error, freedom = self._error(size - 1, self._difference(other, rival))
                near = error is None or self.y[other] - self.y[rival] <= _IN_CONTENTION * error
                candidates += int(near and freedom > 0)
        return _Pair(size, rival, candidates, float(self.y[rival] - self.y[size]))

    def _difference(self, one: int, other: int) -> Floats:
        coefficients = np.zeros(len(self.x))
        coefficients[one], coefficients[other] = 1.0, -1.0
        return coefficients

    def _error(self, number: int, coefficients: Floats) -> tuple[float | None, float]:
        """Standard error of a combination of log losses, and its degrees of freedom; None where noise is unknown.

        Without seeds the scatter about the laws of pair `number` stands in: of the form with the larger one.
        """
        used = coefficients != 0
        if self.noise is not None:
            sizes = [curve.size_index for curve, use in zip(self.ladder, used, strict=True) if use]
            return self.noise.error(sizes, coefficients[used], self.runs[used])
        scales = self._scatter(number)
        if scales is None:
            return None, 1.0
        scale, freedom = max(scales)
        return scale * float(np.sqrt(np.sum(coefficients**2 / self.runs))), freedom

    def _scatter(self, number: int) -> list[tuple[float, float]] | None:
        """Residual standard deviation and degrees of freedom of either form, fitted to all sizes but this one."""
        if not self.laws[number]:
            return None
        fit = sum(len(each) for each in self.laws[:number])
        found = [(float(form.residual_std[fit]), float(form.degrees_of_freedom[fit])) for form in self.forms]
        return found if all(freedom >= _LACK_OF_FIT_FREEDOM for _, freedom in found) else None

    def _p_gains(self, number: int, pair: _Pair) -> float | None:
        error, freedom = self._error(number, self._difference(pair.rival, pair.size))
        return None if error is None else _below(-pair.gain, error, freedom)

    def _shortfalls(self, number: int, pair: _Pair) -> list[list[_Shortfall]]:
        """For each choice of sizes, both forms; none where noise is unknown or no law is to be had."""
        found = []
        first = sum(len(each) for each in self.laws[:number])
        for fit in range(first, first + len(self.laws[number])):
            each = []
            for form in self.forms:
                coefficients = self._difference(pair.rival, pair.size) - 0.5 * form.gradient[fit]
                error: float | None
                if self.noise is not None:
                    error, freedom = self._error(number, coefficients)
                else:
                    freedom = float(form.degrees_of_freedom[fit])
                    error = float(form.residual_std[fit]) * float(np.sqrt(np.sum(coefficients**2 / self.runs)))
                    error = error if freedom >= _LACK_OF_FIT_FREEDOM else None
                if error is not None:
                    expected = float(form.gain[fit])
                    each.append(_Shortfall(0.5 * expected - pair.gain, coefficients, expected, error, freedom))
            if len(each) == len(self.forms):
                found.append(each)
        return found

    def _outcome(
        self, number: int, pair: _Pair, p_gains: float | None, p_short: float, shortfalls: list[list[_Shortfall]]
    ) -> SizeGain:
        outcome = GainOutcome.NOT_RESOLVED
        if p_gains is not None and p_gains < LEVEL:
            outcome = GainOutcome.GAINS
        elif p_short < LEVEL:
            outcome = GainOutcome.DOES_NOT_GAIN
        size, rival = self.ladder[pair.size], self.ladder[pair.rival]
        before = rival.final_loss_nats
        law = min(shortfalls, key=lambda each: max(form.p_value for form in each)) if shortfalls else None
        error, freedom = self._error(number, self._difference(pair.rival, pair.size))
        interval = None
        if error is not None:
            half = error * -float(stdtrit(freedom, LEVEL))
            low, high = (before * -float(np.expm1(-(pair.gain + side))) for side in (-half, half))
            interval = Interval(before - size.final_loss_nats, low, high, 0.9, "t")
        seeds, everywhere = None, False
        if outcome is GainOutcome.NOT_RESOLVED and self.noise is not None:
            seeds, everywhere = self._seeds(pair, law or [])
        return SizeGain(
            size_index=size.size_index,
            rival_index=rival.size_index,
            outcome=outcome,
            gain_nats=before - size.final_loss_nats,
            interval=interval,
            expected_nats=before * -float(np.expm1(-min(form.expected for form in law))) if law else None,
            p_gains=p_gains,
            p_does_not_gain=p_short if law else None,
            seeds_to_settle=seeds,
            seeds_at_every_size=everywhere,
            cause=cause_of(size, rival) if outcome is GainOutcome.DOES_NOT_GAIN else "",
        )

    def _seeds(self, pair: _Pair, law: Sequence[_Shortfall]) -> tuple[int | None, bool]:
        """Seeds by which one of the tests would find the gain seen with 80 % power, and whether at every size."""
        gain = [(pair.gain, self._difference(pair.rival, pair.size))]
        short = [(form.value, form.coefficients) for form in law]
        tests = [each for each in (gain, short) if each]
        here = [max(self._seeds_of(pair.size, *one) for one in each) for each in tests]
        if min(here) <= _MANY_SEEDS:
            return int(min(here)), False
        everywhere = min(max(self._seeds_of(None, *one) for one in each) for each in tests)
        return (int(everywhere), True) if everywhere <= _MANY_SEEDS else (None, False)

    def _seeds_of(self, place: int | None, effect: float, coefficients: Floats) -> float:
        """Seeds at `place`, or at every size, by which `effect` is found; infinite if none suffice."""
        assert self.noise is not None, "seeds are counted where seeds show the noise"
        if effect <= 0:
            return np.inf
        each = (coefficients * [self.noise.at(curve.size_index).std_log for curve in self.ladder]) ** 2
        _, freedom = self._error(0, coefficients)
        quantile = -float(stdtrit(freedom, LEVEL / len(self.pairs))) + float(ndtri(_POWER))
        allowed = (effect / quantile) ** 2
        if place is None:
            return float(max(np.ceil(each.sum() / allowed), self.runs.min() + 1))
        left = allowed - float(np.delete(each / self.runs, place).sum())
        return float(max(np.ceil(each[place] / left), self.runs[place] + 1)) if left > 0 else np.inf


def _choices(size: int, num_sizes: int, declared: frozenset[int]) -> tuple[NDArray[np.bool_], ...]:
    """All other sizes, and the smaller ones alone where those are fewer; only as far as there are enough for a law."""
    places = np.arange(num_sizes)
    informing = ~np.isin(places, list(declared)) & (places != size)
    choices = [informing]
    smaller = informing & (places < size)
    if smaller.sum() < informing.sum():
        choices.append(smaller)
    return tuple(choice for choice in choices if choice.sum() >= _LAW_SIZES)


def _below(value: float, error: float, freedom: float) -> float:
    """P-value of a true value of 0 or more, where `value` was seen."""
    if error > 0:
        return float(stdtr(freedom, value / error))
    return 0.0 if value < 0 else 1.0


def _tiers(ladder: Sequence[MeanCurve], gains: Sequence[SizeGain]) -> tuple[Tier, ...]:
    groups: list[list[int]] = [[ladder[0].size_index]]
    for one in gains:
        if one.outcome is GainOutcome.DOES_NOT_GAIN:
            groups[-1].append(one.size_index)
        else:
            groups.append([one.size_index])
    p_values = {one.size_index: one.p_does_not_gain for one in gains if one.p_does_not_gain is not None}
    return tuple(Tier(tuple(group), {size: p_values[size] for size in group[1:]}) for group in groups)


def _warning(gains: Sequence[SizeGain], noise: SeedNoise | None) -> str | None:
    open_ = [one for one in gains if one.outcome is GainOutcome.NOT_RESOLVED]
    if noise is None and gains[0].p_gains is None:
        flat = [str(size_number(one.size_index)) for one in gains if one.gain_nats <= 0]
        bare = (
            f"; in bare figures {'sizes' if len(flat) > 1 else 'size'} {', '.join(flat)} gain nothing" if flat else ""
        )
        return (
            "one seed at each size: run-to-run noise is unknown, so that no size is called better, or no better, than "
            f"the smaller ones; three seeds at each size would tell{bare}"
        )
    if not open_ or noise is None:
        return None
    sizes = ", ".join(str(size_number(one.size_index)) for one in open_)
    return (
        f"whether {counted(len(open_), 'size')} ({sizes}) {'gain' if len(open_) > 1 else 'gains'} over the smaller "
        f"ones is not resolved at a noise of {noise.std_nats:.2g} nats, from {noise.source}"
    )
