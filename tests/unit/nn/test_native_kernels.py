"""The native kernels: the numbers of torch's own, for any shape, layout and number of threads."""

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, scaled_dot_product_attention

from archbench.nn.attention import attend
from archbench.nn.gelu import GeluTanh
from archbench.nn.loss import summed_cross_entropy
from archbench.nn.native import build as building
from archbench.nn.native.switch import allow_native_kernels, native_kernels_for

needs_compiler = pytest.mark.skipif(building.find_compiler() is None, reason="no C++ compiler here")


@pytest.fixture(autouse=True)
def allowed() -> Iterator[None]:
    allow_native_kernels(True)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    allow_native_kernels(True)


def heads(*sizes: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Queries, keys and values [B, H, T, E] as models make them: views of [B, T, H, E]."""
    rows, num_heads, num_queries, num_keys, width = sizes
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(rows, length, num_heads, width, generator=generator).transpose(1, 2).requires_grad_()
        for length in (num_queries, num_keys, num_keys)
    )


@needs_compiler
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    "sizes",
    [
        (2, 3, 64, 64, 7),
        (1, 2, 37, 37, 5),
        (2, 1, 128, 128, 33),
        (1, 1, 8, 8, 1),
        (1, 2, 1, 1, 16),
        (1, 1, 45, 45, 128),
    ],
)
def test_attention_and_its_gradients_are_torchs(sizes: tuple[int, ...], causal: bool) -> None:
    inputs = heads(*sizes)
    scale = sizes[-1] ** -0.5
    assert native_kernels_for(*inputs) is not None
    mixed = attend(*inputs, causal=causal, scale=scale)
    exact = scaled_dot_product_attention(*(tensor.double() for tensor in inputs), is_causal=causal, scale=scale)
    above = torch.randn(mixed.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(mixed, inputs, above)
    expected = torch.autograd.grad(exact.transpose(1, 2), inputs, above.double())
    # fp32 against fp64: rounding of sums of up to 128 terms near one.
    torch.testing.assert_close(mixed, exact.transpose(1, 2).float(), rtol=1e-5, atol=2e-6)
    for got, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


@needs_compiler
def test_last_query_sees_all_keys_where_there_are_more_of_them() -> None:
    inputs = heads(1, 2, 5, 21, 6)
    mask = torch.ones(5, 21, dtype=torch.bool).tril(16)
    expected = scaled_dot_product_attention(*inputs, attn_mask=mask, scale=0.3).transpose(1, 2)
    torch.testing.assert_close(attend(*inputs, causal=True, scale=0.3), expected)


@needs_compiler
def test_hidden_keys_have_no_influence_at_all() -> None:
    queries, keys, values = heads(1, 2, 40, 40, 9)
    mixed = attend(queries, keys, values, causal=True, scale=1.0)
    gradients = torch.autograd.grad(mixed[:, :20].sum(), (keys, values))
    assert all(not gradient[:, :, 20:].any() for gradient in gradients)
    assert all(gradient[:, :, :20].any() for gradient in gradients)


@needs_compiler
def test_what_is_no_number_stays_none() -> None:
    queries, keys, values = (tensor.detach() for tensor in heads(1, 1, 16, 16, 8))
    keys[0, 0, 3, 2] = float("nan")
    mixed = attend(queries, keys, values, causal=True, scale=1.0)
    assert not mixed[0, :3].isnan().any()
    assert mixed[0, 3:].isnan().all()


@needs_compiler
def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    inputs = heads(3, 4, 50, 50, 12)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        mixed = attend(*inputs, causal=True, scale=0.3)
        results.append((mixed, *torch.autograd.grad(mixed.square().sum(), inputs)))
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


@needs_compiler
def test_gelu_and_its_slope_are_torchs() -> None:
    x = torch.linspace(-12.0, 12.0, 4096).requires_grad_()
    activated = GeluTanh()(x)
    (slope,) = torch.autograd.grad(activated.sum(), x)
    wide = x.detach().double().requires_grad_()
    exact = gelu(wide, approximate="tanh")
    (exact_slope,) = torch.autograd.grad(exact.sum(), wide)
    # Some units in the last place of values up to 12.
    torch.testing.assert_close(activated, exact.float(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(slope, exact_slope.float(), rtol=0.0, atol=5e-6)


@needs_compiler
def test_gelu_far_from_zero_is_the_identity_or_zero() -> None:
    x = torch.tensor([-1e10, -200.0, -30.0, 0.0, 30.0, 200.0, 1e10, float("nan")])
    activated = GeluTanh()(x)
    torch.testing.assert_close(activated, gelu(x, approximate="tanh"), equal_nan=True, rtol=0.0, atol=1e-20)


@needs_compiler
def test_target_that_is_no_class_is_refused() -> None:
    logits = torch.zeros(4, 10, requires_grad=True)
    with pytest.raises(IndexError, match=r"1 targets are not in \[0, 10\)"):
        summed_cross_entropy(logits, torch.tensor([0, 9, 10, -100]), ignored=-100)


def test_torch_does_the_work_where_the_kernels_may_not() -> None:
    inputs = heads(1, 2, 16, 16, 4)
    allow_native_kernels(False)
    mixed = attend(*inputs, causal=True, scale=0.5)
    assert torch.equal(mixed, scaled_dot_product_attention(*inputs, is_causal=True, scale=0.5).transpose(1, 2))
    allow_native_kernels(True)
    assert native_kernels_for(*(tensor.double() for tensor in inputs)) is None
    with torch.autocast("cpu"):
        assert native_kernels_for(*inputs) is None


@needs_compiler
def test_kernels_are_built_once(tmp_path: Path) -> None:
    compiler = building.find_compiler()
    assert compiler is not None
    first = building.build(compiler, tmp_path)
    built_at = first.stat().st_mtime_ns
    assert building.build(compiler, tmp_path) == first
    assert first.stat().st_mtime_ns == built_at
    assert list(tmp_path.iterdir()) == [first]


@pytest.mark.parametrize("compiler", ["", "exit 1", "echo broken 1>&2; exit 2"])
def test_machine_without_a_working_compiler_uses_torch(
    compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log, and no failure."""
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", str(tmp_path / "compiler"))
    if compiler:
        script = tmp_path / "compiler"
        script.write_text(f"#!/bin/sh\n{compiler}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with caplog.at_level(logging.INFO):
        assert building.kernels.__wrapped__() is None
    (line,) = caplog.messages
    assert "torch's own" in line
    assert "\n" not in line
