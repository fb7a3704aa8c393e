"""torch's counter, in the way archbench uses it."""

import torch
from torch import Tensor, nn
from torch.nn.functional import grouped_mm, scaled_dot_product_attention

from archbench.flops.counter import FlopsByName, measured_flops


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


def test_a_product_by_groups_costs_what_the_rows_cost_one_by_one() -> None:
    rows, matrices = torch.ones(16, 8, requires_grad=True), torch.ones(4, 8, 24, requires_grad=True)
    ends = torch.tensor([4, 4, 12, 16], dtype=torch.int32)

    def product() -> Tensor:
        return grouped_mm(rows, matrices, offs=ends)

    assert measured_flops(product) == 2 * 16 * 8 * 24
    assert measured_flops(lambda: product().square().sum().backward()) == 3 * 2 * 16 * 8 * 24


def test_work_is_told_apart_by_the_name_that_was_entered_last() -> None:
    by_name, square = FlopsByName(), torch.ones(4, 4)

    def work() -> None:
        _ = square @ square
        with by_name.named("outer"):
            _ = square @ square
            with by_name.named("inner"):
                _ = square @ square @ square

    assert measured_flops(work, by_name) == 4 * 128
    assert by_name.flops == {"other": 128, "outer": 128, "inner": 256}
