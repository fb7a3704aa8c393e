"""How fast the state of a head fades, by the input: the step sizes of Mamba-2 (Dao and Gu 2024, section 7)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

_SLOWEST, _FASTEST = 1.0, 16.0
"""Between these the rates A start, evenly."""

_SHORTEST_STEP, _LONGEST_STEP = 1e-3, 1e-1
"""Between these the step sizes start, evenly in the logarithm."""


class SelectiveDecay(nn.Module):
    """A rate and a bias of the step size for each head; ln a = -A · Δ with Δ = softplus(step + bias)."""

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.log_rate = nn.Parameter(torch.empty(n_heads).uniform_(_SLOWEST, _FASTEST).log())
        """ln A: A stays positive whatever the training does."""
        low, high = math.log(_SHORTEST_STEP), math.log(_LONGEST_STEP)
        step = torch.empty(n_heads).uniform_(low, high).exp()
        # The inverse of softplus.
        self.step_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))

    def forward(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """(ln a, Δ), both of the shape of `steps` [..., H] and in fp32 or wider."""
        exact = torch.promote_types(steps.dtype, torch.float32)
        size = softplus(steps.to(exact) + self.step_bias.to(exact))
        return -self.log_rate.to(exact).exp() * size, size
