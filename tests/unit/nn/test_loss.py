"""The loss of token predictions."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from archbench.nn.loss import summed_cross_entropy

IGNORED = -100


def logits_and_targets(dtype: torch.dtype = torch.float32, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = (scale * torch.randn(24, 50, generator=generator)).to(dtype).requires_grad_()
    targets = torch.randint(50, (24,), generator=generator)
    targets[::5] = IGNORED
    return logits, targets


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(torch.float32, 1.0), (torch.float32, 300.0), (torch.float64, 1.0), (torch.bfloat16, 1.0)],
)
def test_value_and_gradient_are_torchs(dtype: torch.dtype, scale: float) -> None:
    """With a scale of 300 most probabilities are too small for a float, and their logarithms are not."""
    logits, targets = logits_and_targets(dtype, scale)
    total = summed_cross_entropy(logits, targets, ignored=IGNORED)
    (gradient,) = torch.autograd.grad(3.0 * total, logits)
    wide = logits if dtype is torch.float64 else logits.float()
    expected = cross_entropy(wide, targets, ignore_index=IGNORED, reduction="sum")
    (expected_gradient,) = torch.autograd.grad(3.0 * expected, logits)
    assert total.dtype is expected.dtype
    # Rounding of one exponential and of sums in another order; bf16 gradients are rounded to 8 bits at the end.
    torch.testing.assert_close(total, expected, rtol=2e-6, atol=0.0)
    torch.testing.assert_close(gradient, expected_gradient)


def test_value_is_the_same_without_gradient() -> None:
    logits, targets = logits_and_targets()
    with torch.no_grad():
        expected = summed_cross_entropy(logits, targets, ignored=IGNORED)
    torch.testing.assert_close(summed_cross_entropy(logits, targets, ignored=IGNORED).detach(), expected)


def test_ignored_targets_count_nothing_and_pull_nowhere() -> None:
    logits, targets = logits_and_targets()
    targets.fill_(IGNORED)
    total = summed_cross_entropy(logits, targets, ignored=IGNORED)
    (gradient,) = torch.autograd.grad(total, logits)
    assert total.item() == 0.0
    assert not gradient.any()


def test_logits_that_are_no_numbers_give_no_number() -> None:
    logits, targets = logits_and_targets()
    broken = torch.where(torch.arange(50) == 7, float("nan"), logits)
    assert summed_cross_entropy(broken, targets, ignored=IGNORED).isnan()


def test_a_second_backward_pass_is_refused() -> None:
    """The gradient is made in place: a second pass must not scale it again in silence."""
    logits, targets = logits_and_targets()
    total = summed_cross_entropy(logits, targets, ignored=IGNORED)
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()
