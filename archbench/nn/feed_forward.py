"""The feed-forward layer of a Transformer, by its activation."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from archbench.nn.gelu import GeluTanh


class SquaredReLU(nn.Module):
    """max(0, x)² (So et al. 2021, section 4)."""

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`."""
        return torch.relu(x).square()


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "gelu_tanh": GeluTanh,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "squared_relu": SquaredReLU,
}
"""Activations of `FeedForward` by name; `gelu_tanh` is GPT-2's."""


class FeedForward(nn.Module):
    """Two matrices with an activation between them, each with a bias."""

    def __init__(self, d_model: int, d_ff: int, activation: str) -> None:
        """`activation` is a name in `ACTIVATIONS`."""
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.activation = ACTIVATIONS[activation]()
        self.output = nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`, [..., d_model]."""
        activated: Tensor = self.output(self.activation(self.inner(x)))
        return activated


class SwiGLU(nn.Module):
    """Three matrices: one half of the inner layer gates the other, output(silu(a) · b) (Shazeer 2020, equation 6)."""

    def __init__(self, d_model: int, d_ff: int, *, bias: bool = True) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, 2 * d_ff, bias=bias)
        self.output = nn.Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`, [..., d_model]."""
        gate, passed = self.inner(x).chunk(2, dim=-1)
        gated: Tensor = self.output(silu(gate) * passed)
        return gated
