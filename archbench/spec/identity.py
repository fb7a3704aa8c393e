"""What identifies a run: all that changes its numbers, and nothing else."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from archbench.contracts.architecture import ModelDims
from archbench.contracts.config import GrownModel
from archbench.contracts.schedule import EarlyStopping, ScheduleSettings

Role = Literal["architecture", "objective", "optimizer"]
"""What a component does in a run."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Extended(_Frozen, GrownModel):
    """A part of an identity or of a plan that has grown."""


TokenOrder = Literal["stream", "passages", "shuffled"]
ORDERS_WITH_MEMORY: frozenset[TokenOrder] = frozenset({"stream", "passages"})
"""In which a row mostly goes on where it stopped."""


class TrainingSettings(Extended):
    """One run's training, every number resolved."""

    added_later = frozenset({"early_stopping"})

    batch_tokens: PositiveInt
    """Input tokens per optimiser step, over all ranks; a multiple of the context."""
    total_steps: PositiveInt
    peak_learning_rate: PositiveFloat
    schedule: ScheduleSettings = ScheduleSettings()
    optimizer: Mapping[str, Any] = {"kind": "adamw"}
    """The config's dump, `kind` included; of format 1 without it, which had AdamW alone."""
    precision: Literal["fp32", "bf16"] = "fp32"
    early_stopping: EarlyStopping | None = None

    @property
    def total_tokens(self) -> int:
        """D: tokens seen at the end."""
        return self.batch_tokens * self.total_steps


class EvaluationSettings(Extended):
    """The fixed evaluation set and when it is used."""

    added_later = frozenset({"spacing", "noise_scale_every", "final_tokens", "texts"})

    tokens: PositiveInt = 65_536
    """Of the learning curve: validation text is taken in whole documents up to about this many tokens."""
    final_tokens: Literal["all"] | PositiveInt | None = None
    """At its end a run is evaluated on all validation text (`all`), or whole documents up to about this many tokens,
    document by document, and that is its loss as a finished run. None: the last point of its curve is. A run that stops
    early, whose result is the best point of its curve, has no such evaluation."""
    texts: tuple[str, ...] = ()
    """Other texts of `data.texts` on whose validation text every run is evaluated at its end as well."""
    points: PositiveInt = Field(24, le=10_000)
    """Evaluations during a run; the last step is always one.

    Under `warmup_stable_decay` they are five times the evaluations per doubling of the steps, so that runs of different
    length are evaluated at the same steps.
    """
    spacing: Literal["log", "linear"] = "log"
    """Of the evaluations, in steps. `linear` suits runs that stop early."""
    prefix_audit_positions: NonNegativeInt = Field(256, le=1_000_000)
    """Positions of the prefix audit at the end of a causal run; 0 leaves it out."""
    noise_scale_every: NonNegativeInt = Field(0, le=1_000_000_000)
    """Steps between two measurements of the gradient noise scale, each about as long as a step; 0 measures none."""


class DataIdentity(Extended):
    """Which tokens are seen in which order."""

    added_later = frozenset({"subset_tokens", "also_validated"})

    corpus_hash: str
    """SHA-256 of the prepared token shards: text, split and tokenizer."""
    order: TokenOrder
    """`stream`: each batch row continues where it stopped in the step before; `passages`: so it does within passages of
    several segments, which come in random order; `shuffled`: windows in random order."""
    subset_tokens: PositiveInt | None = None
    """Only the first tokens of the training text are used, so that subsets are nested; None: all of it."""
    also_validated: tuple[str, ...] = ()
    """Hashes of other corpora on whose validation text the loss is measured at the end (forgetting)."""


class StartingPoint(_Frozen):
    """The weights that a run begins from: those at the end of another run, or of a model that was trained elsewhere."""

    run_id: str | None = None
    weights_sha256: str | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> "StartingPoint":
        if (self.run_id is None) == (self.weights_sha256 is None):
            raise ValueError("give either run_id or weights_sha256")
        return self


class ComponentIdentity(Extended):
    """Which version of a component computed: archbench's own says it by a number, another one by its distribution."""

    added_later = frozenset({"distribution", "version"})

    numerics: PositiveInt
    """`ComponentConfig.numerics` of its class."""
    distribution: str | None = None
    """None for a component that comes with archbench, whose releases leave its numbers unless `numerics` says so."""
    version: str | None = None
    """Of the distribution; of a plug-in given by path the hash of its source."""

    def in_words(self) -> str:
        """For messages: `demo 1.0, numerics 1`."""
        whose = f"{self.distribution} {self.version}, " if self.distribution else ""
        return f"{whose}numerics {self.numerics}"


IDENTITY_FORMAT: Literal[2] = 2
"""The format of an identity that is planned."""


class RunIdentity(Extended):
    """All that changes a run's numbers; never names, paths, or how it is executed.

    Format 1 knew versions of distributions alone, so that it could not tell a release that changes numbers from one
    that does not. It is read, and no run is planned in it any more.
    """

    added_later = frozenset({"start", "numerics", "components", "libraries", "plugin_versions"})

    format: Literal[1, 2] = IDENTITY_FORMAT
    architecture: Mapping[str, Any]
    """The config's dump, `kind` included."""
    dims: ModelDims
    objective: Mapping[str, Any]
    data: DataIdentity
    training: TrainingSettings
    evaluation: EvaluationSettings
    seed: NonNegativeInt
    start: StartingPoint | None = None
    """None: freshly initialised from the seed."""
    numerics: PositiveInt | None = None
    """`archbench.numerics.NUMERICS`; None in format 1."""
    components: Mapping[Role, ComponentIdentity] = {}
    """Versions of what computes, by its role."""
    libraries: Mapping[str, str] = {}
    """Distribution -> version, of the libraries that these components say they compute with."""
    plugin_versions: Mapping[str, str] | None = None
    """Distribution -> version, of the plug-ins that architecture and objective come from; in format 1 alone."""

    @model_validator(mode="after")
    def _says_what_its_format_says(self) -> "RunIdentity":
        if self.format == 1 and (self.plugin_versions is None or self.numerics or self.components or self.libraries):
            raise ValueError("format 1 has plugin_versions, and neither numerics nor components nor libraries")
        if self.format == 2 and (self.numerics is None or self.plugin_versions is not None):
            raise ValueError("format 2 has numerics and no plugin_versions")
        return self

    @property
    def distributions(self) -> dict[str, str]:
        """Distribution -> version, of the plug-ins it needs that are no part of archbench; in format 1 archbench too.

        Several plug-ins given by path are one distribution of all of them.
        """
        if self.plugin_versions is not None:
            return dict(self.plugin_versions)
        versions: dict[str, set[str]] = {}
        for one in self.components.values():
            if one.distribution is not None:
                versions.setdefault(one.distribution, set()).add(str(one.version))
        return {distribution: "+".join(sorted(found)) for distribution, found in versions.items()}

    def canonical_json(self) -> str:
        """The identity as JSON with sorted keys and no spaces: what is hashed."""
        return _canonical_json(self.model_dump(mode="json"))

    @property
    def run_id(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def canonical_id(identity: Mapping[str, Any]) -> str:
    """The run id of an identity as it is stored: SHA-256 of its canonical JSON, in hex."""
    return hashlib.sha256(_canonical_json(identity).encode()).hexdigest()


def _canonical_json(identity: Mapping[str, Any]) -> str:
    return json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class RunFacts(Extended):
    """What follows from the identity without training; stored beside it so that readers need no plug-in."""

    added_later = frozenset({"optimizer_bytes_per_param"})

    track: str
    non_embedding_params: PositiveInt
    embedding_params: NonNegativeInt
    kaplan_flops_per_token: PositiveFloat
    """6·N, of the parameters that a token uses where experts lie idle."""
    exact_flops_per_token: PositiveFloat
    """Executed in a training step per input token, recomputation included."""
    exact_flops_by_component: Mapping[str, float]
    """Forward FLOPs per input token, `per_prediction` components already scaled."""
    unique_tokens: PositiveInt
    optimizer_bytes_per_param: NonNegativeInt = 8
    """What the optimizer keeps for each parameter, at most."""

    @property
    def active_params(self) -> int:
        """Of N, what a token uses: less than N in a mixture of experts."""
        return round(self.kaplan_flops_per_token / 6.0)


class Branch(_Frozen):
    """A checkpoint of another run whose first `step` steps are the same, bit for bit."""

    run_id: str
    step: PositiveInt


class ExecutionSettings(Extended):
    """How a run is carried out. Changes no number beyond rounding, so it is not part of the identity."""

    added_later = frozenset(
        {"other_corpora", "start_dir", "keep_weights", "keep_steps", "branch_from", "nproc", "watchdog_seconds"}
    )

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_gone(cls, stored: Any) -> Any:
        """Plans of older versions say which `kernels` to use; there is nothing to choose any more."""
        if isinstance(stored, Mapping):
            return {name: value for name, value in stored.items() if name != "kernels"}
        return stored

    corpus_dir: str
    """Folder of the prepared token shards."""
    other_corpora: Mapping[str, str] = {}
    """Folders of the corpora in `also_validated`, by hash."""
    start_dir: str | None = None
    """Folder of the model that was trained elsewhere, where the run starts from one."""
    keep_weights: bool = False
    """Whether the final weights stay in the run directory, for runs that begin from them."""
    keep_steps: tuple[PositiveInt, ...] = ()
    """Steps whose checkpoints stay in the run directory, for runs that branch off there."""
    branch_from: Branch | None = None
    """Where the first steps may be taken from. Without that checkpoint the run takes them itself: same bits."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt = 1
    """CPU threads of the process that trains."""
    micro_batch_rows: PositiveInt | None = None
    """Rows per forward pass and rank; None: all of them, or fewer where those do not fit into the memory."""
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
