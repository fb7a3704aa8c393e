"""Runs of the studies of Kaplan et al. 2020, made from its published laws with known noise: no training.

Legend: N parameters without embeddings, D tokens, B batch (tokens), S steps, L loss (nats per predicted token).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.kaplan import CriticalBatch, KaplanSizeData, KaplanSizeSteps
from archbench.analysis.laws.single import DataLaw, SizeLaw
from archbench.analysis.studies import analyse_studies
from archbench.contracts.study import StudyAnalysis
from archbench.host import default_host
from archbench.results.runs import CurvePoint, RunRecord, RunState
from archbench.units import kaplan_train_flops

BISECTIONS = 64
"""Halvings of an interval of losses: beyond the last bit of a double."""


@dataclass(frozen=True, slots=True)
class PublishedLaws:
    """The constants of Kaplan et al. 2020 (WebText2, nats per token), equations 1.1 to 1.6."""

    size: dict[str, float] = field(default_factory=lambda: {"alpha_N": 0.076, "N_c": 8.8e13})
    data: dict[str, float] = field(default_factory=lambda: {"alpha_D": 0.095, "D_c": 5.4e13})
    critical_batch: dict[str, float] = field(default_factory=lambda: {"alpha_B": 0.21, "B_star": 2e8})
    size_data: dict[str, float] = field(
        default_factory=lambda: {"alpha_N": 0.076, "alpha_D": 0.103, "N_c": 6.4e13, "D_c": 1.8e13}
    )
    size_steps: dict[str, float] = field(
        default_factory=lambda: {"alpha_N": 0.077, "alpha_S": 0.76, "N_c": 6.5e13, "S_c": 2.1e3}
    )

    def converged_loss(self, size: float) -> float:
        """L(N), eq 1.1."""
        return float(SizeLaw().predict(self.size, N=size)[0])

    def data_loss(self, tokens: float) -> float:
        """L(D), eq 1.2: the best loss of a large model that stops early."""
        return float(DataLaw().predict(self.data, D=tokens)[0])

    def joint_loss(self, size: float, tokens: float) -> float:
        """L(N,D), eq 1.5."""
        return float(self.joint_losses(np.array([size]), np.array([tokens]))[0])

    def joint_losses(self, sizes: Array, tokens: Array) -> Array:
        """L(N,D) of each pair."""
        return KaplanSizeData().predict(self.size_data, N=sizes, D=tokens)

    def critical_batch_tokens(self, loss: Array) -> Array:
        """B_crit(L), eq 1.4."""
        return CriticalBatch().predict(self.critical_batch, L=loss)

    def curve(self, size: float, batch_tokens: float, steps: Array) -> Array:
        """L after each of `steps` steps at a constant batch: eq 1.6 with S_min = S/(1 + B_crit(L)/B), eq 5.4.

        L stands on both sides; the right one falls with L, so that bisection finds the one solution.
        """
        law = KaplanSizeSteps()
        low = np.full(len(steps), (self.size_steps["N_c"] / size) ** self.size_steps["alpha_N"])
        high = law.predict(self.size_steps, N=size, S=steps / 1e6) + 10.0
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            steps_min = steps / (1.0 + self.critical_batch_tokens(middle) / batch_tokens)
            above = law.predict(self.size_steps, N=size, S=steps_min) > middle
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return np.asarray(0.5 * (low + high))


@dataclass(frozen=True, slots=True)
class SyntheticRun:
    """What one made-up run is asked for."""

    study: str
    size: int
    batch_tokens: int
    steps: int
    unique_tokens: int = 10**12
    seed: int = 0
    size_index: int = 0
    points: int = 40
    warmup_steps: int = 300


def constant_batch_run(
    run: SyntheticRun, laws: PublishedLaws, generator: np.random.Generator, *, noise_std: float = 0.0
) -> RunRecord:
    """A learning curve at constant batch; one draw of `noise_std` (of ln L) shifts the whole of it."""
    steps = _evaluated(run)
    loss = laws.curve(run.size, run.batch_tokens, np.maximum(steps, 1.0))
    return _record(run, steps, loss * np.exp(noise_std * generator.standard_normal()))


def ended_run(
    run: SyntheticRun,
    final_loss: float,
    generator: np.random.Generator,
    *,
    noise_std: float = 0.0,
    overfits: bool = False,
) -> RunRecord:
    """A run whose lowest loss is `final_loss`, times a draw of `noise_std` (of ln L).

    overfits: the lowest loss is reached at three quarters of the way, and the loss rises behind it, as that of a run
    which sees its subset too often.
    """
    steps = _evaluated(run)
    share = np.maximum(steps, 1.0) / run.steps
    lowest = final_loss * float(np.exp(noise_std * generator.standard_normal()))
    loss = lowest * (1.0 + 0.3 * np.log(share) ** 2)
    if overfits:
        turn = steps[np.searchsorted(share, 0.75)] / run.steps
        loss = lowest * (1.0 + 0.3 * np.log(share / turn) ** 2)
    return _record(run, steps, loss, stops_early=overfits)


def batch_scan_runs(
    laws: PublishedLaws,
    batches: Sequence[int],
    *,
    size: int,
    target_nats: float,
    study: str = "batches",
    noise_std: float = 0.0,
    seed: int = 0,
) -> list[RunRecord]:
    """Runs at constant batch, each as long as its batch needs to come 2 % below `target_nats`."""
    generator = np.random.default_rng(seed)
    records = []
    for index, batch in enumerate(batches):
        steps = np.geomspace(16, 1e9, 2000)
        reached = steps[laws.curve(size, batch, steps) < 0.98 * target_nats]
        assert len(reached), f"a size of {size} never reaches {target_nats} nats"
        run = SyntheticRun(study, size, batch, int(reached[0]), seed=index)
        records.append(constant_batch_run(run, laws, generator, noise_std=noise_std))
    return records


def _evaluated(run: SyntheticRun) -> Array:
    first = min(run.warmup_steps, run.steps // 2)
    return np.unique(np.append(np.round(np.geomspace(max(first, 1), run.steps, run.points)), 0.0))


def _record(run: SyntheticRun, steps: Array, loss: Array, *, stops_early: bool = False) -> RunRecord:
    curve = tuple(
        CurvePoint(
            step=int(step),
            tokens=int(step) * run.batch_tokens,
            kaplan_flops=kaplan_train_flops(run.size, int(step) * run.batch_tokens),
            exact_flops=2.0 * kaplan_train_flops(run.size, int(step) * run.batch_tokens),
            train_loss_nats=None if step == 0 else float(value),
            validation_loss_nats=float(value),
            bits_per_byte=None,
            in_warmup=bool(step < run.warmup_steps),
            finished=bool(int(step) == run.steps),
        )
        for step, value in zip(steps, loss, strict=True)
    )
    return RunRecord(
        run_id=hashlib.sha256(f"{run}/{loss[-1]!r}".encode()).hexdigest(),
        contender="gpt2",
        architecture="gpt2",
        objective="causal_lm",
        track="causal",
        size_index=run.size_index,
        non_embedding_params=run.size,
        embedding_params=16_640,
        seed=run.seed,
        batch_tokens=run.batch_tokens,
        planned_tokens=run.steps * run.batch_tokens,
        unique_tokens=run.unique_tokens,
        state=RunState.DONE,
        curve=curve,
        study=run.study,
        origin="synthetic",
        details={"identity": {"training": {"early_stopping": {"patience": 5}}}} if stops_early else {},
    )


@dataclass(frozen=True, slots=True)
class KaplanPlan:
    """A made-up campaign: every study of Kaplan et al. 2020 at their order of magnitude."""

    noise_std: float = 0.0
    """Of ln L, from run to run."""
    sizes: tuple[int, ...] = (10**6, 3 * 10**6, 10**7, 3 * 10**7, 10**8, 3 * 10**8, 10**9)
    unique_tokens: tuple[int, ...] = (2 * 10**7, 6 * 10**7, 2 * 10**8, 6 * 10**8, 2 * 10**9, 6 * 10**9, 2 * 10**10)
    batch_tokens: int = 2**19
    batches: tuple[int, ...] = tuple(2**power for power in range(15, 25))
    batch_scan_size: int = 10**8
    target_nats: float = 3.1
    curve_steps: int = 250_000
    budgets: tuple[float, ...] = (1e18, 1e19, 1e20, 1e21)


KAPLAN_SPEC: Mapping[str, Any] = {
    "studies": {
        "data": {"kind": "data_scan", "unique_tokens": [2e7, 2e10]},
        "grid": {"kind": "grid", "unique_tokens": [2e7, 2e10]},
        "isoflop": {"kind": "isoflop", "budgets": [1e18, 1e21]},
        "batches": {"kind": "batch_scan", "batch_tokens": [2**15, 2**24], "tokens": 1e9},
        "curves": {"kind": "learning_curves", "tokens": 1e11},
    }
}
"""As much of a resolved spec as the analysis of `kaplan_records` reads."""


def analysed_studies(
    records: Sequence[RunRecord], spec: Mapping[str, Any], *, baseline: str | None = None
) -> dict[str, StudyAnalysis]:
    """Name of each study -> what its runs show, by the kinds that are installed."""
    return analyse_studies(records, spec, default_host().registry.studies, baseline=baseline)


def study_results(
    records: Sequence[RunRecord], spec: Mapping[str, Any], *, baseline: str | None = None
) -> dict[str, Any]:
    """Name of each study -> its results."""
    return {name: one.results for name, one in analysed_studies(records, spec, baseline=baseline).items()}


def kaplan_records(laws: PublishedLaws, plan: KaplanPlan, *, seed: int = 0) -> list[RunRecord]:
    """Runs of the studies `scan`, `data`, `grid`, `isoflop`, `batches` and `curves`, each drawn from its own law."""
    generator = np.random.default_rng(seed)
    batch = plan.batch_tokens

    def ended(run: SyntheticRun, loss: float, *, overfits: bool = False) -> RunRecord:
        return ended_run(run, loss, generator, noise_std=plan.noise_std, overfits=overfits)

    def on_subset(study: str, index: int, size: int, data: int) -> SyntheticRun:
        # Five epochs, so that every run has seen all of its subset when it is at its best.
        steps = -(-5 * data // batch) + 20
        return SyntheticRun(study, size, batch, steps, unique_tokens=data, size_index=index, warmup_steps=10)

    records = []
    for index, size in enumerate(plan.sizes):
        records.append(ended(SyntheticRun("scan", size, batch, 10_000, size_index=index), laws.converged_loss(size)))
        records += [
            ended(on_subset("grid", index, size, data), laws.joint_loss(size, data), overfits=True)
            for data in plan.unique_tokens
        ]
        curve = SyntheticRun("curves", size, batch, plan.curve_steps, size_index=index, warmup_steps=1000)
        records.append(constant_batch_run(curve, laws, generator, noise_std=plan.noise_std))
    largest = len(plan.sizes) - 1
    records += [
        ended(on_subset("data", largest, plan.sizes[-1], data), laws.data_loss(data), overfits=True)
        for data in plan.unique_tokens
    ]
    for budget in plan.budgets:
        records += _isoflop_runs(laws, budget, ended)
    records += batch_scan_runs(
        laws,
        plan.batches,
        size=plan.batch_scan_size,
        target_nats=plan.target_nats,
        noise_std=plan.noise_std,
        seed=seed + 1,
    )
    return records


def _isoflop_runs(
    laws: PublishedLaws, budget: float, ended: Callable[[SyntheticRun, float], RunRecord]
) -> list[RunRecord]:
    """Seven sizes about the best one of a budget, each with the tokens that the budget buys."""
    sizes = np.geomspace(1e4, 1e13, 4000)
    best = sizes[np.argmin(laws.joint_losses(sizes, budget / (6.0 * sizes)))]
    records = []
    for index, size in enumerate(np.round(best * np.geomspace(0.25, 4.0, 7)).astype(int)):
        steps = 2000
        batch = max(1, round(budget / (6.0 * float(size) * steps)))
        run = SyntheticRun("isoflop", int(size), batch, steps, size_index=index, warmup_steps=10)
        records.append(ended(run, laws.joint_loss(float(size), float(batch * steps))))
    return records
