"""How the conformance suites look into a model: seeded builds, gradients at its input, its steady state."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from archbench.api import ArchitectureConfig, Attention, ModelDims
from archbench.flops.embeddings import embedding_names, larger_tables
from archbench.nn.language_model import LanguageModel, State
from archbench.training.process_state import changes, process_state


def seeded_model(config: ArchitectureConfig, dims: ModelDims, attention: Attention, seed: int = 0) -> LanguageModel:
    """A model built with torch's global generator seeded, in training mode; the generator is seeded again afterwards.

    The second seeding fixes what a model draws in its forward pass, such as the hash rotations of LSH attention.
    """
    torch.manual_seed(seed)
    model = config.build(dims, attention).train()
    torch.manual_seed(seed + 1)
    return model


def random_tokens(rows: int, dims: ModelDims, seed: int = 0) -> Tensor:
    """Uniform tokens, [rows, seq_len] int64."""
    return torch.randint(dims.vocab_size, (rows, dims.seq_len), generator=torch.Generator().manual_seed(seed))


def random_like(tensor: Tensor, seed: int = 0) -> Tensor:
    """Standard normal numbers in the shape of `tensor`: weights of a sum in which no gradients cancel."""
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed))
    return noise.to(tensor.device, tensor.dtype)


def embedding_parameters(config: ArchitectureConfig, dims: ModelDims, attention: Attention) -> set[str]:
    """Names of the parameters that count as embeddings, found without asking the architecture.

    See `archbench.flops.embeddings`.
    """
    larger = larger_tables(dims)
    return embedding_names(seeded_model(config, dims, attention), seeded_model(config, larger, attention), dims)


@dataclass(slots=True)
class EmbeddedTokens:
    """What a forward pass looked up for its input tokens."""

    outputs: list[Tensor] = field(default_factory=list)
    """Embedded tokens, [rows, seq_len, width], cut off from the tables: leaves that collect gradients."""
    tables: list[nn.Embedding] = field(default_factory=list)
    """The modules that looked them up."""


@contextmanager
def watch_token_embedding(model: LanguageModel, tokens: Tensor, *, cut: bool) -> Iterator[EmbeddedTokens]:
    """Notes every `nn.Embedding` that is called on `tokens`; with `cut`, its output becomes a leaf of the graph."""
    seen = EmbeddedTokens()

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if not inputs or inputs[0].shape != tokens.shape or not torch.equal(inputs[0], tokens):
            return None
        assert isinstance(module, nn.Embedding)
        seen.tables.append(module)
        if not cut:
            return None
        leaf = output.detach().requires_grad_()
        seen.outputs.append(leaf)
        return leaf

    handles = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, nn.Embedding)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def input_gradients(
    model: LanguageModel, tokens: Tensor, position: int, *, prefix_len: Tensor | None = None
) -> Tensor | None:
    """|d logits[0, position] / d embedded tokens|, summed over the width: [rows, seq_len]; None without `nn.Embedding`.

    The logits are weighted by random numbers first, so that no contributions cancel. `prefix_len` [rows] is the prefix
    that each row is given; None: the model is called without one.
    """
    with watch_token_embedding(model, tokens, cut=True) as seen:
        encoded = model.encode(tokens) if prefix_len is None else model.encode_prefixed(tokens, prefix_len)
        logits = model.logits(encoded.hidden)[0, position]
    if not seen.outputs:
        return None
    torch.autograd.backward((logits * random_like(logits)).sum())
    collected = torch.zeros(tokens.shape, dtype=logits.dtype, device=tokens.device)
    for leaf in seen.outputs:
        if leaf.grad is not None:
            collected += leaf.grad.abs().sum(-1)
    return collected


def steady_state(model: LanguageModel, tokens: Tensor, max_segments: int = 16) -> State | None:
    """The model's memory once it has filled up: segments of `tokens` are read until its shape no longer changes."""
    state: State | None = None
    with torch.no_grad():
        for _ in range(max_segments):
            following = model.encode(tokens, state=state).state
            if following is None:
                return None
            if state is not None and [part.shape for part in following] == [part.shape for part in state]:
                return following
            state = following
    return state


def steps_to_memorise(
    model: LanguageModel, tokens: Tensor, targets: Tensor, *, below_nats: float, max_steps: int
) -> tuple[int, float]:
    """(steps taken, last loss) of Adam at a rate of 0.01 until the mean loss falls below `below_nats`."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    loss_nats = float("inf")
    for step in range(max_steps):
        loss = cross_entropy_nats(model(tokens), targets)
        loss_nats = loss.item()
        if loss_nats < below_nats:
            return step, loss_nats
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return max_steps, loss_nats


def cross_entropy_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean loss over all positions, in nats per token; a scalar."""
    return nn.functional.cross_entropy(logits.flatten(0, -2).float(), targets.flatten())


def changed_process_state(work: Callable[[], object]) -> list[str]:
    """Names of what `work()` changes in its process, random states of Python and numpy included."""

    def everything() -> dict[str, object]:
        states = {"Python's random state": random.getstate(), "numpy's random state": str(np.random.get_state())}
        return {**states, "torch's number of threads": torch.get_num_threads(), **process_state()}

    before = everything()
    work()
    return changes(before, everything())
