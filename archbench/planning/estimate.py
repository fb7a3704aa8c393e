"""What a scan will cost: time from exact FLOPs and measured rates where there are any, and disk."""

import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from archbench.contracts.executor import ExecutorConfig
from archbench.data.corpus import Corpus
from archbench.errors import StoreError
from archbench.results.runs import CostAxis
from archbench.runs.records import read_last
from archbench.runs.store import RunStore
from archbench.scans.planned_run import PlannedRun
from archbench.spec.identity import RunIdentity

# One thread of a server reached 1e10 to 2.3e10 FLOP/s in training steps of the bundled architectures at 10 thousand
# parameters, where Python and small matrices rule, and 3e10 to 5.4e10 at 160 thousand (`timings.json` of the
# leaderboard's runs): twice as much for sixteen times the size. An accelerator, unmeasured: a tenth of its power at 1M
# parameters, a third from 100M on. Rough, and shown as such.
_CPU_FLOP_PER_S_AT_10K = 1.8e10
_CPU_FLOP_PER_S_MAX = 6e10
_GPU_FLOP_PER_S_AT_1M = 2e13
_GPU_FLOP_PER_S_MAX = 2e14

_START_SECONDS = 15.0
"""Loading torch and the architecture's library, once per worker."""

_WEIGHT_BYTES_PER_PARAM = 4
"""A checkpoint holds the weights and what the optimizer keeps."""
_CHECKPOINTS_KEPT = 2
_RECORD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Rates:
    """Measured training rates: architecture -> (non-embedding parameters, FLOP/s) of finished runs."""

    measured: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    _nearest: dict[tuple[str, int], float | None] = field(default_factory=dict, repr=False, compare=False)
    """What was found before: thousands of runs are of a few sizes."""

    def nearest(self, architecture: str, num_params: int) -> float | None:
        """Exact FLOP/s that the finished run of `architecture` nearest in size reached; None where there is none."""
        key = (architecture, num_params)
        if key not in self._nearest:
            known = self.measured.get(architecture)
            found = min(known, key=lambda point: abs(math.log(point[0] / num_params)))[1] if known else None
            self._nearest[key] = found
        return self._nearest[key]

    def flop_per_s(self, run: PlannedRun, threads: int) -> tuple[float, bool]:
        """Exact FLOP/s that `run` will reach, and whether that was measured (at the nearest size) or is rough."""
        num_params = run.plan.facts.non_embedding_params
        known = self.nearest(str(run.plan.identity.architecture["kind"]), num_params)
        if known is not None:
            return known, True
        if run.plan.execution.device == "cuda" or (run.plan.execution.device == "auto" and has_accelerator()):
            return min(_GPU_FLOP_PER_S_MAX, _GPU_FLOP_PER_S_AT_1M * math.sqrt(num_params / 1e6)), False
        return min(_CPU_FLOP_PER_S_MAX, _CPU_FLOP_PER_S_AT_10K * (num_params / 1e4) ** 0.25) * threads**0.8, False


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """Expected cost of one run."""

    seconds: float
    """Training and evaluation."""
    measured: bool
    """Whether the rate comes from finished runs of the same architecture in the store."""
    disk_bytes: int


def measured_rates(store: RunStore) -> Rates:
    """Rates of all finished runs in `store` that have timings."""
    rates: dict[str, list[tuple[int, float]]] = {}
    for directory in store.directories():
        if not directory.record_file.exists():
            continue
        try:
            record = read_last(directory, contender="", size_index=0)
        except StoreError:
            continue
        if record is None or not record.usable:
            continue
        last = record.curve[-1]
        seconds = last.cost(CostAxis.DEVICE_SECONDS)
        if seconds and seconds > 0 and last.exact_flops > 0:
            rates.setdefault(record.architecture, []).append((record.non_embedding_params, last.exact_flops / seconds))
    return Rates(rates)


def estimate_run(run: PlannedRun, rates: Rates, validation_tokens: Mapping[str, int]) -> RunEstimate:
    """The cost of `run` at `rates`; evaluations are forward passes, a third of a training step each.

    An evaluation reads no more than there is: `validation_tokens` by the hash of the corpus.
    """
    rate, measured = rates.flop_per_s(run, run.plan.execution.threads)
    facts = run.plan.facts
    evaluation_flops = _evaluated_tokens(run.plan.identity, validation_tokens) * facts.exact_flops_per_token / 3.0
    params = facts.non_embedding_params + facts.embedding_params
    weights = _WEIGHT_BYTES_PER_PARAM * params if run.plan.execution.keep_weights else 0
    training_bytes = _WEIGHT_BYTES_PER_PARAM + facts.optimizer_bytes_per_param
    return RunEstimate(
        seconds=(run.own_flops + evaluation_flops) / rate,
        measured=measured,
        disk_bytes=_CHECKPOINTS_KEPT * training_bytes * params + _RECORD_BYTES + weights,
    )


def _evaluated_tokens(identity: RunIdentity, validation_tokens: Mapping[str, int]) -> float:
    """Tokens of all evaluations of a run: of its curve, then of each text at its end."""
    evaluation, data = identity.evaluation, identity.data

    def read(tokens: int | Literal["all"], corpus_hash: str) -> float:
        there = validation_tokens.get(corpus_hash, evaluation.tokens if tokens == "all" else tokens)
        return there if tokens == "all" else min(tokens, there)

    points = min(evaluation.points, identity.training.total_steps) + 1
    own = points * read(evaluation.tokens, data.corpus_hash)
    if evaluation.final_tokens is not None:
        own += read(evaluation.final_tokens, data.corpus_hash)
    return own + sum(read(evaluation.final_tokens or evaluation.tokens, other) for other in data.also_validated)


def held_out_tokens(corpora: Iterable[Corpus]) -> dict[str, int]:
    """Hash of each corpus -> tokens of its validation text."""
    return {corpus.corpus_hash: corpus.statistics.validation_tokens for corpus in corpora}


def scan_seconds(run_seconds: Sequence[float], workers: int) -> float:
    """Wall-clock seconds of runs that `workers` processes take on, longest first."""
    if not run_seconds:
        return 0.0
    loads = [_START_SECONDS] * max(1, min(workers, len(run_seconds)))
    for seconds in sorted(run_seconds, reverse=True):
        loads[loads.index(min(loads))] += seconds
    return max(loads)


def expected_workers(executor: ExecutorConfig | None, threads: int) -> int:
    """How many runs will go on at once: what the executor's config says, else what the machine has room for."""
    if executor is not None and (expected := executor.expected_capacity()) is not None:
        return expected
    configured = getattr(executor, "workers", None)
    if isinstance(configured, int):
        return configured
    return 1 if has_accelerator() else max(1, num_cpus() // threads)


def num_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_accelerator() -> bool:
    """Whether the machine seems to have an NVIDIA device; found out without loading torch."""
    return shutil.which("nvidia-smi") is not None
