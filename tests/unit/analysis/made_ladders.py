"""Ladders on one law of compute, whose multiplier is known at every loss."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from archbench.analysis.comparison.question import Question
from archbench.analysis.frontier.scan import StudyOptions, compare_all, fit_contenders
from archbench.results.fits import Comparison
from archbench.results.runs import CostAxis, RunRecord
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

THREE_SEEDS = SyntheticScan(seeds=(3, 3, 3, 3, 3))


def ladder(
    name: str,
    factor: float | Callable[[float], float] = 1.0,
    *,
    noise: float = 0.0,
    seed: int = 0,
    plan: SyntheticScan = THREE_SEEDS,
) -> list[RunRecord]:
    """Runs with ln L = 1.4 - 0.07·ln(k·C/1e13) and its noise; factor: k, or k as a function of the cost."""
    generator = np.random.default_rng(seed)
    made = []
    for record in synthetic_records(name, SyntheticLaw(), plan, seed=seed):
        shift = float(np.exp(noise * generator.standard_normal()))
        curve = []
        for point in record.curve:
            cost = max(point.exact_flops, 1.0)
            k = factor if isinstance(factor, float) else factor(record.curve[-1].exact_flops)
            curve.append(
                replace(point, validation_loss_nats=shift * float(np.exp(1.4 - 0.07 * np.log(k * cost / 1e13))))
            )
        made.append(replace(record, curve=tuple(curve)))
    return made


def compared(
    records: list[RunRecord], question: Question | None = None, *, axis: CostAxis = CostAxis.EXACT, resamples: int = 300
) -> Comparison:
    """The comparison on `axis` of the only contender with the first."""
    baseline, options = records[0].contender, StudyOptions(num_resamples=resamples, floor="none")
    sides = fit_contenders(records, axis, baseline=baseline, options=options)
    return compare_all(sides, baseline, question=question, num_resamples=resamples)[0]
