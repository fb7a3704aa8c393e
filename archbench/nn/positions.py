"""How a model knows where a token stands, where no table of positions is learned."""

import math

import torch
from torch import Tensor, nn


class Rotation(nn.Module):
    """Rotary positions (Su et al. 2021, equation 34): pairs of features are turned by an angle that grows with place.

    A product of a query and a key then depends on their distance. Feature i is paired with feature i + E/2; the last
    one of an odd width is left as it is.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, d_head: int, max_positions: int, base: float = 10_000.0) -> None:
        super().__init__()
        half = d_head // 2
        frequencies = base ** (-torch.arange(half, dtype=torch.float32) / max(half, 1))
        angles = torch.arange(max_positions, dtype=torch.float32)[:, None] * frequencies
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def forward(self, heads: Tensor) -> Tensor:
        """`heads` [..., positions, d_head] turned by the places 0, 1, ... of their positions."""
        length, half = heads.shape[-2], self.cosines.shape[-1]
        cosines, sines = self.cosines[:length].type_as(heads), self.sines[:length].type_as(heads)
        first, second, rest = heads.tensor_split((half, 2 * half), dim=-1)
        return torch.cat([first * cosines - second * sines, second * cosines + first * sines, rest], dim=-1)


class Sinusoids(nn.Module):
    """Fixed sinusoids of the position (Vaswani et al. 2017, section 3.5), scaled to a root mean square of `scale`.

    Unscaled ones would drown token embeddings that start at a standard deviation of 0.02.
    """

    table: Tensor

    def __init__(self, d_model: int, max_positions: int, *, scale: float) -> None:
        super().__init__()
        frequencies = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float32) / d_model)
        angles = torch.arange(max_positions, dtype=torch.float32)[:, None] * frequencies
        table = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :d_model]
        self.register_buffer("table", table * (scale * math.sqrt(2.0)), persistent=False)

    def forward(self, positions: Tensor) -> Tensor:
        """The sinusoids [..., d_model] of `positions`, whole numbers below `max_positions`."""
        return self.table[positions]
