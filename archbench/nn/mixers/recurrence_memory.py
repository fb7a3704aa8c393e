"""Transformer-XL's mixer: relative attention over the segment and a memory of those before it (Dai et al. 2019)."""

from torch import Tensor, nn

from archbench.nn.lsh_attention import Buckets
from archbench.nn.mixers.base import Mixer
from archbench.nn.relative_attention import RelativeAttention, RelativeSinusoids


class RecurrenceMemory(Mixer):
    """Attention to the memory, the position itself and all before it, by content and by distance.

    Its projections have no bias; the learned u and v stand in for that of the queries.
    """

    def __init__(self, d_model: int, n_heads: int, *, max_keys: int) -> None:
        """`max_keys` is the number of positions that memory and segment hold together."""
        super().__init__()
        self.attention = RelativeAttention(d_model, n_heads)
        self.sinusoids = RelativeSinusoids(d_model, max_keys)

    @property
    def output(self) -> nn.Linear:  # type: ignore[override]
        """See `Mixer.output`."""
        return self.attention.to_out

    def forward(self, x: Tensor, *, memory: Tensor | None = None, buckets: Buckets | None = None) -> Tensor:
        """See `Mixer.forward`."""
        mixed: Tensor = self.attention(x, self.sinusoids, memory)
        return mixed
