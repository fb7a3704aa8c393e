"""What the trials of a scan's learning rates found, from their records: chosen rates, optima, edges, what it cost.

Legend: N parameters without embeddings, D tokens, L validation loss (nats per predicted token).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.frontier.curves import mean_curves
from archbench.analysis.frontier.noise import SeedNoise, estimate_noise
from archbench.results.runs import RESULT, SIZE_SCAN, CostAxis, RunRecord, RunState, size_number
from archbench.results.tuning import CHECK_LABEL, RUNG_LABEL, TRIAL, Edge, Optimum, Trial, by_merit, edge_of, optimum

Z_NEAR = 1.645
"""One-sided 5 % quantile of the normal distribution: a rate whose loss is this many standard errors of the difference
above the best one is told apart from it."""
Z_CHECK = 1.96
"""The same where the better of two rates is compared with the law's."""


@dataclass(frozen=True, slots=True)
class TrialRun:
    """One trial as it was trained."""

    run_id: str
    rate: float
    rung: int
    """From 0; the last one trains on all tokens."""
    tokens: int
    """Seen until it ended."""
    exact_flops: float
    state: RunState
    loss_nats: float | None
    """At the end; None unless it is done."""

    @property
    def trial(self) -> Trial:
        """The trial as decisions see it."""
        return Trial(self.rate, self.loss_nats)


@dataclass(frozen=True, slots=True)
class TunedSize:
    """One size of one contender: its trials and what they say."""

    contender: str
    size_index: int
    non_embedding_params: int
    trials: tuple[TrialRun, ...]
    rate: float | None
    """Of the runs that are the scan's results; None while trials are missing."""
    optimum: Optimum | None
    """Of the last rung; None where the best rate has no neighbour on both sides there."""
    edge: Edge | None
    """Set where the chosen rate ends its grid."""
    near: tuple[float, ...]
    """Rates of the last rung that run-to-run noise does not tell apart from the chosen one."""
    missing: tuple[str, ...] = ()
    """Why trials are missing: they failed, or have not ended."""

    @property
    def last_rung(self) -> tuple[TrialRun, ...]:
        """The trials on all tokens, by rising rate."""
        last = max((one.rung for one in self.trials), default=0)
        return tuple(sorted((one for one in self.trials if one.rung == last), key=lambda one: one.rate))

    @property
    def all_diverged(self) -> bool:
        """Whether no trial of the last rung came to its end."""
        return bool(self.trials) and all(one.loss_nats is None for one in self.last_rung)


@dataclass(frozen=True, slots=True)
class LawCheck:
    """Runs at one larger size, at the law's rate and at rates a factor below and above it."""

    contender: str
    size_index: int
    non_embedding_params: int
    rate: float
    loss_nats: float | None
    others: tuple[TrialRun, ...]
    """Below and above, by rising rate."""
    excess_nats: float | None
    """Loss at the law's rate less the better of the others'; negative where the law is better."""
    beyond_noise: bool | None
    """Whether the law's rate loses by more than run-to-run noise; None where that is unknown."""


@dataclass(frozen=True, slots=True)
class RateLaw:
    """coefficient · N^exponent, by least squares in ln rate over ln N: a rate that other scans may take."""

    contender: str
    coefficient: float
    exponent: float
    num_sizes: int
    """Whose best rates it goes through: optima, or the chosen rate where the best has no neighbour on both sides."""


@dataclass(frozen=True, slots=True)
class ContenderBudget:
    """What one contender's tuning took."""

    contender: str
    num_trials: int
    tokens: int
    exact_flops: float
    """Of all trials."""
    extra_exact_flops: float
    """Of the trials that are no results of the scan as well."""
    scan_exact_flops: float
    """Of the scan's results."""

    @property
    def extra_share(self) -> float:
        """Share of all FLOPs that only tuning spent."""
        total = self.extra_exact_flops + self.scan_exact_flops
        return self.extra_exact_flops / total if total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """The tuning of one scan."""

    sizes: tuple[TunedSize, ...]
    """By contender, smallest first; sizes whose rate follows a law are not among them."""
    checks: tuple[LawCheck, ...]
    budgets: tuple[ContenderBudget, ...]
    laws: tuple[RateLaw, ...]
    """Of the contenders that were tuned at two sizes or more."""

    @property
    def trials_equal(self) -> bool:
        """Whether every contender has as many trials, of every size and rung, as every other."""
        counts: dict[str, list[tuple[int, int]]] = {budget.contender: [] for budget in self.budgets}
        for size in self.sizes:
            counts[size.contender] += sorted((size.size_index, one.rung) for one in size.trials)
        for check in self.checks:
            counts[check.contender] += [(check.size_index, -1)] * len(check.others)
        return len({tuple(sorted(one)) for one in counts.values()}) <= 1


def analyse_tuning(records: Sequence[RunRecord]) -> Tuning | None:
    """What the trials among `records` found; None where there are none.

    Noise is that of the results' seeds, a contender's own where it has enough of them.
    """
    scan = [record for record in records if record.study == SIZE_SCAN]
    trials = [record for record in scan if record.role == TRIAL]
    if not trials:
        return None
    results = [record for record in scan if record.role == RESULT]
    names = list(dict.fromkeys(record.contender for record in trials))
    noises = {name: _noise_of_contender(name, results) for name in names}
    sizes, checks = [], []
    for name in names:
        own = [record for record in trials if record.contender == name]
        for size_index in sorted({record.size_index for record in own}):
            here = [record for record in own if record.size_index == size_index]
            chosen = [one for one in results if one.contender == name and one.size_index == size_index]
            rungs = [record for record in here if RUNG_LABEL in record.labels]
            if rungs:
                sizes.append(_tuned_size(rungs, chosen, noises[name]))
            if beside := [record for record in here if CHECK_LABEL in record.labels]:
                checks.append(_check(beside, chosen, noises[name]))
    laws = (_rate_law(name, [size for size in sizes if size.contender == name]) for name in names)
    return Tuning(
        sizes=tuple(sizes),
        checks=tuple(checks),
        budgets=tuple(_budget(name, trials, results) for name in names),
        laws=tuple(law for law in laws if law is not None),
    )


def tuning_warnings(tuning: Tuning) -> list[str]:
    """What a reader of the scan's verdict must know of its tuning, one sentence each."""
    warnings = []
    if not tuning.trials_equal:
        counts = ", ".join(f"{budget.contender} {budget.num_trials}" for budget in tuning.budgets)
        warnings.append(f"contenders were tuned by unequal numbers of trials ({counts}): their losses do not compare")
    for edge, where in ((Edge.LOW, "lower"), (Edge.HIGH, "higher")):
        named = _by_contender([size for size in tuning.sizes if size.edge is edge])
        if named:
            warnings.append(
                f"the best peak rate is the {edge.value}est of its grid at {named}: a {where} one may be better"
            )
    if named := _by_contender([size for size in tuning.sizes if size.all_diverged]):
        warnings.append(f"all trials on all tokens diverged at {named}")
    return warnings + [
        f"{check.contender}: at size {size_number(check.size_index)} the extrapolated peak rate loses "
        f"{check.excess_nats:.3g} nats to a neighbour, more than noise: larger sizes may be undertuned"
        for check in tuning.checks
        if check.beyond_noise
    ]


def peak_rate(record: RunRecord) -> float:
    """The run's peak learning rate, from its stored identity; not a number where it has none."""
    try:
        return float(record.details["identity"]["training"]["peak_learning_rate"])
    except (KeyError, TypeError, ValueError):
        return math.nan


def _by_contender(sizes: Sequence[TunedSize]) -> str:
    named: dict[str, list[int]] = {}
    for size in sizes:
        named.setdefault(size.contender, []).append(size_number(size.size_index))
    return "; ".join(
        f"{name} size{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        for name, numbers in named.items()
    )


def _noise_of_contender(contender: str, results: Sequence[RunRecord]) -> SeedNoise | None:
    """Run-to-run noise of the contender, else that of all contenders of its track."""
    own = estimate_noise(mean_curves(contender, results, CostAxis.KAPLAN).curves)
    if own is not None:
        return own
    track = next((record.track for record in results if record.contender == contender), None)
    peers = {record.contender for record in results if record.track == track}
    return estimate_noise(
        [curve for peer in sorted(peers) for curve in mean_curves(peer, results, CostAxis.KAPLAN).curves]
    )


def _trial_run(record: RunRecord) -> TrialRun:
    last = record.curve[-1] if record.curve else None
    return TrialRun(
        run_id=record.run_id,
        rate=peak_rate(record),
        rung=int(record.labels.get(RUNG_LABEL, "1")) - 1,
        tokens=last.tokens if last else 0,
        exact_flops=last.exact_flops if last else 0.0,
        state=record.state,
        loss_nats=record.final_loss_nats if record.usable else None,
    )


def _tuned_size(records: Sequence[RunRecord], results: Sequence[RunRecord], noise: SeedNoise | None) -> TunedSize:
    first = records[0]
    trials = tuple(sorted((_trial_run(one) for one in records), key=lambda one: (one.rung, one.rate)))
    ended = (RunState.DONE, RunState.DIVERGED)
    missing = tuple(
        f"{one.state.value}{f': {one.reason}' if one.reason else ''}" for one in records if one.state not in ended
    )
    size = TunedSize(
        contender=first.contender,
        size_index=first.size_index,
        non_embedding_params=first.non_embedding_params,
        trials=trials,
        rate=None,
        optimum=None,
        edge=None,
        near=(),
        missing=missing,
    )
    last = [one.trial for one in size.last_rung]
    if missing or not results:
        return size
    best = by_merit(last)[0]
    return replace(
        size,
        rate=best.rate,
        optimum=optimum(last),
        edge=edge_of(best.rate, [one.rate for one in trials if one.rung == 0]),
        near=tuple(one.rate for one in last if one.rate != best.rate and not _apart(best, one, noise)),
    )


def _rate_law(contender: str, sizes: Sequence[TunedSize]) -> RateLaw | None:
    best = [
        (size.non_embedding_params, size.optimum.rate if size.optimum is not None else size.rate)
        for size in sizes
        if size.rate is not None and not size.all_diverged
    ]
    if len({num_params for num_params, _ in best}) < 2:
        return None
    log_params, log_rates = np.log(np.array(best, dtype=float)).T
    exponent, log_coefficient = np.polyfit(log_params, log_rates, 1)
    return RateLaw(contender, math.exp(log_coefficient), float(exponent), len(best))


def _apart(best: Trial, other: Trial, noise: SeedNoise | None) -> bool:
    """Whether `other` is worse by more than the noise of a difference of two runs; unknown noise tells all apart."""
    if best.loss_nats is None or other.loss_nats is None or noise is None:
        return best.loss_nats != other.loss_nats
    return math.log(other.loss_nats / best.loss_nats) > Z_NEAR * math.sqrt(2.0) * noise.std_log


def _check(records: Sequence[RunRecord], results: Sequence[RunRecord], noise: SeedNoise | None) -> LawCheck:
    first = records[0]
    others = tuple(sorted((_trial_run(one) for one in records), key=lambda one: one.rate))
    tokens = max((one.planned_tokens for one in results), default=0)
    law = next((_trial_run(one) for one in results if one.seed == 0 and one.planned_tokens == tokens), None)
    better = by_merit([one.trial for one in others])[0]
    excess, beyond = None, None
    if law is not None and law.loss_nats is not None and better.loss_nats is not None:
        excess = law.loss_nats - better.loss_nats
        if noise is not None:
            beyond = math.log(law.loss_nats / better.loss_nats) > Z_CHECK * math.sqrt(2.0) * noise.std_log
    return LawCheck(
        contender=first.contender,
        size_index=first.size_index,
        non_embedding_params=first.non_embedding_params,
        rate=law.rate if law else math.nan,
        loss_nats=law.loss_nats if law else None,
        others=others,
        excess_nats=excess,
        beyond_noise=beyond,
    )


def _budget(contender: str, trials: Sequence[RunRecord], results: Sequence[RunRecord]) -> ContenderBudget:
    own: Mapping[str, TrialRun] = {one.run_id: _trial_run(one) for one in trials if one.contender == contender}
    scan = {one.run_id: _trial_run(one) for one in results if one.contender == contender}
    return ContenderBudget(
        contender=contender,
        num_trials=len(own),
        tokens=sum(one.tokens for one in own.values()),
        exact_flops=sum(one.exact_flops for one in own.values()),
        extra_exact_flops=sum(one.exact_flops for run_id, one in own.items() if run_id not in scan),
        scan_exact_flops=sum(one.exact_flops for one in scan.values()),
    )
