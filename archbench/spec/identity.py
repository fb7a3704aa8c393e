"""What identifies a run: all that changes its numbers, and nothing else."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from archbench.contracts.architecture import ModelDims


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScheduleSettings(_Frozen):
    """The learning rate over steps, as a share of its peak: linear warm-up, then `kind`."""

    kind: Literal["cosine", "linear", "constant", "warmup_stable_decay"] = "cosine"
    warmup_steps: NonNegativeInt = 100
    final_fraction: float = Field(0.1, ge=0.0, le=1.0)
    """Share of the peak at the last step; `constant` ignores it."""
    decay_fraction: float = Field(0.2, gt=0.0, le=1.0)
    """Share of all steps spent decaying; `warmup_stable_decay` only."""


class OptimizerSettings(_Frozen):
    """AdamW (Loshchilov and Hutter 2019). Weight decay spares vectors: norms, biases."""

    beta1: float = Field(0.9, ge=0.0, lt=1.0)
    beta2: float = Field(0.95, ge=0.0, lt=1.0)
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1
    max_grad_norm: PositiveFloat = 1.0


class TrainingSettings(_Frozen):
    """One run's training, every number resolved."""

    batch_tokens: PositiveInt
    """Input tokens per optimiser step, over all ranks; a multiple of the context."""
    total_steps: PositiveInt
    peak_learning_rate: PositiveFloat
    schedule: ScheduleSettings = ScheduleSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def total_tokens(self) -> int:
        """D: tokens seen at the end."""
        return self.batch_tokens * self.total_steps


class EvaluationSettings(_Frozen):
    """The fixed evaluation set and when it is used."""

    tokens: PositiveInt = 65_536
    """Validation text is taken in whole documents up to about this many tokens."""
    points: PositiveInt = Field(24, le=10_000)
    """Evaluations during a run, log-spaced in steps; the last step is always one."""
    prefix_audit_positions: NonNegativeInt = Field(256, le=1_000_000)
    """Positions of the prefix audit at the end of a causal run; 0 leaves it out."""


class DataIdentity(_Frozen):
    """Which tokens are seen in which order."""

    corpus_hash: str
    """SHA-256 of the prepared token shards: text, split and tokenizer."""
    order: Literal["stream", "shuffled"]
    """`stream`: each batch row continues where it stopped in the step before; `shuffled`: windows in random order."""


class RunIdentity(_Frozen):
    """All that changes a run's numbers; never names, paths, or how it is executed."""

    format: Literal[1] = 1
    architecture: Mapping[str, Any]
    """The config's dump, `kind` included."""
    dims: ModelDims
    objective: Mapping[str, Any]
    data: DataIdentity
    training: TrainingSettings
    evaluation: EvaluationSettings
    seed: NonNegativeInt
    plugin_versions: Mapping[str, str]
    """Distribution -> version, of the plug-ins that the architecture and the objective come from."""

    def canonical_json(self) -> str:
        """The identity as JSON with sorted keys and no spaces: what is hashed."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def run_id(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


class RunFacts(_Frozen):
    """What follows from the identity without training; stored beside it so that readers need no plug-in."""

    track: str
    non_embedding_params: PositiveInt
    embedding_params: NonNegativeInt
    kaplan_flops_per_token: PositiveFloat
    """6·N."""
    exact_flops_per_token: PositiveFloat
    """Executed in a training step per input token, recomputation included."""
    exact_flops_by_component: Mapping[str, float]
    """Forward FLOPs per input token, `per_prediction` components already scaled."""
    unique_tokens: PositiveInt


class ExecutionSettings(_Frozen):
    """How a run is carried out. Changes no number beyond rounding, so it is not part of the identity."""

    corpus_dir: str
    """Folder of the prepared token shards."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt = 1
    """CPU threads of the process that trains."""
    micro_batch_rows: PositiveInt | None = None
    """Rows per forward pass and rank; None: the whole batch."""
    nproc: PositiveInt = 1
    """Processes (ranks) that train the run together."""
    zero_stage: int = Field(0, ge=0, le=3)
    checkpoint_seconds: PositiveFloat = 60.0
    """Least time between two checkpoints."""
    watchdog_seconds: PositiveFloat = 60.0
    """A run that takes no step for so long hangs, unless its steps have taken a tenth of that; ten times as long before
    its first step."""


class RunPlan(_Frozen):
    """The content of a run directory's `plan.json`: all that a worker needs."""

    identity: RunIdentity
    facts: RunFacts
    execution: ExecutionSettings
