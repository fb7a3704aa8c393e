"""Reversible layers (Gomez et al. 2017; Kitaev et al. 2020, section 3): activations are recomputed, not stored.

Two streams pass through each layer: y1 = x1 + attention(x2), y2 = x2 + feed_forward(y1). The backward pass starts from
the last two streams and takes each layer off again: x2 = y2 - feed_forward(y1), x1 = y1 - attention(x2).

Recomputation must repeat the forward pass exactly, and reformer-pytorch's own reversible sequence does so only in part:
it recomputes outside of autocast, keeps hash buckets on the module (two forward passes before a backward pass
overwrite each other) and in training mode only, and hides the parameters' gradients from autograd. Here all that the
recomputation needs belongs to the one call that is differentiated. Parameters must be whole when the backward pass runs
them again: ZeRO stages 0 to 2, not 3, which takes them apart between.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from archbench.nn.lsh_attention import Buckets


class ReversibleLayer(nn.Module):
    """An attention and a feed-forward branch, each with its own norm; the attention fills or reads `Buckets`.

    A branch that draws no buckets ignores them: what it computes must be the same whenever it is repeated.
    """

    def __init__(self, attention: nn.Module, feed_forward: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.feed_forward = feed_forward

    def attend(self, x: Tensor, buckets: Buckets) -> Tensor:
        """The attention branch at `x`, [rows, seq_len, d_model]."""
        return cast(Tensor, self.attention(x, buckets=buckets))


class ReversibleStack(nn.Module):
    """Reversible layers; the output is the mean of the two streams, as in reformer-pytorch."""

    def __init__(self, layers: Sequence[ReversibleLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Hidden states of the same shape as `x`, [rows, seq_len, d_model]; stores two streams and the buckets."""
        first, second = _Reversible.apply(self, x, *self.parameters())  # type: ignore[no-untyped-call]
        return cast(Tensor, (first + second) / 2)

    def forward_irreversible(self, x: Tensor) -> Tensor:
        """The same function under plain autograd, which stores all activations: the yardstick of the gradients."""
        first = second = x
        for layer in self._layers():
            first = first + layer.attend(second, Buckets())
            second = second + layer.feed_forward(first)
        return (first + second) / 2

    def _layers(self) -> list[ReversibleLayer]:
        return cast(list[ReversibleLayer], list(self.layers))


@dataclass(frozen=True, slots=True)
class _Autocast:
    """The autocast state of a forward pass, to be entered again when it is repeated."""

    device_type: str
    enabled: bool
    dtype: torch.dtype

    @classmethod
    def of(cls, device_type: str) -> "_Autocast":
        return cls(device_type, torch.is_autocast_enabled(device_type), torch.get_autocast_dtype(device_type))

    @contextmanager
    def entered(self) -> Iterator[None]:
        # The cache of cast weights is off: the forward pass, which has no gradient, would leave weights in it that the
        # recomputation could not differentiate.
        with torch.autocast(self.device_type, dtype=self.dtype, enabled=self.enabled, cache_enabled=False):
            yield


class _Reversible(torch.autograd.Function):
    """All layers in one autograd node that keeps only its last two streams, and each layer's buckets."""

    @staticmethod
    def forward(ctx: Any, stack: ReversibleStack, x: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        ctx.stack = stack
        ctx.parameters = parameters
        ctx.autocast = _Autocast.of(x.device.type)
        ctx.buckets = [Buckets() for _ in stack.layers]
        first = second = x
        with ctx.autocast.entered():
            for layer, buckets in zip(stack._layers(), ctx.buckets, strict=True):
                first = first + layer.attend(second, buckets)
                second = second + layer.feed_forward(first)
        ctx.save_for_backward(first, second)
        return first, second

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        first, second = ctx.saved_tensors
        grad_first, grad_second = grads
        gradients: dict[int, Tensor] = {}
        for layer, buckets in zip(reversed(ctx.stack._layers()), reversed(ctx.buckets), strict=True):
            with ctx.autocast.entered():
                branch = _Branch.repeat(layer.feed_forward, first)
            second = second - branch.value
            grad_first = grad_first + branch.pull_back(grad_second, layer.feed_forward, gradients)
            with ctx.autocast.entered():
                branch = _Branch.repeat(lambda x, layer=layer, buckets=buckets: layer.attend(x, buckets), second)
            first = first - branch.value
            grad_second = grad_second + branch.pull_back(grad_first, layer.attention, gradients)
        return None, grad_first + grad_second, *(gradients.get(id(parameter)) for parameter in ctx.parameters)


@dataclass(frozen=True, slots=True)
class _Branch:
    """One branch of a layer, run again with a graph."""

    at: Tensor
    output: Tensor

    @classmethod
    def repeat(cls, branch: Any, x: Tensor) -> "_Branch":
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            return cls(at, branch(at))

    @property
    def value(self) -> Tensor:
        return self.output.detach()

    def pull_back(self, grad_output: Tensor, module: nn.Module, gradients: dict[int, Tensor]) -> Tensor:
        """Gradient at the branch's input; its parameters' gradients go to `gradients` under the parameter's id."""
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        inputs = (self.at, *trained)
        grad_at, *grads = torch.autograd.grad(self.output, inputs, grad_output.to(self.output.dtype))
        gradients.update((id(parameter), grad) for parameter, grad in zip(trained, grads, strict=True))
        return grad_at
