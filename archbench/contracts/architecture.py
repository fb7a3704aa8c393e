"""What an architecture offers: a module, a ladder of sizes, and what it costs. Importing this loads no torch."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, PositiveInt

from archbench.contracts.config import ComponentConfig

if TYPE_CHECKING:
    from archbench.nn.language_model import LanguageModel


class Attention(StrEnum):
    """Which positions a position may use."""

    CAUSAL = "causal"
    BIDIRECTIONAL = "bidirectional"


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


class ArchitectureConfig(ComponentConfig):
    """Hyperparameters of one architecture family, apart from its size.

    Subclasses are torch-free at import: `build` imports torch inside. Everything else is arithmetic.
    """

    source: ClassVar[Source]
    attention_modes: ClassVar[frozenset[Attention]]
    carries_state: ClassVar[bool] = False
    """Whether memory crosses segments; such a model needs `data.order: stream`."""
    has_token_types: ClassVar[bool] = False
    """Whether it embeds token types, as next-sentence prediction needs."""

    @abstractmethod
    def build(self, dims: ModelDims, attention: Attention) -> "LanguageModel":
        """A freshly initialised module; random draws come from torch's global generator, which the caller seeds."""

    @abstractmethod
    def num_params(self, dims: ModelDims) -> ParamCount:
        """The exact number of parameters of `build(dims, ...)`, by formula."""

    @abstractmethod
    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """FLOPs of one forward pass over full contexts, per token, by component."""

    @abstractmethod
    def sized_for(self, target_params: float, *, vocab_size: int, seq_len: int) -> ModelDims:
        """The rung of the ladder nearest to `target_params` non-embedding parameters (within 5 % from 10 thousand on).

        Raises ValueError, saying what is possible, where no shape comes near.
        """

    def problems(self, dims: ModelDims) -> list[str]:
        """Why `dims` cannot be built, each as one line with the remedy; empty if it can."""
        if dims.d_model % dims.n_heads:
            return [f"d_model {dims.d_model} is not divisible by n_heads {dims.n_heads}; choose a divisor"]
        return []
