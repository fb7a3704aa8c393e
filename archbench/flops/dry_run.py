"""Counts the FLOPs of a training step of any size without its memory or its time: on fake tensors, that have no data.

What is counted is what a run does: the objective's loss, which projects only the positions that it predicts, with a
full memory where the architecture carries one, forward and backward with all recomputation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from archbench.contracts.architecture import ArchitectureConfig, ModelDims
from archbench.contracts.objective import ExampleContext, ObjectiveConfig, Windows, special_token_ids
from archbench.flops.counter import measured_flops
from archbench.nn.language_model import LanguageModel, State

_MAX_SEGMENTS = 16
"""Segments after which a memory that still grows is taken as it is."""


@dataclass(frozen=True, slots=True)
class CountedFlops:
    """What torch's counter saw, taken apart into what grows with the rows and what does not."""

    per_token: float
    """FLOPs of one more row, over its tokens."""
    per_pass: float
    """FLOPs of a pass whatever its rows, such as the projection of positions that all rows share."""

    def at(self, rows: int, seq_len: int) -> float:
        """FLOPs per token of a pass over `rows` rows."""
        return self.per_token + self.per_pass / (rows * seq_len)


@dataclass(frozen=True, slots=True)
class CountedStep:
    """A training step as torch's counter sees it."""

    forward: CountedFlops
    train: CountedFlops
    num_params: int
    """Of the built model, embeddings included, without the objective's head."""


def counted_step(config: ArchitectureConfig, dims: ModelDims, objective: ObjectiveConfig) -> CountedStep:
    """The FLOPs of a step of `config` at `dims` under `objective`, counted by torch on two rows and on four.

    Takes about a second at a hundred thousand parameters and up to a minute at 350 million, and no memory to speak of.
    Nothing is drawn from, or left in, torch's global generator.
    """
    with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True):
        model = config.build(dims, objective.attention).train()
        head = objective.build_head(dims)
        # Even numbers, so that half of a row, which a prefix leaves on average, is a whole number of positions.
        two, four = (_counted(model, head, objective, fake_batch(objective, dims, rows=rows)) for rows in (2, 4))
    forward, train = (
        CountedFlops(per_token=(double - single) / (2 * dims.seq_len), per_pass=2.0 * single - double)
        for single, double in zip(two, four, strict=True)
    )
    return CountedStep(forward, train, sum(parameter.numel() for parameter in model.parameters()))


def fake_batch(objective: ObjectiveConfig, dims: ModelDims, *, rows: int) -> Mapping[str, Tensor]:
    """Arrays of the shapes that `objective` makes of text, filled with zeros."""
    text_vocab_size = dims.vocab_size - len(objective.special_tokens)
    length = objective.stride(dims.seq_len) + objective.lookahead
    numbers = np.arange(rows)
    arrays = objective.examples(
        Windows(tokens=np.zeros((rows, length), dtype=np.int64), starts=numbers * length, rows=numbers, step=0, seed=0),
        ExampleContext(
            source=_EmptyText(),
            seq_len=dims.seq_len,
            vocab_size=dims.vocab_size,
            text_vocab_size=text_vocab_size,
            special_ids=special_token_ids(text_vocab_size, objective),
        ),
    )
    return {name: torch.zeros(array.shape, dtype=torch.int64) for name, array in arrays.items()}


class _EmptyText:
    """A text of zeros, for objectives that look up other places of it."""

    num_tokens = 1_000_000

    def window(self, start: int, length: int) -> NDArray[np.int64]:
        return np.zeros(length, dtype=np.int64)


def _counted(
    model: LanguageModel, head: nn.Module | None, objective: ObjectiveConfig, batch: Mapping[str, Tensor]
) -> tuple[float, float]:
    """FLOPs of a forward pass that is only evaluated, and of forward and backward.

    A training step makes some of its gradients in the forward pass: see `projected_cross_entropy`.
    """
    state = _filled_memory(model, head, objective, batch)

    def forward() -> Tensor:
        parts = objective.loss(model, head, batch, state)
        return parts.nats if parts.auxiliary is None else parts.nats + parts.auxiliary

    with torch.no_grad():
        forward_flops = measured_flops(forward)
    return forward_flops, measured_flops(lambda: torch.autograd.backward(forward()))


@torch.no_grad()
def _filled_memory(
    model: LanguageModel, head: nn.Module | None, objective: ObjectiveConfig, batch: Mapping[str, Tensor]
) -> State | None:
    """The memory from which on its shape no longer changes."""
    state: State | None = None
    for _ in range(_MAX_SEGMENTS):
        following = objective.loss(model, head, batch, state).state
        if following is None or (state is not None and [t.shape for t in following] == [t.shape for t in state]):
            return following
        state = following
    return state
