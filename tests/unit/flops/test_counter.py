"""torch's counter, in the way archbench uses it."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from archbench.flops.counter import measured_flops


def test_a_matrix_product_costs_two_flops_per_multiply_add() -> None:
    left, right = torch.ones(3, 5), torch.ones(5, 7)
    assert measured_flops(lambda: left @ right) == 2 * 3 * 5 * 7


def test_fused_attention_on_a_cpu_is_seen_and_counted_over_the_full_context() -> None:
    query = torch.ones(2, 3, 16, 8)
    both_products = 2 * (2 * 2 * 3 * 16 * 16 * 8)
    assert measured_flops(lambda: scaled_dot_product_attention(query, query, query)) == both_products
    assert measured_flops(lambda: scaled_dot_product_attention(query, query, query, is_causal=True)) == both_products


def test_backward_costs_twice_forward() -> None:
    layer, inputs = nn.Linear(8, 8), torch.ones(4, 8, requires_grad=True)
    forward = measured_flops(lambda: layer(inputs))
    assert measured_flops(lambda: layer(inputs).sum().backward()) == 3 * forward


class Recomputed(torch.autograd.Function):
    """A layer that keeps no activations and runs itself again in backward, as reversible blocks do."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, inputs: Tensor, layer: nn.Module) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.layer = layer  # type: ignore[attr-defined]
        with torch.no_grad():
            return layer(inputs)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, None]:  # type: ignore[override]
        inputs = ctx.saved_tensors[0].detach().requires_grad_()  # type: ignore[attr-defined]
        with torch.enable_grad():
            ctx.layer(inputs).backward(gradient)  # type: ignore[attr-defined]
        return inputs.grad, None


def test_recomputation_in_backward_is_counted() -> None:
    layer, inputs = nn.Sequential(nn.Linear(8, 8)), torch.ones(4, 8, requires_grad=True)
    forward = measured_flops(lambda: layer(inputs))

    def step() -> None:
        Recomputed.apply(inputs, layer).sum().backward()

    assert measured_flops(step) == 4 * forward


def test_a_triangular_solve_counts_as_the_product_with_the_inverse_and_twice_that_backward() -> None:
    matrix = (torch.eye(6) + torch.ones(6, 6).tril(-1)).expand(3, 6, 6).clone().requires_grad_()
    right = torch.ones(3, 6, 4, requires_grad=True)

    def solve() -> Tensor:
        return torch.linalg.solve_triangular(matrix, right, upper=False, unitriangular=True)

    assert measured_flops(solve) == 2 * 3 * 6 * 6 * 4
    assert measured_flops(lambda: solve().sum().backward()) == 3 * (2 * 3 * 6 * 6 * 4)
