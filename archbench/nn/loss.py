"""The loss of objectives that predict tokens."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy


def summed_cross_entropy(logits: Tensor, targets: Tensor, *, ignored: int) -> Tensor:
    """Cross entropy in nats, summed over the targets that are not `ignored`: a scalar in fp32 or wider.

    `logits` are [positions, vocab_size] of any floating type, `targets` [positions] int64. It is torch's
    `cross_entropy(reduction="sum")` up to rounding. On a CPU it takes half the time in training, where small models
    spend a tenth of a step on their logits: the softmax is computed once, in the forward pass, and becomes the
    gradient in place. Gradients of gradients are refused there.
    """
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if logits.device.type == "cpu" and torch.is_grad_enabled() and logits.requires_grad:
        total: Tensor = _SoftmaxOnce.apply(exact, targets, ignored)  # type: ignore[no-untyped-call]
        return total
    return cross_entropy(exact, targets, ignore_index=ignored, reduction="sum")


class _SoftmaxOnce(torch.autograd.Function):
    """Keeps softmax - one_hot(target), which is the gradient of the sum, in place of the log-softmax."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, ignored: int) -> Tensor:
        counted = targets != ignored
        places = targets.masked_fill(~counted, 0)[:, None]
        gradient = logits.softmax(dim=-1)
        # The largest probability is exp(largest logit - log of the sum), and never zero as others may be.
        log_sum = logits.amax(dim=-1) - gradient.amax(dim=-1).log()
        nats = (log_sum - logits.gather(1, places)[:, 0]).masked_fill_(~counted, 0.0).sum()
        gradient.scatter_add_(1, places, gradient.new_full((1, 1), -1.0).expand_as(places))
        ctx.save_for_backward(gradient, counted)
        return nats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        gradient, counted = ctx.saved_tensors
        # In place: autograd notices a second backward pass through the same graph, and refuses it.
        return gradient.mul_((grads[0] * counted)[:, None]), None, None
