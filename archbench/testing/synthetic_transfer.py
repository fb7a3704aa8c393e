"""A transfer study made from known laws with known noise: every constant is known, and nothing is trained."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from archbench.analysis.laws.kaplan import KaplanSizeData
from archbench.analysis.laws.single import DataLaw
from archbench.contracts.schedule import EarlyStopping
from archbench.results.runs import CurvePoint, RunRecord, RunState
from archbench.studies.transfer.results import FINETUNE, PRETRAINING, SCRATCH, SOURCE, TARGET
from archbench.units import kaplan_train_flops

TEXT_TO_PYTHON = {"k": 1.9e4, "alpha": 0.18, "beta": 0.38}
"""Hernandez et al. 2021, table 1."""
TEXT_AND_CODE_TO_PYTHON = {"k": 2.1e5, "alpha": 0.096, "beta": 0.38}
KAPLAN_ND = {"alpha_N": 0.076, "alpha_D": 0.103, "N_c": 6.4e13, "D_c": 1.8e13}
"""Kaplan et al. 2020, eq 1.5 with the constants of its table 2."""

TRANSFER_SECTION: Mapping[str, Any] = {
    "kind": "transfer",
    "directions": [{"source": "source", "target": "target"}],
    "pretraining_tokens": 2e7,
    "finetune_tokens": [1e5, 1e6],
    "scratch_tokens": [1e5, 1e7],
}
"""As a resolved spec has it; the analysis reads of it that it is there."""


@dataclass(frozen=True, slots=True)
class SyntheticTransfer:
    """The plan of a made-up study and the laws that its losses follow."""

    law: Mapping[str, float] = field(default_factory=lambda: dict(TEXT_TO_PYTHON))
    """k, alpha, beta of D_T = k·D_F^alpha·N^beta."""
    scratch: Mapping[str, float] = field(default_factory=lambda: dict(KAPLAN_ND))
    """Of Kaplan's L(N,D); `alpha_D` and `D_c` alone for the pure power law (D_c/D)^alpha_D at every size."""
    sizes: Sequence[int] = (1_000_000, 4_000_000, 16_000_000, 64_000_000, 256_000_000)
    scratch_tokens: Sequence[int] = tuple(int(value) for value in np.geomspace(1e5, 3e11, 27))
    finetune_tokens: Sequence[int] = tuple(int(value) for value in np.geomspace(1e5, 1e8, 7))
    seeds: int = 1
    """Of every cell."""
    noise_std: float = 0.0
    """Standard deviation of ln L from run to run."""
    transferred_only: bool = False
    """Whether D_E is D_T, as the unified law has it, in place of D_T + D_F."""
    pretraining_tokens: int = 10_000_000_000
    forgetting: float = 0.1
    """Rise of ln L on the source per factor e of D_F."""

    def scratch_loss(self, params: int, tokens: float) -> float:
        """Expected loss from scratch, nats per token."""
        if "N_c" in self.scratch:
            return float(KaplanSizeData().predict(self.scratch, N=params, D=tokens)[0])
        return float(DataLaw().predict(self.scratch, D=tokens)[0])

    def transferred(self, params: int, finetune_tokens: float) -> float:
        """D_T."""
        return float(self.law["k"] * finetune_tokens ** self.law["alpha"] * params ** self.law["beta"])

    def finetuned_loss(self, params: int, finetune_tokens: float) -> float:
        """Expected loss after fine-tuning, nats per token."""
        own = 0.0 if self.transferred_only else finetune_tokens
        return self.scratch_loss(params, own + self.transferred(params, finetune_tokens))


def synthetic_transfer_records(
    plan: SyntheticTransfer,
    *,
    source: str = "text",
    target: str = "python",
    contender: str = "gpt2",
    seed: int = 0,
    with_scratch: bool = True,
) -> list[RunRecord]:
    """Done runs of one direction. with_scratch: False where another direction has trained the target's already."""
    generator = np.random.default_rng(seed)
    records = []
    for index, size in enumerate(plan.sizes):
        names = {SOURCE: source}
        start = _run(plan, contender, PRETRAINING, names, (index, size), plan.pretraining_tokens, 0, 3.0)
        records.append(start)
        amounts = plan.scratch_tokens if with_scratch else ()
        for number in range(plan.seeds):
            for tokens in amounts:
                loss = plan.scratch_loss(size, tokens) * _noise(plan, generator)
                records.append(_run(plan, contender, SCRATCH, {TARGET: target}, (index, size), tokens, number, loss))
            for tokens in plan.finetune_tokens:
                loss = plan.finetuned_loss(size, tokens) * _noise(plan, generator)
                names = {SOURCE: source, TARGET: target, PRETRAINING: start.run_id}
                records.append(_run(plan, contender, FINETUNE, names, (index, size), tokens, number, loss))
    return records


def _noise(plan: SyntheticTransfer, generator: np.random.Generator) -> float:
    return float(np.exp(plan.noise_std * generator.standard_normal()))


def _run(
    plan: SyntheticTransfer,
    contender: str,
    role: str,
    labels: Mapping[str, str],
    rung: tuple[int, int],
    tokens: int,
    seed: int,
    loss: float,
) -> RunRecord:
    """Five epochs of `tokens`, best at the fourth evaluation; then it overfits, as early stopping saw."""
    size_index, size = rung
    text = labels[TARGET] if role == SCRATCH else labels[SOURCE]
    identity = f"{contender}/{role}/{sorted(labels.items())}/{size}/{tokens}/{seed}/{plan}"
    shape = ((0.1, 1.5), (0.3, 1.2), (0.6, 1.05), (0.9, 1.0), (1.0, 1.0 if role == PRETRAINING else 1.01))
    curve = []
    for number, (share, factor) in enumerate(shape):
        seen = int(5 * tokens * share)
        flops = kaplan_train_flops(size, seen)
        last = number == len(shape) - 1
        curve.append(CurvePoint(number, seen, flops, 2 * flops, loss, loss * factor, None, number == 0, last))
    rise = plan.forgetting * np.log(tokens / min(plan.finetune_tokens))
    other = {text: 3.0 * float(np.exp(rise))} if role == FINETUNE else {}
    training = {"early_stopping": None if role == PRETRAINING else EarlyStopping().model_dump(mode="json")}
    return RunRecord(
        run_id=hashlib.sha256(identity.encode()).hexdigest(),
        contender=contender,
        architecture=contender,
        objective="causal_lm",
        track="causal",
        size_index=size_index,
        non_embedding_params=size,
        embedding_params=16_640,
        seed=seed,
        batch_tokens=4096,
        planned_tokens=5 * tokens,
        unique_tokens=tokens,
        state=RunState.DONE,
        curve=tuple(curve),
        study="transfer",
        role=role,
        labels=dict(labels),
        other_losses_nats=other,
        origin="synthetic",
        details={"identity": {"data": {"corpus_hash": text}, "start": None, "training": training}},
    )
