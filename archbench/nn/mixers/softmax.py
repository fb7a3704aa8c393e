"""Softmax attention (Vaswani et al. 2017) over all positions before, or over a window of them."""

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from archbench.nn.attention import attend
from archbench.nn.mixers.base import HeadMixer
from archbench.nn.positions import Rotation


class SoftmaxAttention(HeadMixer):
    """Each position attends to itself and all before it."""

    def __init__(self, d_model: int, n_heads: int, *, bias: bool = True, rotation: Rotation | None = None) -> None:
        """`rotation` turns queries and keys by their positions; None leaves positions to the embeddings."""
        super().__init__(d_model, n_heads, bias=bias)
        self.rotation = rotation

    def mix(self, x: Tensor, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """See `HeadMixer.mix`."""
        if self.rotation is not None:
            queries, keys = self.rotation(queries), self.rotation(keys)
        return self.attend(queries, keys, values)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Mixed values [B, T, H, E] of what `mix` is given, positions told."""
        return attend(queries, keys, values, causal=True, scale=self.d_head**-0.5)


class WindowAttention(SoftmaxAttention):
    """Each position attends to itself and the `window` - 1 before it.

    Chunks of `window` queries see the keys of their own chunk and of the one before, so the cost grows with the window
    and not with the context (the sliding window of Beltagy et al. 2020, without dilation or global positions).
    """

    def __init__(
        self, d_model: int, n_heads: int, *, window: int, bias: bool = True, rotation: Rotation | None = None
    ) -> None:
        super().__init__(d_model, n_heads, bias=bias, rotation=rotation)
        self.window = window

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """See `SoftmaxAttention.attend`."""
        rows, heads, length, width = queries.shape
        window = self.window
        if length <= window:
            return super().attend(queries, keys, values)
        num_chunks = -(-length // window)
        behind = num_chunks * window - length
        asking = pad(queries, (0, 0, 0, behind)).reshape(rows * heads, num_chunks, window, width)
        # Chunk n of the padded keys is the one before chunk n of the queries.
        told = [
            pad(tensor, (0, 0, window, behind)).reshape(rows * heads, num_chunks + 1, window, width)
            for tensor in (keys, values)
        ]
        seen_keys, seen_values = (torch.cat([one[:, :-1], one[:, 1:]], dim=2) for one in told)
        mixed = scaled_dot_product_attention(
            asking, seen_keys, seen_values, attn_mask=self._seen(num_chunks, queries), scale=self.d_head**-0.5
        )
        return mixed.reshape(rows, heads, -1, width)[:, :, :length].transpose(1, 2)

    def _seen(self, num_chunks: int, like: Tensor) -> Tensor:
        """Which of its chunk's 2·window keys each query sees: [num_chunks, window, 2·window], true where it does."""
        window = self.window
        place = torch.arange(window, device=like.device)[:, None] + window
        key = torch.arange(2 * window, device=like.device)[None, :]
        seen = (key <= place) & (key > place - window)
        first = seen & (key >= window)  # nothing comes before the first chunk
        return torch.stack([first, *[seen] * (num_chunks - 1)])
