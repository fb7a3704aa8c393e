"""The loss of objectives that predict tokens, from hidden states or from logits."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

from archbench.nn.language_model import LanguageModel, Projection

_LEAST_ROWS, _MOST_ROWS = 64, 512
"""Positions whose logits exist at a time on a CPU: enough for matrix products that do not read the output matrix and
its gradient for the sake of a few of them, and few enough for the caches."""

_ELEMENTS_ON_CPU = 2**20
"""Logits that exist at a time: 4 MiB in fp32. Measured by benchmarks/bench_head.py."""

_ELEMENTS_ELSEWHERE = 2**25
"""128 MiB in fp32, so that kernels are long enough to keep a device busy."""

OnLogits = Callable[[slice, Tensor], None]
"""Is shown the logits [rows, vocab_size] of each block of positions, without gradient; they are overwritten later."""


def token_nats(
    model: LanguageModel,
    hidden: Tensor,
    targets: Tensor,
    *,
    ignored: int,
    predicted_share: float = 1.0,
    on_logits: OnLogits | None = None,
) -> Tensor:
    """Cross entropy in nats of the logits of `hidden` [..., d_model], summed over the `targets` [...] not `ignored`.

    The logits of all positions never exist at once where the model hands out its output matrix; a model with a
    function `logits` of its own is asked for them as they are. `predicted_share` below 1 says which share of the
    targets is not ignored on average: the others then get no logits, at the price of waiting for the device to know
    their number; tensors without data, on which FLOPs are counted, are taken to hold that share.
    `on_logits` numbers the positions that get logits.
    """
    flat, wanted = hidden.flatten(0, -2), targets.flatten()
    if predicted_share < 1.0:
        places = _predicted(wanted, ignored, predicted_share)
        flat, wanted = flat.index_select(0, places), wanted.index_select(0, places)
    if model.derives_logits:
        projection = model.output_weights()
        return projected_cross_entropy(
            model.before_output(flat), projection, wanted, ignored=ignored, on_logits=on_logits
        )
    logits = model.logits(flat)
    if on_logits is not None:
        on_logits(slice(0, len(wanted)), logits.detach())
    return summed_cross_entropy(logits, wanted, ignored=ignored)


def projected_cross_entropy(
    hidden: Tensor, projection: Projection, targets: Tensor, *, ignored: int, on_logits: OnLogits | None = None
) -> Tensor:
    """Cross entropy in nats of `projection` of `hidden`, summed over the `targets` not `ignored`: a scalar.

    `hidden` is [positions, width] in the type of the projection, `targets` [positions] int64. It is torch's
    `cross_entropy(linear(hidden, *projection), targets, reduction="sum")` up to rounding, with the softmax and all sums
    over positions in fp32 or wider. Logits are made for a block of positions at a time and become their own gradient,
    which goes into those of `hidden`, weight and bias at once (Hsu et al. 2024, Liger Kernel, arXiv 2410.10989, section
    3.2): [positions, vocab_size] is never held, and nothing is computed twice. Without gradient nothing of that is
    done. Raises RuntimeError for gradients of gradients, and for a second pass through one graph.
    """
    weight, bias = projection
    if torch.is_grad_enabled() and any(t.requires_grad for t in (hidden, weight, bias) if t is not None):
        total: Tensor = _GradientInForward.apply(hidden, weight, bias, targets, ignored, on_logits)  # type: ignore[no-untyped-call]
        return total
    nats = hidden.new_empty(len(targets), dtype=_exact(hidden))
    for rows, logits in _blocks(hidden, weight, bias, on_logits):
        nats[rows] = _Softmax(logits, targets[rows], ignored).nats
    return nats.sum()


class _GradientInForward(torch.autograd.Function):
    """The sum of the cross entropies; its gradients are made on the way and only scaled in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        ignored: int,
        on_logits: OnLogits | None,
    ) -> Tensor:
        of_hidden, of_weight, of_bias = ctx.needs_input_grad[:3]
        exact = _exact(hidden)
        nats = hidden.new_empty(len(targets), dtype=exact)
        hidden_gradient = torch.empty_like(hidden) if of_hidden else None
        weight_gradient = torch.zeros_like(weight, dtype=exact) if of_weight else None
        bias_gradient = torch.zeros_like(bias, dtype=exact) if of_bias and bias is not None else None
        for rows, logits in _blocks(hidden, weight, bias, on_logits):
            softmax = _Softmax(logits, targets[rows], ignored)
            nats[rows] = softmax.nats
            gradient = softmax.become_gradient()
            if bias_gradient is not None:
                bias_gradient += gradient.sum(0)
            gradient = gradient.to(hidden.dtype)
            if hidden_gradient is not None:
                torch.mm(gradient, weight, out=hidden_gradient[rows])
            if weight_gradient is not None:
                _add_product(weight_gradient, gradient.t(), hidden[rows])
        ctx.save_for_backward(hidden_gradient, weight_gradient, bias_gradient)
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return nats.sum()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "projected_cross_entropy has no gradients of gradients (create_graph=True);"
                " take torch's cross_entropy of the logits for those"
            )
        scaled = (
            # In place: autograd notices a second backward pass through the same graph, and refuses it.
            None if gradient is None else gradient.mul_(grads[0]).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return (*scaled, None, None, None)


class _Softmax:
    """The softmax of a block of logits [rows, classes], which it overwrites, and its cross entropy with targets."""

    def __init__(self, logits: Tensor, targets: Tensor, ignored: int) -> None:
        self._counted = (targets != ignored)[:, None]
        self._places = targets[:, None].masked_fill(~self._counted, 0)
        own = logits.gather(1, self._places)
        largest = logits.amax(dim=-1, keepdim=True)
        self._exponentials = logits.sub_(largest).exp_()
        self._sums = self._exponentials.sum(dim=-1, keepdim=True)
        self.nats = (largest + self._sums.log() - own).masked_fill_(~self._counted, 0.0)[:, 0]
        """Of each row; 0 where the target is ignored."""

    def become_gradient(self) -> Tensor:
        """softmax - one_hot(target), the gradient of the sum of `nats`, in place of the logits; 0 in ignored rows."""
        counted = self._counted.to(self._sums.dtype)
        return self._exponentials.mul_(counted / self._sums).scatter_add_(1, self._places, -counted)


def block_rows(vocab_size: int, device_type: str) -> int:
    """How many positions' logits exist at a time on a device of this type."""
    if device_type == "cpu":
        return max(_LEAST_ROWS, min(_MOST_ROWS, _ELEMENTS_ON_CPU // vocab_size))
    return max(_LEAST_ROWS, _ELEMENTS_ELSEWHERE // vocab_size)


def _blocks(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, on_logits: OnLogits | None
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of positions with their logits in fp32 or wider, which each block may overwrite."""
    positions, vocab_size = len(hidden), len(weight)
    # Tensors without data fill no cache: counted in one block, the same products take a fraction of the time.
    rows = positions if isinstance(hidden, FakeTensor) else block_rows(vocab_size, hidden.device.type)
    held = hidden.new_empty(min(rows, positions), vocab_size)
    for first in range(0, positions, rows):
        block = slice(first, min(first + rows, positions))
        logits = held[: block.stop - block.start]
        if bias is None:
            torch.mm(hidden[block], weight.t(), out=logits)
        else:
            torch.addmm(bias, hidden[block], weight.t(), out=logits)
        if on_logits is not None:
            on_logits(block, logits)
        yield block, logits.to(_exact(logits))


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Adds left @ right to `total`, which may be of a wider type."""
    if total.dtype == left.dtype:
        torch.addmm(total, left, right, out=total)
    else:
        total += left @ right


def _exact(tensor: Tensor) -> torch.dtype:
    """The type in which a softmax over `tensor` is computed."""
    return torch.promote_types(tensor.dtype, torch.float32)


def _predicted(targets: Tensor, ignored: int, share: float) -> Tensor:
    """Places of the targets that are not ignored."""
    if isinstance(targets, FakeTensor):
        return torch.arange(round(share * len(targets)), device=targets.device)
    return (targets != ignored).nonzero()[:, 0]


def summed_cross_entropy(logits: Tensor, targets: Tensor, *, ignored: int) -> Tensor:
    """Cross entropy in nats, summed over the targets that are not `ignored`: a scalar in fp32 or wider.

    `logits` are [positions, vocab_size] of any floating type, `targets` [positions] int64. It is torch's
    `cross_entropy(reduction="sum")` up to rounding. On a CPU the softmax is computed once, in the forward pass, and
    becomes the gradient in place. Gradients of gradients are refused there. Objectives ask `token_nats`, which comes
    here where a model makes its logits in a way of its own.
    """
    exact = logits.to(_exact(logits))
    if logits.device.type == "cpu" and torch.is_grad_enabled() and logits.requires_grad:
        total: Tensor = _SoftmaxOnce.apply(exact, targets, ignored)  # type: ignore[no-untyped-call]
        return total
    return cross_entropy(exact, targets, ignore_index=ignored, reduction="sum")


class _SoftmaxOnce(torch.autograd.Function):
    """Keeps softmax - one_hot(target), which is the gradient of the sum, in place of the log-softmax."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, ignored: int) -> Tensor:
        softmax = _Softmax(logits.clone(), targets, ignored)
        ctx.save_for_backward(softmax.become_gradient())
        return softmax.nats.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        # In place: autograd notices a second backward pass through the same graph, and refuses it.
        return gradient.mul_(grads[0]), None, None
