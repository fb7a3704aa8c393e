"""Effective data of fine-tuned models: D_E, D_T, D_F/D_E and D_E/D_F with intervals (Hernandez et al. 2021, section 2).

Legend: D_F fine-tuning tokens, D_E effective data, D_T = D_E - D_F, L loss, R resamples of run-to-run noise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.intervals import open_interval
from archbench.results.fits import Interval
from archbench.studies.transfer.cells import Cell, NoiseDraws, RunNoise
from archbench.studies.transfer.results import Censoring, Effect, TransferCell
from archbench.studies.transfer.scratch_curve import MonotoneCurve

METHOD = "parametric bootstrap of run noise, percentile"


@dataclass(frozen=True, slots=True)
class Effective:
    """ln D_E of one fine-tuned cell."""

    cell: Cell
    log_effective: float
    """-inf or inf where it is censored."""
    log_ends: tuple[float, float]
    """ln of the smallest and the largest D from scratch: the bounds of a censored value."""
    draws: Array | None
    """[R]; None where noise is not known."""
    scratch: Cell | None
    """From scratch on the same tokens."""
    log_ratio: float | None
    """ln (L_scratch/L_F) at the same tokens."""
    ratio_draws: Array | None

    @property
    def censored(self) -> Censoring:
        """On which side D_E lies beyond the data, if any."""
        if np.isinf(self.log_effective):
            return Censoring.ABOVE if self.log_effective > 0 else Censoring.BELOW
        return Censoring.NONE

    @property
    def inside(self) -> bool:
        """Whether D_E lies within the data, and its 95 % interval too where noise is known."""
        if self.draws is None:
            return self.censored is Censoring.NONE
        beyond = max(float(np.mean(self.draws == np.inf)), float(np.mean(self.draws == -np.inf)))
        return self.censored is Censoring.NONE and beyond <= 0.025

    @property
    def log_bounded(self) -> float:
        """ln D_E, or the bound where it is censored."""
        return float(np.clip(self.log_effective, *self.log_ends))

    @property
    def log_multiplier(self) -> float:
        """ln D_E/D_F."""
        return self.log_effective - float(np.log(self.cell.tokens))


def effective_data(
    finetune: Sequence[Cell],
    scratch: Mapping[int, Sequence[Cell]],
    noises: Mapping[str, RunNoise | None],
    draws: NoiseDraws,
) -> tuple[Effective, ...]:
    """D_E of each cell of `finetune` whose size was trained from scratch on two or more amounts of data.

    noises: by role.
    """
    found = []
    for size, curve in scratch.items():
        mine = [cell for cell in finetune if cell.size_index == size]
        if mine and len(curve) > 1:
            found += _of_size(mine, curve, noises, draws)
    return tuple(found)


def _of_size(
    mine: Sequence[Cell], curve: Sequence[Cell], noises: Mapping[str, RunNoise | None], draws: NoiseDraws
) -> list[Effective]:
    log_tokens = np.log([cell.tokens for cell in curve])
    log_loss = np.array([cell.log_loss for cell in curve])
    weights = np.array([len(cell.runs) for cell in curve], dtype=float)
    ends = (float(log_tokens[0]), float(log_tokens[-1]))
    values = MonotoneCurve.through(log_tokens, log_loss, weights).effective(np.array([cell.log_loss for cell in mine]))
    scratch_noise, tuned_noise = noises[curve[0].role], noises[mine[0].role]
    drawn = scratch_draws = tuned_draws = None
    if scratch_noise is not None and tuned_noise is not None:
        scratch_draws = log_loss + np.stack([draws.shifts(cell, scratch_noise) for cell in curve], axis=1)
        tuned_draws = np.stack([cell.log_loss + draws.shifts(cell, tuned_noise) for cell in mine], axis=1)
        drawn = np.stack(
            [
                MonotoneCurve.through(log_tokens, losses, weights).effective(tuned)
                for losses, tuned in zip(scratch_draws, tuned_draws, strict=True)
            ]
        )
    found = []
    for number, cell in enumerate(mine):
        same = next((index for index, other in enumerate(curve) if other.tokens == cell.tokens), None)
        ratio_draws = None
        if same is not None and scratch_draws is not None and tuned_draws is not None:
            ratio_draws = scratch_draws[:, same] - tuned_draws[:, number]
        found.append(
            Effective(
                cell=cell,
                log_effective=float(values[number]),
                log_ends=ends,
                draws=None if drawn is None else drawn[:, number],
                scratch=None if same is None else curve[same],
                log_ratio=None if same is None else float(log_loss[same]) - cell.log_loss,
                ratio_draws=ratio_draws,
            )
        )
    return found


def transfer_cell(one: Effective, low_data_tokens: float | None) -> TransferCell:
    """The figures of one cell, with their intervals."""
    tokens = one.cell.tokens
    log_effective = exponential_interval(one.log_bounded, one.draws)
    return TransferCell(
        size_index=one.cell.size_index,
        non_embedding_params=one.cell.non_embedding_params,
        finetune_tokens=tokens,
        loss_nats=float(np.exp(one.cell.log_loss)),
        num_runs=len(one.cell.runs),
        run_ids=tuple(run.run_id for run in one.cell.runs),
        scratch_loss_nats=None if one.scratch is None else float(np.exp(one.scratch.log_loss)),
        loss_ratio=None if one.log_ratio is None else exponential_interval(one.log_ratio, one.ratio_draws),
        effective_tokens=log_effective,
        transferred_tokens=_mapped(log_effective, lambda effective: effective - tokens),
        fraction=_mapped(log_effective, lambda effective: tokens / effective if effective > 0 else np.inf),
        multiplier=_mapped(log_effective, lambda effective: effective / tokens),
        censored=one.censored,
        effect=_effect(one, log_effective),
        low_data=None if low_data_tokens is None else tokens <= low_data_tokens,
    )


def exponential_interval(log_value: float, draws: Array | None, level: float = 0.95) -> Interval:
    """e to a value with the percentile interval of its draws; unknown, hence infinite, without draws."""
    value = float(np.exp(log_value))
    if draws is None:
        return Interval(value, -np.inf, np.inf, level, "unknown: no run-to-run noise")
    return open_interval(value, np.exp(draws), level=level, method=METHOD)


def _mapped(one: Interval, function: Callable[[float], float]) -> Interval:
    """The interval of a monotone function of a figure."""
    if one.low == -np.inf:
        return Interval(float(function(one.value)), -np.inf, np.inf, one.level, one.method)
    ends = sorted((float(function(one.low)), float(function(one.high))))
    return Interval(float(function(one.value)), ends[0], ends[1], one.level, one.method)


def _effect(one: Effective, effective: Interval) -> Effect:
    """By the interval of D_E; at the edge of the data by the loss itself, which is not censored."""
    tokens = one.cell.tokens
    if effective.low == -np.inf:
        return Effect.NOT_TOLD_APART
    ratio = None if one.log_ratio is None else exponential_interval(one.log_ratio, one.ratio_draws)
    if effective.low > tokens or (ratio is not None and one.censored is Censoring.ABOVE and ratio.low > 1.0):
        return Effect.TRANSFER
    if effective.high < tokens or (ratio is not None and one.censored is Censoring.BELOW and ratio.high < 1.0):
        return Effect.OSSIFICATION
    return Effect.NOT_TOLD_APART
