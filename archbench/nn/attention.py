"""Softmax attention: torch's own, or on a CPU the native kernels, which are two to four times as fast for small heads.

Letters in shapes: B rows, H heads, T queries, K keys, E features of a head.
"""

from ctypes import CDLL, c_float
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from archbench.nn.native.build import kernels
from archbench.nn.native.switch import longs, native_kernels_for, pointer

MAX_NATIVE_WIDTH = 128
"""Wider heads gain nothing over torch's kernel, and their keys outgrow the first caches."""


def attend(queries: Tensor, keys: Tensor, values: Tensor, *, causal: bool, scale: float) -> Tensor:
    """Mixed values [B, T, H, E] of `queries` [B, H, T, E] and `keys` and `values` [B, H, K, E], without dropout.

    Causal: the last query sees all keys, each one before it one less. The result is that of torch's
    `scaled_dot_product_attention` up to rounding. Gradients of gradients are refused.
    """
    native = queries.shape[-1] <= MAX_NATIVE_WIDTH and native_kernels_for(queries, keys, values)
    if native and queries.shape[2] > 0:
        mixed: Tensor = _NativeAttention.apply(queries, keys, values, causal, scale)  # type: ignore[no-untyped-call]
        return mixed
    return scaled_dot_product_attention(queries, keys, values, is_causal=causal, scale=scale).transpose(1, 2)


def prefix_mask(prefix_len: Tensor, seq_len: int) -> Tensor:
    """Who sees whom, [rows, 1, seq_len, seq_len] bool, where the first `prefix_len` ([rows]) positions see each other.

    Axes: row, all heads alike, query, key. True where the key is in the prefix, or not behind the query.
    """
    places = torch.arange(seq_len, device=prefix_len.device)
    in_prefix = places < prefix_len[:, None]
    causal = places <= places[:, None]
    return (in_prefix[:, None, :] & in_prefix[:, :, None] | causal)[:, None]


def attend_by_distance(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    content_bias: Tensor,
    position_bias: Tensor,
    positions: Tensor,
    scale: float,
) -> Tensor | None:
    """Causal attention [B, T, H, E] with relative positions (Dai et al. 2019, section 3.3); None without the kernels.

    `queries` [B, H, T, E], `keys` and `values` [B, H, K, E]; `content_bias` u and `position_bias` v [H, E];
    `positions` [K + 1, H, E] are the keys W_R r of the distances K, ..., 0.
    """
    if queries.shape[-1] > MAX_NATIVE_WIDTH or not native_kernels_for(queries, keys, values, positions):
        return None
    mixed: Tensor = _NativeAttentionByDistance.apply(  # type: ignore[no-untyped-call]
        queries, keys, values, content_bias, position_bias, positions, scale
    )
    return mixed


class _NativeAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, causal: bool, scale: float) -> Tensor:
        heads = tuple(_rows_contiguous(tensor) for tensor in (queries, keys, values))
        out, log_norm = _forward(heads, causal, scale, (None, None, None))
        ctx.save_for_backward(*heads, out, log_norm)
        ctx.causal, ctx.scale = causal, scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *heads, out, log_norm = ctx.saved_tensors
        back, _, _ = _backward(heads, ctx.causal, ctx.scale, (None, None, None), out, log_norm, grads[0])
        return *back, None, None


class _NativeAttentionByDistance(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        content_bias: Tensor,
        position_bias: Tensor,
        positions: Tensor,
        scale: float,
    ) -> Tensor:
        heads = tuple(_rows_contiguous(tensor) for tensor in (queries, keys, values))
        biases = (content_bias.contiguous(), position_bias.contiguous(), positions.contiguous())
        out, log_norm = _forward(heads, True, scale, biases)
        ctx.save_for_backward(*heads, *biases, out, log_norm)
        ctx.scale = scale
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, *biases, out, log_norm = ctx.saved_tensors
        (by_content, *back), by_position, grad_positions = _backward(
            (queries, keys, values), True, ctx.scale, tuple(biases), out, log_norm, grads[0]
        )
        sums = (by_content.sum(dim=(0, 2)), by_position.sum(dim=(0, 2)))
        return by_content + by_position, *back, *sums, grad_positions, None


_Positions = tuple[Tensor | None, Tensor | None, Tensor | None]


def _forward(heads: Any, causal: bool, scale: float, positions: _Positions) -> tuple[Tensor, Tensor]:
    queries = heads[0]
    rows, num_heads, num_queries, width = queries.shape
    out = queries.new_empty(rows, num_queries, num_heads, width)
    log_norm = queries.new_empty(rows, num_heads, num_queries)
    _library().archbench_attention(*_arguments(heads, causal, scale, positions), pointer(out), pointer(log_norm))
    return out, log_norm


def _backward(
    heads: Any, causal: bool, scale: float, positions: _Positions, out: Tensor, log_norm: Tensor, grad: Tensor
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Gradients of queries, keys and values [B, H, ., E]; the position term's part of the queries; the positions'."""
    keys = heads[1]
    above = _rows_contiguous(grad.transpose(1, 2))
    like_queries = [torch.empty_like(out) for _ in range(1 if positions[2] is None else 2)]
    like_keys = [out.new_empty(keys.shape[0], keys.shape[2], keys.shape[1], keys.shape[3]) for _ in range(2)]
    grad_positions = None if positions[2] is None else torch.empty_like(positions[2])
    _library().archbench_attention_backward(
        *_arguments(heads, causal, scale, positions),
        *(pointer(tensor) for tensor in (out, log_norm, above)),
        longs(*above.stride()[:3]),
        pointer(like_queries[0]),
        *(pointer(tensor) for tensor in like_keys),
        pointer(like_queries[-1]),
        pointer(grad_positions),
    )
    back = [tensor.transpose(1, 2) for tensor in (like_queries[0], *like_keys)]
    return back, like_queries[-1].transpose(1, 2), out if grad_positions is None else grad_positions


def _arguments(heads: Any, causal: bool, scale: float, positions: _Positions) -> list[Any]:
    queries, keys, _ = heads
    rows, num_heads, num_queries, width = queries.shape
    sizes = longs(rows, num_heads, num_queries, keys.shape[2], width, int(causal), torch.get_num_threads())
    strided = [argument for tensor in heads for argument in (pointer(tensor), longs(*tensor.stride()[:3]))]
    return [sizes, c_float(scale), *strided, *(pointer(tensor) for tensor in positions)]


def _library() -> CDLL:
    """The kernels, which the caller knows to be there."""
    built = kernels()
    assert built is not None, "native attention was chosen without its kernels"
    return built.shared_object


def _rows_contiguous(tensor: Tensor) -> Tensor:
    """`tensor`, whose last axis must lie together in memory."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
