"""Decays between the positions of a chunk."""

import torch

from archbench.nn.chunks import decays_between


def test_decays_and_their_gradient_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    passed = -torch.rand(2, 3, 5, dtype=torch.float64).cumsum(-1).requires_grad_()
    decays = decays_between(passed)
    expected = (passed[..., :, None] - passed[..., None, :]).exp().tril()
    torch.testing.assert_close(decays, expected)
    torch.testing.assert_close(
        *(torch.autograd.grad(one.pow(3).sum(), passed, retain_graph=True) for one in (decays, expected))
    )
    assert torch.autograd.gradcheck(decays_between, (passed.detach().requires_grad_(),))


def test_a_long_chunk_overflows_nowhere() -> None:
    """The decay to a later position, which is not used, would be e^200."""
    passed = -torch.arange(0.0, 400.0, 2.0)[None].requires_grad_()
    decays = decays_between(passed)
    (gradient,) = torch.autograd.grad(decays.sum(), passed)
    assert decays.isfinite().all()
    assert gradient.isfinite().all()
