"""What an architecture offers: a module, a ladder of sizes, and what it costs. Importing this loads no torch."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from archbench.contracts.common_settings import CommonSettings
from archbench.contracts.config import ComponentConfig
from archbench.contracts.counting import answer

if TYPE_CHECKING:
    from archbench.nn.language_model import LanguageModel


class Attention(StrEnum):
    """Which positions a position may use."""

    CAUSAL = "causal"
    BIDIRECTIONAL = "bidirectional"
    PREFIX = "prefix"
    """Positions of a prefix, as long as the batch says, see the whole prefix; those behind it see all before them."""


class ModelDims(BaseModel):
    """The shape of one model: a rung of a ladder, together with the vocabulary and the context."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: PositiveInt
    seq_len: PositiveInt
    d_model: PositiveInt
    n_layers: PositiveInt
    n_heads: PositiveInt
    d_ff: PositiveInt


@dataclass(frozen=True, slots=True)
class ParamCount:
    """Number of parameters, in the convention of Kaplan et al. 2020."""

    embedding: int
    """Token, position and segment embeddings, and the output matrix with its bias, tied or not (tied: counted once)."""
    non_embedding: int
    """All the rest: N."""
    active_non_embedding: int | None = None
    """Those of them that a token uses, where experts lie idle; None: all."""

    @property
    def active(self) -> int:
        """Parameters without embeddings that a token uses: what 6·N·D is of."""
        return self.non_embedding if self.active_non_embedding is None else self.active_non_embedding

    @property
    def total(self) -> int:
        """All parameters."""
        return self.embedding + self.non_embedding


@dataclass(frozen=True, slots=True)
class ForwardFlops:
    """FLOPs of one forward pass per input token by component; a multiply-add counts as two.

    Matrix products are counted, element-wise work (norms, activations, softmax) and data movement (sorting, gathering)
    are not, as torch's FlopCounterMode has it. Attention is counted over the full context, as dense kernels execute it.
    """

    components: Mapping[str, float]
    per_prediction: frozenset[str] = frozenset({"logits"})
    """Components that run only where a token is predicted, scaled by the objective's `predicted_fraction`."""
    recomputed: frozenset[str] = frozenset()
    """Components that the method itself runs once more in the backward pass (reversible layers)."""
    forward_only: frozenset[str] = frozenset()
    """Components without a gradient, which no backward pass runs (the hashing of LSH attention)."""
    uncounted: Mapping[str, str] = field(default_factory=dict)
    """Work that torch's counter cannot see: name -> what it is, in words with its order of growth."""

    def forward(self, predicted_fraction: float = 1.0) -> float:
        """FLOPs of one forward pass per input token."""
        return sum(self._scaled(predicted_fraction).values())

    def train(self, predicted_fraction: float = 1.0) -> float:
        """FLOPs of one training step per input token: 3 × forward plus what the method recomputes.

        What is `forward_only` counts once.
        """
        scaled = self._scaled(predicted_fraction)
        passes = {name: (1.0 if name in self.forward_only else 3.0) + (name in self.recomputed) for name in scaled}
        return sum(passes[name] * flops for name, flops in scaled.items())

    def _scaled(self, predicted_fraction: float) -> dict[str, float]:
        return {
            name: flops * (predicted_fraction if name in self.per_prediction else 1.0)
            for name, flops in self.components.items()
        }


@dataclass(frozen=True, slots=True)
class Source:
    """Where an architecture comes from and how far the implementation is faithful to it."""

    paper: str
    implementation: str
    faithful: str
    """What is as in the paper."""
    differs: str
    """What is not."""


@dataclass(frozen=True, slots=True)
class SavedModel:
    """How the tensors of a model that transformers saved become those of a module of this architecture.

    Names are those of the library's language model.
    """

    dims: ModelDims
    """Its shape; vocabulary and context are the largest that its tables serve."""
    module_prefix: str
    """Of the same names in the module that `build` returns."""
    base_prefix: str
    """Of the base model's names; a file of the base model alone leaves it out."""
    vocabulary_tables: frozenset[str]
    """Tensors with a row for each id."""
    position_tables: Mapping[str, int] = field(default_factory=dict)
    """Tensors with a row for each position -> number of rows before that of the first position."""
    unused: tuple[str, ...] = ()
    """Patterns for whole names of tensors that the module has no use for, such as a pooler's."""


def require_settings(config: Mapping[str, object], expected: Mapping[str, tuple[object, ...]]) -> None:
    """Raises ValueError where a saved model's `config` differs from what an architecture computes.

    `expected` maps a key to the values that mean the same as the architecture; the first one is the library's default,
    which holds where the key is missing.
    """
    for name, allowed in expected.items():
        value = config.get(name, allowed[0])
        if value not in allowed:
            shown = " or ".join(repr(one) for one in allowed)
            raise ValueError(f"its config says {name} {value!r}, this architecture computes {shown}")


class ArchitectureConfig(ComponentConfig):
    """Hyperparameters of one architecture family, apart from its size.

    Subclasses are torch-free at import: `build` imports torch inside. Everything else is arithmetic, or is asked of a
    process that has torch: a subclass that states no `num_params` or no `forward_flops_per_token` has them counted.
    """

    source: ClassVar[Source]
    attention_modes: ClassVar[frozenset[Attention]]
    family: ClassVar[str | None] = None
    """Shared by architectures that differ in one mechanism only: the track of the leaderboard that they have to
    themselves."""
    carries_state: ClassVar[bool] = False
    """Whether memory crosses segments; such a model needs `data.order: passages` or `stream`."""
    has_token_types: ClassVar[bool] = False
    """Whether it embeds token types, as next-sentence prediction needs."""

    @abstractmethod
    def build(self, dims: ModelDims, attention: Attention) -> "LanguageModel":
        """A freshly initialised module; random draws come from torch's global generator, which the caller seeds.

        Raises ValueError, in words, where it has no such attention or `problems(dims)` finds one: see
        `require_buildable`.
        """

    def num_params(self, dims: ModelDims) -> ParamCount:
        """The exact number of parameters of `build(dims, ...)`: by formula, or left to the counter, as here.

        The counter builds the module, in a process of its own, and keeps what it found: see
        `archbench.contracts.counting`. Raises ValueError where the module cannot be built.
        """
        return ParamCount(**answer("archbench.flops.costs:counted_params", self, dims=dims.model_dump()))

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """FLOPs of one forward pass over full contexts, per token, by component: by formula, or counted, as here.

        The counter runs the module forward and backward without data. It sees matrix products and convolutions of
        torch, and no others. Raises ValueError where the module cannot be run so.
        """
        told = answer("archbench.flops.costs:counted_flops", self, dims=dims.model_dump(), attention=attention.value)
        return ForwardFlops(
            told["components"],
            per_prediction=frozenset(told["per_prediction"]),
            recomputed=frozenset(told["recomputed"]),
            forward_only=frozenset(told["forward_only"]),
        )

    @property
    def costs_are_counted(self) -> bool:
        """Whether parameters and FLOPs are the counter's and not by formula."""
        kind = type(self)
        left = (
            kind.num_params is ArchitectureConfig.num_params,
            kind.forward_flops_per_token is ArchitectureConfig.forward_flops_per_token,
        )
        return any(left)

    def unsupported(self, attention: Attention) -> str | None:
        """Why no model of these settings can be built with `attention`, whatever its shape; None where one can.

        In one line, with the remedy. Asked when a scan is planned.
        """
        if attention in self.attention_modes:
            return None
        offered = " or ".join(sorted(self.attention_modes))
        return f"{self.kind} has {offered} attention, got {attention}; choose an objective that fits"

    def planning_remark(self) -> str | None:
        """What is worth knowing before models of these settings are trained, such as a quicker way; None usually.

        A phrase for the plan, which prints it behind the contender's name. Loads no torch.
        """
        return None

    @abstractmethod
    def sized_for(self, target_params: float, *, vocab_size: int, seq_len: int) -> ModelDims:
        """The rung of the ladder nearest to `target_params` non-embedding parameters (within 5 % from 10 thousand on).

        Raises ValueError, saying what is possible, where no shape comes near.
        """

    def with_common(self, common: CommonSettings) -> tuple[Self, tuple[str, ...]]:
        """This architecture with what `common` asks of all, and the names of the settings that it does not keep.

        A setting is kept by a field of its name: see `archbench.contracts.common.KeepsCommonSettings`. What the spec
        says of this architecture itself stays, and is named where it differs.
        """
        kept, others = self, []
        for name, wanted in common.model_dump(exclude_none=True).items():
            said = getattr(self, name) if name in self.model_fields_set else None
            if said in (None, wanted) and kept._takes(name, wanted):
                kept = kept.model_copy(update={name: wanted})
            else:
                others.append(name)
        return kept, tuple(others)

    def _takes(self, name: str, value: object) -> bool:
        """Whether there is a field `name`, and it may have this value."""
        if name not in type(self).model_fields:
            return False
        try:
            type(self).model_validate({**self.model_dump(), name: value})
        except ValidationError:
            return False
        return True

    def saved_model(self, config: Mapping[str, Any]) -> SavedModel:
        """How a model that transformers saved with `config` (its config.json) becomes one of this architecture.

        Raises ValueError, in words, where it is another network, or where this architecture has no such counterpart.
        """
        raise ValueError(f"architecture {self.kind!r} cannot begin from a model of transformers")

    def problems(self, dims: ModelDims) -> list[str]:
        """Why `dims` cannot be built, each as one line with the remedy; empty if it can."""
        if dims.d_model % dims.n_heads:
            return [f"d_model {dims.d_model} is not divisible by n_heads {dims.n_heads}; choose a divisor"]
        return []

    def require_buildable(self, dims: ModelDims, attention: Attention) -> None:
        """Raises ValueError, in words, where `build` has no such attention or `problems(dims)` finds one."""
        if problem := self.unsupported(attention):
            raise ValueError(problem)
        if problems := self.problems(dims):
            raise ValueError("; ".join(problems))
