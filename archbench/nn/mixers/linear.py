"""Mixers whose cost grows with the context and not with its square, as chunked linear recurrences."""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, logsigmoid, pad, rms_norm

from archbench.nn.linear_recurrence import chunked_recurrence
from archbench.nn.mixers.base import HeadMixer

_SLOWNESS = 16.0
"""Roots that are taken of a gate (Yang et al. 2024, section 4.4): a gate of one half fades to half in 16 positions."""


class LinearAttention(HeadMixer):
    """Attention with the kernel (elu(q) + 1) · (elu(k) + 1) in place of exp(q · k) (Katharopoulos et al. 2020)."""

    def __init__(self, d_model: int, n_heads: int, *, chunk_size: int, bias: bool = True) -> None:
        super().__init__(d_model, n_heads, bias=bias)
        self.chunk_size = chunk_size

    def mix(self, x: Tensor, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """See `HeadMixer.mix`."""
        # A last feature of 1 makes the sum of the weights, by which the rest is divided (their equation 9).
        summed = chunked_recurrence(elu(queries) + 1.0, elu(keys) + 1.0, pad(values, (0, 1), value=1.0),
                                    chunk_size=self.chunk_size)  # fmt: skip
        return (summed[..., :-1] / summed[..., -1:]).transpose(1, 2)


class GatedLinearAttention(HeadMixer):
    """A linear recurrence that fades by a gate of each head, which the input sets.

    The decay is the one of gated linear attention (Yang et al. 2024, section 4.4) with one gate a head, as Mamba-2 has
    it (Dao and Gu 2024). In place of a sum of weights each head is brought to unit mean square, as in RetNet (Sun et
    al. 2023, section 2.2), without scale; there is no output gate, so that all but the mixing is as in attention.
    """

    def __init__(self, d_model: int, n_heads: int, *, chunk_size: int, bias: bool = True) -> None:
        super().__init__(d_model, n_heads, bias=bias)
        self.chunk_size = chunk_size
        self.to_gates = nn.Linear(d_model, n_heads)

    def mix(self, x: Tensor, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """See `HeadMixer.mix`."""
        log_decay = logsigmoid(self.to_gates(x).float()).transpose(1, 2) / _SLOWNESS
        scale = self.d_head**-0.5
        faded = chunked_recurrence(queries * scale, keys, values, log_decay, chunk_size=self.chunk_size)
        return rms_norm(faded, (self.d_head,)).transpose(1, 2)


def initialise_gates(mixer: GatedLinearAttention) -> None:
    """Spreads the heads' decays at the start: half-lives from 8 positions to 128, evenly in the logarithm."""
    half_lives = torch.logspace(3, 7, mixer.n_heads, base=2.0)
    decay = 0.5 ** (_SLOWNESS / half_lives)
    with torch.no_grad():
        mixer.to_gates.bias.copy_((decay / (1.0 - decay)).log())
