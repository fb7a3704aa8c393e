"""What one training run leaves behind: its state, its learning curve and its audit. Frozen values."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from archbench.units import bits_per_byte


class RunState(StrEnum):
    """Where a run stands. Only `done` runs enter a fit."""

    PLANNED = "planned"
    QUEUED = "queued"
    """Planned, and in a queue that goes on by itself."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DIVERGED = "diverged"

    @property
    def ended(self) -> bool:
        """Whether the run has come to an end, good or bad."""
        return self in (RunState.DONE, RunState.FAILED, RunState.DIVERGED)


class CostAxis(StrEnum):
    """The cost axes; they are never mixed in one fit."""

    KAPLAN = "kaplan"
    """6·N·D FLOPs, N without embeddings."""
    EXACT = "exact"
    """FLOPs that the architecture executes, backward pass and recomputation included."""
    DEVICE_SECONDS = "device_seconds"
    """Measured time inside training steps."""
    PROCESSOR_SECONDS = "processor_seconds"
    """Measured processor time of all threads and ranks inside training steps; of runs on CPUs alone, where what else
    the machine does hardly changes it."""

    @property
    def measured(self) -> bool:
        """Whether it is a time, which other machines do not share, and no count of FLOPs."""
        return self in (CostAxis.DEVICE_SECONDS, CostAxis.PROCESSOR_SECONDS)


SIZE_SCAN = "scan"
"""Name of the study that every spec's `scan` section is."""

IMPORTED = "imported"
"""Objective of a run that came from somebody's table: what it was trained on is not known."""

RESULT = "result"
"""Role of a run whose loss is the study's result."""

CONTROL = "control"
"""Role of a run of the size scan by which the answers of its question are checked; it is ranked nowhere."""


class _InStudy(Protocol):
    @property
    def study(self) -> str: ...
    @property
    def role(self) -> str: ...


class _OfContender(_InStudy, Protocol):
    @property
    def contender(self) -> str: ...


_Run = TypeVar("_Run", bound=_InStudy)


def purpose(run: _InStudy) -> str:
    """What a run is for, in a word or two: its role, with its study where that is not the size scan."""
    return run.role if run.study == SIZE_SCAN else f"{run.study}: {run.role}"


def size_scan_results(runs: Iterable[_Run]) -> tuple[_Run, ...]:
    """Those of `runs`, records or a scan's list, that the size scan's figures are made of.

    No trials, no controls, no runs of other studies.
    """
    return tuple(run for run in runs if run.study == SIZE_SCAN and run.role == RESULT)


def size_scan_controls(runs: Iterable[_Run]) -> tuple[_Run, ...]:
    """Those of `runs` that check the answers of the size scan's question."""
    return tuple(run for run in runs if run.study == SIZE_SCAN and run.role == CONTROL)


def size_scan_contenders(runs: Iterable[_OfContender]) -> list[str]:
    """The contenders of the size scan that `runs` are of, in their order: controls are none."""
    return list(dict.fromkeys(run.contender for run in size_scan_results(runs)))


def distinct_axes(records: Iterable["RunRecord"]) -> tuple[CostAxis, ...]:
    """The axes that say different things of `records`: not 6ND where it stands in for their executed FLOPs too."""
    same = all(point.exact_flops == point.kaplan_flops for record in records for point in record.curve)
    return tuple(axis for axis in CostAxis if not (same and axis is CostAxis.KAPLAN))


def size_number(size_index: int) -> int:
    """The rung `size_index` as texts for people count it: 1 for the smallest."""
    return size_index + 1


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One evaluation of a run. Every field but both seconds has the same bits whenever the run is repeated."""

    step: int
    """Optimiser steps taken."""
    tokens: int
    """Tokens seen in training."""
    kaplan_flops: float
    exact_flops: float
    train_loss_nats: float | None
    """Mean training loss since the previous point, in nats per predicted token; None at step 0."""
    validation_loss_nats: float
    """Loss on the evaluation set of the curve, in nats per predicted token."""
    bits_per_byte: float | None
    """Of the same evaluation; None where the objective does not predict every token."""
    in_warmup: bool
    """Whether the learning rate was still rising."""
    finished: bool
    """Whether the schedule had ended; if not, the point is `mid_schedule`."""
    device_seconds: float | None = None
    """Time spent in training steps so far; measured, hence not part of the deterministic record."""
    processor_seconds: float | None = None
    """Processor time spent in them, all threads and ranks together; measured. None on accelerators, and where it was
    not noted by step."""

    def cost(self, axis: CostAxis) -> float | None:
        """This point's cost on `axis` (FLOPs or seconds); None where it was not measured."""
        match axis:
            case CostAxis.KAPLAN:
                return self.kaplan_flops
            case CostAxis.EXACT:
                return self.exact_flops
            case CostAxis.DEVICE_SECONDS:
                return self.device_seconds
            case CostAxis.PROCESSOR_SECONDS:
                return self.processor_seconds


@dataclass(frozen=True, slots=True)
class FinalEvaluation:
    """The loss of a run's last weights on held-out text, by groups of whole documents.

    Groups depend on the text, the context and the objective alone: runs that share these share them, and their losses
    are paired by group.
    """

    nats: tuple[float, ...]
    """[groups], summed over the predicted tokens of each."""
    predictions: tuple[int, ...]
    """[groups], predicted tokens."""
    documents: tuple[int, ...]
    """[groups], whole documents of each."""
    utf8_bytes: tuple[int, ...] | None
    """[groups], of their text; None where the objective does not predict every token."""

    @property
    def loss_nats(self) -> float:
        """Nats per predicted token over all groups."""
        return math.fsum(self.nats) / sum(self.predictions)

    @property
    def bits_per_byte(self) -> float | None:
        """Over all groups; None where the objective does not predict every token."""
        return None if self.utf8_bytes is None else bits_per_byte(math.fsum(self.nats), sum(self.utf8_bytes))

    @property
    def num_documents(self) -> int:
        """Documents over all groups."""
        return sum(self.documents)


@dataclass(frozen=True, slots=True)
class PrefixAudit:
    """Whether a causal model gains from later tokens: loss from the prefix alone minus loss inside the full sequence.

    Zero for an honest causal model, positive where later tokens leak. Nats per token, averaged over `num_positions`
    sampled positions of the evaluation set, with a 95 % interval.
    """

    mean_gain_nats: float
    low_nats: float
    high_nats: float
    num_positions: int


@dataclass(frozen=True, slots=True)
class NoiseMeasurement:
    """Gradient noise at one step, from gradients at two batch sizes (McCandlish et al. 2018, appendix A.1).

    Both estimates are unbiased and can be negative; average each over steps before their ratio is taken.
    """

    step: int
    """Optimiser steps taken before it."""
    tokens: int
    """Tokens seen before it."""
    gradient_squared: float
    """Estimate of |G|², the squared norm of the gradient without noise."""
    trace_covariance: float
    """Estimate of tr Sigma, the variance of the gradient per input token."""
    small_batch_tokens: int
    large_batch_tokens: int


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run with its learning curve, as analysis and reports see it."""

    run_id: str
    """SHA-256 of what changes the numbers, in hex."""
    contender: str
    """The name that the spec gives to this architecture and objective; what results are grouped by."""
    architecture: str
    """The architecture's `kind`."""
    objective: str
    """The objective's `kind`."""
    track: str
    """Losses compare inside one track only: `causal`, `masked`, ..."""
    size_index: int
    """Rung of the ladder, 0 for the smallest."""
    non_embedding_params: int
    """N (Kaplan et al. 2020): without token and position embeddings and output matrix."""
    embedding_params: int
    seed: int
    batch_tokens: int
    planned_tokens: int
    unique_tokens: int
    """Tokens of the training split; `planned_tokens / unique_tokens` is the number of epochs."""
    state: RunState
    curve: tuple[CurvePoint, ...]
    prefix_audit: PrefixAudit | None = None
    noise_scale: tuple[NoiseMeasurement, ...] = ()
    """Where the run was asked for it."""
    final: FinalEvaluation | None = None
    """On all held-out text, where the run was asked for that (`evaluation.final_tokens`)."""
    reason: str | None = None
    """Why the run failed or diverged, in one line."""
    study: str = SIZE_SCAN
    """The study of its spec that the run belongs to."""
    role: str = RESULT
    """What the run is for in its study: `result` enters its figures; `trial`, `pretraining`, ... lead to them."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What else its study tells its runs apart by."""
    other_losses_nats: Mapping[str, float] = field(default_factory=dict)
    """Hash of another corpus -> validation loss on it at the end of the run, in nats per predicted token."""
    reference_lines: Mapping[str, float] = field(default_factory=dict)
    """Name of an n-gram model of the training text -> its loss on what the run's evaluation predicts, in nats per
    predicted token (`archbench.results.reference_lines`); empty where that is not known."""
    origin: str = "archbench"
    """`archbench` for its own runs, the source's name for imported ones."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """The rest of the stored record: identity, versions, hardware, timings."""

    @property
    def plugin_origins(self) -> Mapping[str, Mapping[str, Any]]:
        """`architecture` and `objective` -> plug-in, distribution, version and source hash of the code that trained it.

        Empty where that was not noted: older runs, imported ones, runs that have not ended.
        """
        noted: Mapping[str, Mapping[str, Any]] = self.details.get("timings", {}).get("plugins", {})
        return noted

    @property
    def protected(self) -> bool:
        """Whether digests vouch for all that was read of it; also for what was not read from a store."""
        return bool(self.details.get("protected", True))

    @property
    def total_params(self) -> int:
        """Parameters with embeddings."""
        return self.non_embedding_params + self.embedding_params

    @property
    def usable(self) -> bool:
        """Whether the run may enter a fit."""
        return self.state is RunState.DONE and bool(self.curve)

    @property
    def final_loss_nats(self) -> float | None:
        """Its loss as a finished run: of the final evaluation, else of the curve's last point; None without either."""
        if self.final is not None:
            return self.final.loss_nats
        return self.curve[-1].validation_loss_nats if self.curve else None

    @property
    def final_bits_per_byte(self) -> float | None:
        """The bits per byte that belong to `final_loss_nats`."""
        if self.final is not None:
            return self.final.bits_per_byte
        return self.curve[-1].bits_per_byte if self.curve else None

    @property
    def best_point(self) -> CurvePoint:
        """The point of the lowest validation loss: the result of a run with early stopping."""
        return min(self.curve, key=lambda point: point.validation_loss_nats)


def origin_text(origin: Mapping[str, Any]) -> str:
    """`my_arch (my-arch 0.1.0), source 3fe8c1d09a7b`: one of `RunRecord.plugin_origins` in words."""
    source = str(origin.get("source_sha256") or "unknown")[:12]
    return f"{origin.get('plugin')} ({origin.get('distribution')} {origin.get('version')}), source {source}"
