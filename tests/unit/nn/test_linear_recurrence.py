"""The chunked recurrence against the recurrence itself, token by token."""

import pytest
import torch
from torch import Tensor

from archbench.flops.counter import measured_flops
from archbench.nn.costs import recurrence_flops
from archbench.nn.linear_recurrence import chunked_recurrence

ROWS, HEADS, LENGTH, KEY, VALUE = 2, 3, 24, 5, 7


def inputs(length: int = LENGTH) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(ROWS, HEADS, length, *shape, generator=generator, dtype=torch.float64, requires_grad=True)

    return draw(KEY), draw(KEY), draw(VALUE), draw()


def step_by_step(queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor | None) -> Tensor:
    state = queries.new_zeros(ROWS, HEADS, KEY, VALUE)
    outputs = []
    for place in range(queries.shape[2]):
        if log_decay is not None:
            state = state * log_decay[:, :, place, None, None].exp()
        state = state + keys[:, :, place, :, None] * values[:, :, place, None, :]
        outputs.append((queries[:, :, place, :, None] * state).sum(dim=2))
    return torch.stack(outputs, dim=2)


@pytest.mark.parametrize("chunk_size", [1, 8, 10, 24, 64])
@pytest.mark.parametrize("fades", [True, False])
def test_outputs_and_gradients_are_those_of_the_recurrence(chunk_size: int, fades: bool) -> None:
    queries, keys, values, raw = inputs()
    log_decay = torch.nn.functional.logsigmoid(raw) if fades else None
    got = chunked_recurrence(queries, keys, values, log_decay, chunk_size=chunk_size)
    expected = step_by_step(queries, keys, values, log_decay)
    # Decays are summed in fp32, whatever the precision of the rest.
    tolerance = 1e-5 if fades else 1e-10
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)
    wanted = (queries, keys, values, raw) if fades else (queries, keys, values)
    weighting = torch.randn(got.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = [torch.autograd.grad((one * weighting).sum(), wanted, retain_graph=True) for one in (got, expected)]
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=tolerance, rtol=tolerance)


def test_a_decay_that_underflows_leaves_no_number_that_is_not_finite() -> None:
    queries, keys, values, _ = inputs()
    log_decay = torch.full((ROWS, HEADS, LENGTH), -200.0, dtype=torch.float64, requires_grad=True)
    got = chunked_recurrence(queries, keys, values, log_decay, chunk_size=8)
    # Nothing of the past is left: each position sees itself alone.
    torch.testing.assert_close(got, (queries * keys).sum(-1, keepdim=True) * values, atol=1e-9, rtol=1e-9)
    gradients = torch.autograd.grad(got.sum(), (queries, keys, values, log_decay))
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("chunk_size", [8, 10, 24, 64])
def test_the_formula_of_its_cost_is_what_the_counter_sees_forward_and_backward(chunk_size: int) -> None:
    queries, keys, values, _ = inputs()
    formula = recurrence_flops(seq_len=LENGTH, chunk_size=chunk_size, num_heads=HEADS, key_width=KEY, value_width=VALUE)
    forward = measured_flops(lambda: chunked_recurrence(queries, keys, values, chunk_size=chunk_size))
    assert forward == pytest.approx(formula * ROWS * LENGTH)
    step = measured_flops(lambda: chunked_recurrence(queries, keys, values, chunk_size=chunk_size).sum().backward())
    assert step == pytest.approx(3.0 * formula * ROWS * LENGTH)
