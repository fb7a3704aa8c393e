"""What an objective offers: examples out of token windows, and the loss. Importing this loads no torch."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.architecture import ArchitectureConfig, Attention, ForwardFlops, ModelDims, ParamCount
from archbench.contracts.config import ComponentConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archbench.nn.language_model import LanguageModel, State

IGNORE_TARGET = -100
"""Target of a position that is not predicted."""


class TokenSource(Protocol):
    """A split of the corpus as one long stream of tokens."""

    @property
    def num_tokens(self) -> int:
        """Length of the stream."""
        ...

    def window(self, start: int, length: int) -> NDArray[np.int64]:
        """Tokens [start, start + length), wrapping round at the end of the stream."""
        ...


class LossParts(NamedTuple):
    """The loss of one batch, in parts, so that batches of any size add up exactly."""

    nats: "Tensor"
    """Summed over predicted tokens; a scalar with gradient."""
    predictions: "Tensor"
    """Number of predicted tokens; a scalar."""
    auxiliary: "Tensor | None"
    """A mean loss that is trained beside it but not reported as L; None without one. The model's own, which `encode`
    returns, is trained whatever stands here."""
    state: "State | None"
    """The model's memory after this segment."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Contiguous pieces of the token stream, one a row, from which an objective makes examples."""

    tokens: NDArray[np.int64]
    """[rows, stride + lookahead]."""
    starts: NDArray[np.int64]
    """[rows], each window's place in the stream."""
    rows: NDArray[np.int64]
    """[rows], each row's number in the global batch, the same whichever rank holds it."""
    step: int
    seed: int

    def generator(self, index: int, *, static: bool = False) -> np.random.Generator:
        """The random generator of row `index`: a function of (seed, step, row), or of (seed, place in the stream)."""
        if static:
            return np.random.default_rng((self.seed, 1, int(self.starts[index])))
        return np.random.default_rng((self.seed, 0, self.step, int(self.rows[index])))


@dataclass(frozen=True, slots=True)
class ExampleContext:
    """What an objective may use to make examples."""

    source: TokenSource
    seq_len: int
    vocab_size: int
    """With special tokens."""
    text_vocab_size: int
    """Without: replacement tokens are drawn from [0, text_vocab_size)."""
    special_ids: Mapping[str, int]


class ObjectiveConfig(ComponentConfig):
    """How text becomes a training signal.

    `examples` runs in numpy, so that batches are pure functions of (seed, step, row); `loss` imports torch inside.
    """

    attention: ClassVar[Attention]
    """What its model attends to. With `PREFIX`, `examples` also gives `prefix_len` [rows], for `encode_prefixed`."""
    track: ClassVar[str]
    """Losses are comparable between two objectives of the same track only."""
    comparisons: ClassVar[str]
    """Which comparisons its loss allows, in one sentence."""
    special_tokens: ClassVar[tuple[str, ...]] = ()
    """Names of tokens added behind the tokenizer's own."""
    lookahead: ClassVar[int] = 0
    """Tokens of a window beyond its stride: 1 where the next token is the target."""
    predicts_every_token: ClassVar[bool] = False
    """Whether the loss covers each token of the text once, so that bits per byte are defined."""
    needs_token_types: ClassVar[bool] = False
    scores_targets: ClassVar[bool] = True
    """Whether the loss is the cross entropy of `targets` by the model's logits. False for a loss in nats of another
    question asked at each position that has a target, such as whether its token was replaced."""

    def stride(self, seq_len: int) -> int:
        """Tokens of the stream that one row consumes per step; `seq_len` unless room for special tokens is needed."""
        return seq_len

    def predicted_fraction(self, seq_len: int) -> float:
        """Share of input positions that `loss` hands to the model's `logits`; scales the cost of the projection."""
        return 1.0

    @abstractmethod
    def examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        """Arrays with the row as first axis: at least `tokens` and `targets`, each [rows, seq_len]."""

    def training_examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        """As `examples`, in training alone; another text than it is evaluated on only where that is the point."""
        return self.examples(windows, context)

    def build_head(self, dims: ModelDims) -> "nn.Module | None":
        """A module trained beside the model for an auxiliary loss; None without one."""
        return None

    def num_head_params(self, dims: ModelDims) -> int:
        """Parameters of `build_head(dims)`."""
        return 0

    def num_head_embedding_params(self, dims: ModelDims) -> int:
        """Those of them that are token or position embeddings, which N leaves out."""
        return 0

    def head_forward_flops(self, dims: ModelDims) -> Mapping[str, float]:
        """FLOPs of the head in one forward pass per input token by component, counted as the architecture's are.

        Empty for a head that is negligible, such as a classifier of whole rows.
        """
        return {}

    @abstractmethod
    def loss(
        self,
        model: "LanguageModel",
        head: "nn.Module | None",
        batch: Mapping[str, "Tensor"],
        state: "State | None",
    ) -> LossParts:
        """The loss of one batch whose arrays came from `examples`."""


_RESERVED_SPECIAL_TOKENS = 4
_VOCAB_MULTIPLE = 8


def model_vocab_size(text_vocab_size: int, objective: ObjectiveConfig) -> int:
    """Vocabulary of a model: the tokenizer's ids, then special tokens, rounded up to a multiple of 8.

    At least four special ids are always reserved, so that one architecture has the same parameters under a causal
    and under a masked objective.
    """
    needed = text_vocab_size + max(_RESERVED_SPECIAL_TOKENS, len(objective.special_tokens))
    return -(-needed // _VOCAB_MULTIPLE) * _VOCAB_MULTIPLE


def special_token_ids(text_vocab_size: int, objective: ObjectiveConfig) -> dict[str, int]:
    """Ids of the objective's special tokens, in order behind the tokenizer's own."""
    return {name: text_vocab_size + index for index, name in enumerate(objective.special_tokens)}


def trained_params(architecture: ArchitectureConfig, objective: ObjectiveConfig, dims: ModelDims) -> ParamCount:
    """Parameters of the model and of the objective's head together, as runs record them."""
    model, embedding = architecture.num_params(dims), objective.num_head_embedding_params(dims)
    head = objective.num_head_params(dims) - embedding
    return ParamCount(
        embedding=model.embedding + embedding,
        non_embedding=model.non_embedding + head,
        active_non_embedding=None if model.active_non_embedding is None else model.active_non_embedding + head,
    )


def trained_flops(architecture: ArchitectureConfig, objective: ObjectiveConfig, dims: ModelDims) -> ForwardFlops:
    """What a forward pass of the model and of the objective's head costs; the head's components under their names."""
    flops = architecture.forward_flops_per_token(dims, objective.attention)
    head = objective.head_forward_flops(dims)
    return replace(flops, components={**flops.components, **head}) if head else flops
