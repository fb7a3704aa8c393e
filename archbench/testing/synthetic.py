"""Runs made from a known law with known noise, for tests and demonstrations: no training, every answer known."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archbench.results.runs import CurvePoint, PrefixAudit, RunRecord, RunState
from archbench.units import kaplan_train_flops


@dataclass(frozen=True, slots=True)
class SyntheticLaw:
    """L(N, D) = E + A/N^alpha + B/D^beta in nats (Hoffmann et al. 2022, eq 2), with noise from run to run."""

    E: float = 0.0
    A: float = 12.0
    alpha: float = 0.15
    B: float = 60.0
    beta: float = 0.25
    noise_std: float = 0.0
    """Standard deviation of ln L: each run's whole curve is shifted by one draw."""

    def loss(self, params: float, tokens: float) -> float:
        """Expected loss in nats."""
        return float(self.E + self.A / params**self.alpha + self.B / tokens**self.beta)


@dataclass(frozen=True, slots=True)
class SyntheticScan:
    """The plan of a made-up scan."""

    sizes: Sequence[int] = (10_000, 20_000, 40_000, 80_000, 160_000)
    seeds: Sequence[int] = (3, 3, 1, 1, 1)
    """Number of seeds at each size."""
    tokens: int = 4_000_000
    batch_tokens: int = 4096
    points: int = 24
    warmup_steps: int = 50
    exact_flops_per_kaplan: float = 2.0
    flop_per_s: float = 2e10


def synthetic_records(
    contender: str,
    law: SyntheticLaw,
    scan: SyntheticScan | None = None,
    *,
    seed: int = 0,
    track: str = "causal",
    capacity_limit: int | None = None,
) -> list[RunRecord]:
    """Done runs of `contender` that follow `law`; evaluation steps are log-spaced, as in real runs.

    capacity_limit: number of parameters beyond which a size gains nothing, which gives a tiered frontier.
    """
    plan = scan or SyntheticScan()
    generator = np.random.default_rng(seed)
    steps_total = plan.tokens // plan.batch_tokens
    steps = np.unique(np.append(np.round(np.geomspace(8, steps_total, plan.points)).astype(int), 0))
    records = []
    for size_index, (size, num_seeds) in enumerate(zip(plan.sizes, plan.seeds, strict=True)):
        for number in range(num_seeds):
            shift = float(np.exp(law.noise_std * generator.standard_normal()))
            useful = min(size, capacity_limit) if capacity_limit else size
            curve = tuple(_point(law, plan, int(step), steps_total, size, useful, shift) for step in steps)
            identity = f"{contender}/{size}/{number}/{seed}/{law}/{plan}"
            records.append(
                RunRecord(
                    run_id=hashlib.sha256(identity.encode()).hexdigest(),
                    contender=contender,
                    architecture=contender,
                    objective=f"{track}_lm",
                    track=track,
                    size_index=size_index,
                    non_embedding_params=size,
                    embedding_params=16_640,
                    seed=number,
                    batch_tokens=plan.batch_tokens,
                    planned_tokens=steps_total * plan.batch_tokens,
                    unique_tokens=10_000_000,
                    state=RunState.DONE,
                    curve=curve,
                    prefix_audit=PrefixAudit(0.0, -0.002, 0.002, 256) if track == "causal" else None,
                    origin="synthetic",
                )
            )
    return records


def _point(
    law: SyntheticLaw, plan: SyntheticScan, step: int, last: int, size: int, useful: int, shift: float
) -> CurvePoint:
    tokens = step * plan.batch_tokens
    loss = shift * law.loss(useful, max(tokens, plan.batch_tokens))
    kaplan = kaplan_train_flops(size, tokens)
    exact = kaplan * plan.exact_flops_per_kaplan
    return CurvePoint(
        step=step,
        tokens=tokens,
        kaplan_flops=kaplan,
        exact_flops=exact,
        train_loss_nats=None if step == 0 else loss,
        validation_loss_nats=loss,
        bits_per_byte=loss / float(np.log(2.0)),
        in_warmup=step <= plan.warmup_steps,
        finished=step == last,
        device_seconds=exact / plan.flop_per_s,
    )
