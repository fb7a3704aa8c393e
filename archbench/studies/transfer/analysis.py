"""A transfer study from its records: effective data, laws, frontiers and forgetting of each direction, and their order.

Contract with the runs: `role` is one of `pretraining`, `scratch`, `finetune` (all others enter nothing), `labels` name
`source` and `target`, `unique_tokens` is D from scratch and D_F in fine-tuning, and a fine-tuned run's identity names
the run that it started from. The result of a run is the best point of its curve.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from archbench.analysis.fitting.fit import LawFit
from archbench.analysis.fitting.power_sum import Array
from archbench.results.runs import RunRecord
from archbench.studies.transfer.cells import Cell, NoiseDraws, TransferRuns, run_noise, transfer_runs
from archbench.studies.transfer.costs import cost_frontiers
from archbench.studies.transfer.data_regime import Regime, low_data_regime, scratch_law
from archbench.studies.transfer.direction_ranking import Direction, mean_multiplier, rank_directions
from archbench.studies.transfer.effective_data import Effective, effective_data, transfer_cell
from archbench.studies.transfer.forgetting import forgetting
from archbench.studies.transfer.laws import fit_given_scratch, fit_transfer_law, fit_unified_law, with_bootstrap
from archbench.studies.transfer.results import (
    FINETUNE,
    SCRATCH,
    DirectionRanking,
    DirectionResult,
    ScratchCurve,
    ScratchPoint,
    TransferResult,
)
from archbench.studies.transfer.scratch_curve import MonotoneCurve, inversions


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """How a transfer study is analysed."""

    study: str = "transfer"
    bytes_per_token: Mapping[str, float] = field(default_factory=dict)
    """Of each text by its name: UTF-8 bytes over tokens."""
    num_resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class MeasuredDirection:
    """One direction with the resamples that its intervals come from."""

    result: DirectionResult
    effective: tuple[Effective, ...]
    law: LawFit
    """D_T in the low-data regime."""
    law_theta: Array
    """Of each resample, [R, 3]; empty without intervals."""
    joint: LawFit
    """L(N,D) from scratch."""


def analyse_transfer(records: Sequence[RunRecord], settings: TransferSettings | None = None) -> TransferResult:
    """Every direction that `records` hold, and how they rank. The same seed gives the same intervals."""
    chosen = settings or TransferSettings()
    runs = transfer_runs(records)
    directions: list[DirectionResult] = []
    rankings: list[DirectionRanking] = []
    by_contender: dict[str, dict[Direction, tuple[Effective, ...]]] = {}
    for contender, source, target in runs.directions():
        one = measure_direction(runs, contender, source, target, chosen)
        directions.append(one.result)
        by_contender.setdefault(contender, {})[(source, target)] = one.effective
    for contender, group in by_contender.items():
        rankings += rank_directions(contender, group)
    return TransferResult(
        study=chosen.study,
        directions=tuple(directions),
        rankings=tuple(rankings),
        bytes_per_token=dict(chosen.bytes_per_token),
        warnings=runs.warnings,
    )


def measure_direction(
    runs: TransferRuns, contender: str, source: str, target: str, settings: TransferSettings
) -> MeasuredDirection:
    """`source` → `target` of one contender."""
    finetune, scratch = runs.finetune_of(contender, source, target), runs.scratch_of(contender, target)
    own = [cell for cell in (*runs.scratch, *runs.finetune) if cell.contender == contender]
    noises = {role: run_noise(own, role) for role in (SCRATCH, FINETUNE)}
    effective = effective_data(finetune, scratch, noises, NoiseDraws(settings.num_resamples, settings.seed))
    joint = scratch_law(scratch)
    regime = low_data_regime(scratch, joint)
    is_low = _is_low(regime)
    law, law_theta = fit_transfer_law(effective, is_low)
    given = fit_given_scratch(finetune, joint, is_low, settings.seed, settings.num_resamples)
    noise = noises[FINETUNE]
    result = DirectionResult(
        contender=contender,
        source=source,
        target=target,
        cells=tuple(transfer_cell(one, regime.low_data_tokens.get(one.cell.size_index)) for one in effective),
        scratch=tuple(_curve(size, cells, regime) for size, cells in scratch.items()),
        regime_law=regime.law,
        noise_std_log=None if noise is None else noise.std_log,
        noise_source="" if noise is None else noise.source,
        law=law.result,
        law_all_data=fit_transfer_law(effective, None)[0].result,
        scratch_law=with_bootstrap(joint, settings.seed, settings.num_resamples).result,
        unified_law=fit_unified_law(finetune, is_low, settings.seed, settings.num_resamples).result,
        unified_law_given_scratch=None if given is None else given.result,
        mean_multiplier=mean_multiplier(effective),
        frontiers=cost_frontiers(runs, finetune, scratch),
        forgetting=forgetting(runs, finetune),
        source_bytes_per_token=settings.bytes_per_token.get(source),
        target_bytes_per_token=settings.bytes_per_token.get(target),
        warnings=_warnings(runs, finetune, scratch, effective),
    )
    return MeasuredDirection(result, effective, law, law_theta, joint)


def _is_low(regime: Regime) -> Callable[[Cell], bool]:
    """Whether a cell may lie in the regime: a size that shows no limit has not left the power law of low data."""
    ends = regime.low_data_tokens
    return lambda cell: cell.tokens <= ends.get(cell.size_index, float("inf"))


def _curve(size: int, cells: Sequence[Cell], regime: Regime) -> ScratchCurve:
    log_loss = np.array([cell.log_loss for cell in cells])
    weights = np.array([len(cell.runs) for cell in cells], dtype=float)
    monotone = MonotoneCurve.through(np.log([cell.tokens for cell in cells]), log_loss, weights).log_loss
    points = tuple(
        ScratchPoint(cell.tokens, float(np.exp(cell.log_loss)), float(np.exp(level)), len(cell.runs))
        for cell, level in zip(cells, monotone, strict=True)
    )
    limit, low = regime.limit_loss_nats.get(size), regime.low_data_tokens.get(size)
    return ScratchCurve(size, cells[0].non_embedding_params, points, limit, low)


def _warnings(
    runs: TransferRuns,
    finetune: Sequence[Cell],
    scratch: Mapping[int, Sequence[Cell]],
    effective: Sequence[Effective],
) -> tuple[str, ...]:
    found = []
    if lost := len(finetune) - len(effective):
        found.append(f"{lost} fine-tuned cells have no D_E: their size was not trained from scratch on two amounts")
    if bends := sum(inversions(np.array([cell.log_loss for cell in curve])) for curve in scratch.values()):
        found.append(f"more data from scratch gave a higher loss at {bends} places: these points were pooled")
    if any(runs.pretraining_of(run) is None for cell in finetune for run in cell.runs):
        found.append("what pre-training cost is not known for all runs: they enter no frontier that counts it")
    if effective and all(one.draws is None for one in effective):
        found.append("no run-to-run noise is known, so there are no intervals: give one size two seeds")
    return tuple(found)
