"""Softmax attention by torch's own kernels.

Letters in shapes: B rows, H heads, T queries, K keys, E features of a head.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from archbench.nn.tracing import is_plain_cpu_work

_NARROW, _FILLED = 12, 16
"""Heads narrower than the first are filled up with zeros to the second on a CPU: products with 7 or 10 columns take up
to five times as long there as with 16, and zeros change no score."""


def attend(queries: Tensor, keys: Tensor, values: Tensor, *, causal: bool, scale: float) -> Tensor:
    """Mixed values [B, T, H, E] of `queries` [B, H, T, E] and `keys` and `values` [B, H, K, E], without dropout.

    Causal: each query sees the keys up to its own place, and there are as many keys as queries. The result is that of
    torch's `scaled_dot_product_attention` up to rounding. Gradients of gradients are refused.
    """
    width = queries.shape[-1]
    if width < _NARROW and is_plain_cpu_work(queries, keys, values):
        queries, keys, values = (pad(heads, (0, _FILLED - width)) for heads in (queries, keys, values))
    mixed = scaled_dot_product_attention(queries, keys, values, is_causal=causal, scale=scale)
    return mixed.transpose(1, 2)[..., :width]


def prefix_mask(prefix_len: Tensor, seq_len: int) -> Tensor:
    """Who sees whom, [rows, 1, seq_len, seq_len] bool, where the first `prefix_len` ([rows]) positions see each other.

    Axes: row, all heads alike, query, key. True where the key is in the prefix, or not behind the query.
    """
    places = torch.arange(seq_len, device=prefix_len.device)
    in_prefix = places < prefix_len[:, None]
    causal = places <= places[:, None]
    return (in_prefix[:, None, :] & in_prefix[:, :, None] | causal)[:, None]
