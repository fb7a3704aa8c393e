"""GELU by a sigmoid: the numbers of torch's by tanh."""

import torch
from torch.nn.functional import gelu

from archbench.nn.gelu import GeluTanh


def test_gelu_and_its_slope_are_torchs() -> None:
    x = torch.linspace(-12.0, 12.0, 4099).requires_grad_()
    activated = GeluTanh()(x)
    (slope,) = torch.autograd.grad(activated.sum(), x)
    wide = x.detach().double().requires_grad_()
    exact = gelu(wide, approximate="tanh")
    (exact_slope,) = torch.autograd.grad(exact.sum(), wide)
    # Some units in the last place of values up to 12.
    torch.testing.assert_close(activated, exact.float(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(slope, exact_slope.float(), rtol=0.0, atol=5e-6)


def test_gradient_is_that_of_the_function() -> None:
    x = torch.linspace(-4.0, 4.0, 33, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(GeluTanh(), (x,))


def test_far_from_zero_it_is_the_identity_or_zero() -> None:
    x = torch.tensor([-1e10, -200.0, -30.0, 0.0, 30.0, 200.0, 1e10, float("nan")], requires_grad=True)
    activated = GeluTanh()(x)
    torch.testing.assert_close(activated, gelu(x, approximate="tanh"), equal_nan=True, rtol=0.0, atol=1e-20)
    (slope,) = torch.autograd.grad(activated[:-1].sum(), x)
    assert slope[:-1].tolist() == [0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0]


def test_in_bfloat16_it_is_torchs_own() -> None:
    x = torch.linspace(-3.0, 3.0, 64, dtype=torch.bfloat16)
    assert torch.equal(GeluTanh()(x), gelu(x, approximate="tanh"))
