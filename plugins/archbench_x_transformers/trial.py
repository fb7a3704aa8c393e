"""What a process with torch tells of keywords of x-transformers: whether a small model of them does what it must."""

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from archbench.api import Attention, ModelDims
from archbench_x_transformers.config import XTransformersConfig
from archbench_x_transformers.keywords import check_keywords
from archbench_x_transformers.model import XTransformersModel

_POSITION = 10
"""Whose logits are followed back."""

T = TypeVar("T")


def trial(config: XTransformersConfig) -> bool:
    """True where the keywords are the library's, and a small model of them runs and is causal where it must be.

    Raises ValueError, in one line, with the reason where it is not so.
    """
    check_keywords(config.section, config.keywords, config.wrapper)
    dims = config.adapted(ModelDims(vocab_size=48, seq_len=32, d_model=32, n_layers=2, n_heads=4, d_ff=128))
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = _attempted("be built", lambda: config.build(dims, config.attention).eval())
        later, other_row = _attempted("be run", lambda: _gradients(model, dims))
    if other_row > 0.0:
        raise ValueError("rows of a batch see each other under these keywords; a loss would not be of its own text")
    if config.attention is Attention.CAUSAL and later > 0.0:
        raise ValueError("a decoder with these keywords sees later tokens: its losses would be no causal model's")
    return True


def _attempted(what: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:  # the library's own, assertions mostly
        told = " ".join(str(error).split())[:300] or "an assertion of the library"
        raise ValueError(f"a small model of these keywords cannot {what}: {type(error).__name__}: {told}") from error


def _gradients(model: XTransformersModel, dims: ModelDims) -> tuple[float, float]:
    """How much the logits of a position hang on later tokens of its row, and on another row."""
    tokens = torch.randint(dims.vocab_size, (2, dims.seq_len), generator=torch.Generator().manual_seed(1))
    leaves: list[Tensor] = []

    def cut(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        leaves.append(output.detach().requires_grad_())
        return leaves[-1]

    handle = model.trunk.token_emb.emb.register_forward_hook(cut)
    try:
        logits = model(tokens)
    finally:
        handle.remove()
    if not bool(logits.isfinite().all()):
        raise ValueError("logits of an untrained model are not finite")
    weights = torch.randn(dims.vocab_size, generator=torch.Generator().manual_seed(2))
    torch.autograd.backward((logits[0, _POSITION] * weights).sum())
    found = sum((leaf.grad.abs().sum(-1) for leaf in leaves if leaf.grad is not None), start=torch.zeros(tokens.shape))
    return float(found[0, _POSITION + 1 :].max()), float(found[1].max())
