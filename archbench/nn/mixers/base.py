"""What every mixer offers: the part of a layer that lets a position use others. Everything else is the backbone's.

Letters in shapes: B rows, H heads, T positions, E features of a head, D = H·E the width, M positions of a memory.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from archbench.nn.lsh_attention import Buckets


class Mixer(nn.Module, ABC):
    """Mixes positions, each with those before it; parameters are left to the backbone to initialise."""

    output: nn.Linear
    """The projection into the residual stream, which some backbones initialise by the depth."""

    @abstractmethod
    def forward(self, x: Tensor, *, memory: Tensor | None = None, buckets: Buckets | None = None) -> Tensor:
        """Mixed positions [B, T, D] of `x` [B, T, D].

        `memory` [B, M, D] is what came before `x`; mixers that carry none are given none. `buckets` lets hashing repeat
        itself where a reversible layer runs it again; the others ignore it.
        """


class HeadMixer(Mixer):
    """Projects queries, keys and values, mixes them head by head, and projects the result."""

    def __init__(self, d_model: int, n_heads: int, *, bias: bool = True) -> None:
        """`bias` is that of queries, keys and values; the output always has one."""
        super().__init__()
        self.n_heads = n_heads
        self.d_head = d_model // n_heads
        self.to_heads = nn.Linear(d_model, 3 * d_model, bias=bias)
        self.output = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, *, memory: Tensor | None = None, buckets: Buckets | None = None) -> Tensor:
        """See `Mixer.forward`."""
        split = self.to_heads(x).unflatten(-1, (3, self.n_heads, self.d_head))
        queries, keys, values = (heads.transpose(1, 2) for heads in split.unbind(2))
        mixed: Tensor = self.output(self.mix(x, queries, keys, values).flatten(2))
        return mixed

    @abstractmethod
    def mix(self, x: Tensor, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Mixed values [B, T, H, E] of `queries`, `keys` and `values` [B, H, T, E]; `x` [B, T, D] is their source."""
