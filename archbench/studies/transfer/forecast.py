"""What to do with D_F target tokens and a budget C: train from scratch, fine-tune a model that is there, or pre-train
one first; and how large. By the laws that a transfer study fitted.

    from scratch     L = L(N, D_F)
    fine-tuning      L = L(N, D_F + k·D_F^alpha·N^beta)

with L(N,D) the study's law from scratch. A run is taken to its early stop: how many tokens it sees until then is a
power of N and D through the study's own runs, and so is what pre-training saw at each N. The size is the best that
the budget affords, looked for up to ten times the largest one of the study. Intervals hold the resamples of both laws
and their residuals; they do not hold that a law may end outside its data: how far outside a forecast lies,
`params_beyond_data` and `tokens_beyond_data` tell.

Legend: N parameters, D tokens from scratch, D_F fine-tuning tokens, C compute, L loss, R resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.bootstrap import bootstrap_law
from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.frontier.scan_laws import cost_model
from archbench.analysis.intervals import open_interval
from archbench.analysis.planning.allocation import CostModel
from archbench.results.fits import Interval
from archbench.results.runs import CostAxis, RunRecord
from archbench.studies.transfer.analysis import MeasuredDirection
from archbench.studies.transfer.cells import Cell, TransferRuns
from archbench.studies.transfer.results import CostPoint, FrontierKind

REACH = 10.0
"""How far beyond the study's sizes a size is looked for."""
_GRID = 400


@dataclass(frozen=True, slots=True)
class TransferOption:
    """One way to spend the budget."""

    kind: FrontierKind
    params: float | None
    """N, without embeddings; None where no size is affordable or a law was refused."""
    loss: Interval | None
    """Nats per target token."""
    flops: float | None
    """What it costs."""
    params_beyond_data: float
    """Factor by which N lies outside the study's sizes; 1 inside."""
    tokens_beyond_data: float
    """Factor by which D_F lies outside the study's amounts; 1 inside."""
    capped: bool
    """Whether a still larger size would be affordable than those looked at."""
    reason: str
    """Why there is no forecast; empty otherwise."""


@dataclass(frozen=True, slots=True)
class MeasuredOption:
    """The best that a kind of run was measured to reach within the budget, at the amount of data nearest to D_F."""

    kind: FrontierKind
    target_tokens: int
    point: CostPoint


@dataclass(frozen=True, slots=True)
class TransferAnswer:
    """Which option has the lowest loss, among those that are open."""

    given: str
    """`a pre-trained model at hand` or `no pre-trained model`."""
    best: FrontierKind | None
    """None where no option has a forecast."""
    told_apart: bool
    """Whether the interval of the loss ratio to the other option leaves out 1; False where that has no forecast."""
    alone: bool
    """Whether the other option has no forecast, so that nothing is compared."""


@dataclass(frozen=True, slots=True)
class TransferForecast:
    """The answer for one direction of one contender."""

    contender: str
    source: str
    target: str
    cost_axis: CostAxis
    flops: float
    target_tokens: float
    options: tuple[TransferOption, ...]
    answers: tuple[TransferAnswer, ...]
    """With and without a pre-trained model: where one is at hand, its cost is no part of the choice."""
    measured: tuple[MeasuredOption, ...]
    remark: str
    """What the laws do not answer, where that of D_T was refused; empty otherwise."""


@dataclass(frozen=True, slots=True)
class _TokenModel:
    """ln tokens = level + by_data·ln D + by_params·ln N."""

    level: float
    by_data: float
    by_params: float

    def tokens(self, params: Array, data: float) -> Array:
        """Tokens that a run sees until it ends."""
        return np.asarray(np.exp(self.level + self.by_data * np.log(data) + self.by_params * np.log(params)))


def forecast_transfer(
    one: MeasuredDirection,
    runs: TransferRuns,
    *,
    flops: float,
    target_tokens: float,
    axis: CostAxis = CostAxis.EXACT,
    resamples: int = 400,
    seed: int = 0,
) -> TransferForecast:
    """The options at a budget of `flops` on `axis` with `target_tokens` unique tokens of the target."""
    result = one.result
    scratch = [cell for curve in runs.scratch_of(result.contender, result.target).values() for cell in curve]
    tuned = runs.finetune_of(result.contender, result.source, result.target)
    # Runs that several fine-tuned ones began from count once.
    starts = {
        first.run_id: first for cell in tuned for run in cell.runs if (first := runs.pretraining_of(run)) is not None
    }
    price = cost_model([run for cell in (*scratch, *tuned) for run in cell.runs], axis)
    asked = _Asked(flops, target_tokens, price, _Losses.of(one, resamples, seed))
    found = [
        _option(FrontierKind.SCRATCH, asked, scratch, None, one),
        _option(FrontierKind.FINETUNE, asked, tuned, None, one),
        _option(FrontierKind.FINETUNE_ALL, asked, tuned, list(starts.values()), one),
    ]
    scratch_option, tuned_option, all_option = found
    answers = (
        _answer("a pre-trained model at hand", (scratch_option, tuned_option)),
        _answer("no pre-trained model", (scratch_option, all_option)),
    )
    measured = _measured(one, axis, flops, target_tokens)
    return TransferForecast(
        contender=result.contender,
        source=result.source,
        target=result.target,
        cost_axis=axis,
        flops=flops,
        target_tokens=target_tokens,
        options=tuple(option for option, _ in found),
        answers=answers,
        measured=measured,
        remark=_remark(one, measured),
    )


@dataclass(frozen=True, slots=True)
class _Losses:
    """ln L of both laws at one D_F, best value and resamples."""

    joint: LawFit
    joint_theta: Array
    law: LawFit
    law_theta: Array
    residuals: Array
    """Standard normal, [R, 2]: of ln L and of ln D_T."""

    @staticmethod
    def of(one: MeasuredDirection, resamples: int, seed: int) -> "_Losses":
        """Of a measured direction."""
        theta = np.empty((0, one.joint.law.num_params))
        if one.joint.ok:
            theta = bootstrap_law(one.joint, num_resamples=resamples, seed=seed).theta
        # The study's resamples of D_T are paired with fresh ones of L(N,D): as many as both have.
        count = min(len(theta), len(one.law_theta)) if one.law.ok else len(theta)
        law_theta = one.law_theta[:count] if one.law.ok else one.law_theta
        normal = np.random.default_rng([seed, 1]).standard_normal((max(count, 1), 2))
        return _Losses(one.joint, theta[:count], one.law, law_theta, normal)

    def scratch(self, params: Array, tokens: Array) -> Array:
        """ln L from scratch."""
        return np.log(self.joint.predict(N=params, D=tokens))

    def effective(self, params: Array, tokens: float) -> Array:
        """D_E after fine-tuning on `tokens`."""
        return np.asarray(tokens + self.law.predict(D_F=np.full(len(params), tokens), N=params))

    def draws(self, params: float, tokens: float, *, transferred: bool) -> Array:
        """ln L of each resample at one N, [R], with the laws' residuals."""
        if not len(self.joint_theta):
            return np.full(1, np.nan)
        effective = np.full(len(self.joint_theta), tokens)
        if transferred:
            if not len(self.law_theta):
                return np.full(1, np.nan)
            logs = self.law.logs_of(D_F=tokens, N=params)
            log_transferred = self.law.law.design(logs).value(self.law_theta)[:, 0]
            spread = self.law.result.residual_std * self.residuals[:, 1]
            effective = tokens + np.exp(np.minimum(log_transferred + spread, 700.0))
        logs = self.joint.logs_of(N=np.full(len(effective), params), D=effective)
        drawn = self.joint.law.design(logs).value(self.joint_theta)
        return np.asarray(np.diagonal(drawn) + self.joint.result.residual_std * self.residuals[:, 0])


@dataclass(frozen=True, slots=True)
class _Asked:
    flops: float
    tokens: float
    price: CostModel
    losses: _Losses


def _option(
    kind: FrontierKind,
    asked: _Asked,
    cells: Sequence[Cell],
    starts: Sequence[RunRecord] | None,
    one: MeasuredDirection,
) -> tuple[TransferOption, Array | None]:
    """One option with the resamples of its ln L. starts: the pre-training that is counted; None counts none."""
    transferred = kind is not FrontierKind.SCRATCH
    reason = _refusal(one, transferred, starts)
    if reason:
        return _nothing(kind, reason), None
    sizes = np.array(sorted({cell.non_embedding_params for cell in cells}), dtype=float)
    grid = np.geomspace(sizes[0], sizes[-1] * REACH, _GRID)
    tokens = _tokens_seen(cells).tokens(grid, asked.tokens)
    if starts is not None:
        tokens = tokens + _pretraining_tokens(starts)(grid)
    cost = asked.price.flops(grid, tokens)
    affordable = cost <= asked.flops
    if not affordable.any():
        least = f"{float(cost.min()):.3g}"
        return _nothing(kind, f"the smallest size of the study needs {least} FLOPs"), None
    effective = asked.losses.effective(grid, asked.tokens) if transferred else np.full(len(grid), asked.tokens)
    log_loss = np.where(affordable, asked.losses.scratch(grid, effective), np.inf)
    at = int(np.argmin(log_loss))
    drawn = asked.losses.draws(float(grid[at]), asked.tokens, transferred=transferred)
    seen = [cell.tokens for cell in cells]
    option = TransferOption(
        kind=kind,
        params=float(grid[at]),
        loss=open_interval(float(np.exp(log_loss[at])), np.exp(drawn), method="bootstrap of both laws + residuals"),
        flops=float(cost[at]),
        params_beyond_data=max(1.0, float(grid[at] / sizes[-1])),
        tokens_beyond_data=max(1.0, asked.tokens / max(seen), min(seen) / asked.tokens),
        capped=at == len(grid) - 1,
        reason="",
    )
    return option, drawn


def _refusal(one: MeasuredDirection, transferred: bool, starts: Sequence[RunRecord] | None) -> str:
    if not one.joint.ok:
        return f"L(N,D) from scratch: {one.joint.result.status.value}: {one.joint.result.reason}"
    if transferred and not one.law.ok:
        return f"D_T(D_F,N): {one.law.result.status.value}: {one.law.result.reason}"
    if starts is not None and not starts:
        return "what pre-training costs is not known: its models were trained elsewhere"
    return ""


def _remark(one: MeasuredDirection, measured: Sequence[MeasuredOption]) -> str:
    if one.law.ok or not one.joint.ok:
        return ""
    seen = "only what was measured tells" if measured else "nothing was measured within this budget to tell"
    return (
        "the law of D_T was refused, so the laws forecast training from scratch alone; "
        f"{seen} whether fine-tuning is better"
    )


def _nothing(kind: FrontierKind, reason: str) -> TransferOption:
    return TransferOption(kind, None, None, None, 1.0, 1.0, False, reason)


def _tokens_seen(cells: Sequence[Cell]) -> _TokenModel:
    """Tokens until the early stop, by least squares in logarithms over the runs; N enters where there are two sizes."""
    runs = [(cell.tokens, cell.non_embedding_params, run.curve[-1].tokens) for cell in cells for run in cell.runs]
    data, params, seen = np.log(np.array(runs, dtype=float)).T
    columns = [np.ones(len(data)), data, params]
    varied = [0] + [index for index in (1, 2) if np.ptp(columns[index]) > 0]
    found = np.zeros(3)
    found[varied] = np.linalg.lstsq(np.stack([columns[index] for index in varied], axis=1), seen, rcond=None)[0]
    return _TokenModel(*(float(value) for value in found))


def _pretraining_tokens(starts: Sequence[RunRecord]) -> Callable[[Array], Array]:
    """Tokens of pre-training at each N: a power of N through the study's; the one amount where it did not vary."""
    params = np.log([run.non_embedding_params for run in starts])
    seen = np.log([run.curve[-1].tokens for run in starts])
    if np.ptp(params) == 0:
        return lambda grid: np.full(len(grid), float(np.exp(seen.mean())))
    power, level = np.polyfit(params, seen, 1)
    return lambda grid: np.asarray(np.exp(level + power * np.log(grid)))


def _answer(given: str, found: Sequence[tuple[TransferOption, Array | None]]) -> TransferAnswer:
    usable = [(option, drawn) for option, drawn in found if option.loss is not None]
    if not usable:
        return TransferAnswer(given, best=None, told_apart=False, alone=False)
    ordered = sorted(usable, key=lambda one: one[0].loss.value if one[0].loss is not None else np.inf)
    apart = False
    if len(ordered) > 1:
        (_, own), (_, other) = ordered
        ratio = open_interval(0.0, other - own) if own is not None and other is not None else None
        apart = ratio is not None and ratio.low > 0.0
    return TransferAnswer(given, best=ordered[0][0].kind, told_apart=apart, alone=len(ordered) == 1)


def _measured(one: MeasuredDirection, axis: CostAxis, flops: float, tokens: float) -> tuple[MeasuredOption, ...]:
    mine = [frontier for frontier in one.result.frontiers if frontier.cost_axis is axis]
    if not mine:
        return ()
    nearest = min((frontier.target_tokens for frontier in mine), key=lambda amount: abs(np.log(amount / tokens)))
    found = []
    for frontier in mine:
        within = [point for point in frontier.points if point.cost <= flops]
        if frontier.target_tokens == nearest and within:
            found.append(MeasuredOption(frontier.kind, nearest, min(within, key=lambda point: point.loss_nats)))
    return tuple(found)
