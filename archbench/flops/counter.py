"""Counts the FLOPs that torch really dispatches, to check analytic counts against."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count


class _NoModules:
    """Stands in for torch's module tracker, whose hooks fail where a reversible block runs its layers in backward."""

    @property
    def parents(self) -> frozenset[str]:
        """Under which names torch's counter adds what it sees."""
        return frozenset({"Global"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        return None


class FlopsByName(_NoModules):
    """FLOPs by the names that are entered and left while work is counted."""

    def __init__(self) -> None:
        self.flops: dict[str, float] = {}
        """By name; `other` where none was entered."""
        self._names: list[str] = []

    @property
    def parents(self) -> frozenset[str]:
        """The name that was entered last."""
        return frozenset({"Global", self._names[-1] if self._names else "other"})

    def enter(self, name: str) -> None:
        """What follows is `name`'s, until another is entered."""
        self._names.append(name)

    def leave(self) -> None:
        """What follows is no longer that of the name entered last."""
        self._names.pop()

    @contextmanager
    def named(self, name: str) -> Iterator[None]:
        """Within, work is `name`'s."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()


def _convolution_backward_flops(
    grad_out_shape: list[int], x_shape: list[int], w_shape: list[int], *arguments: Any, **_unused: Any
) -> int:
    """Once the forward pass for each gradient that is asked for, that of the input and that of the weights.

    torch's own formula takes every channel of a grouped convolution for connected with every other in the gradient of
    the weights, and counts a depthwise convolution as many times too high as it has channels.
    """
    *_, transposed, _output_padding, _groups, wanted = arguments
    return conv_flop_count(x_shape, w_shape, grad_out_shape, transposed) * (int(wanted[0]) + int(wanted[1]))


def _triangular_solve_flops(matrix_shape: Sequence[int], right_shape: Sequence[int], **_unused: Any) -> int:
    """As the product with the inverse: the whole square, as masked attention scores count; torch counts nothing."""
    return 2 * math.prod(right_shape) * matrix_shape[-1]


def _grouped_product_flops(left_shape: Sequence[int], right_shape: Sequence[int], *_: Any, **_unused: Any) -> int:
    """Of rows that are each multiplied with the matrix of their group, or of the gradients of these matrices."""
    rows, inner = left_shape[-2:]
    return 2 * rows * inner * right_shape[-1]


_FORMULAS = {
    torch.ops.aten._grouped_mm: _grouped_product_flops,
    torch.ops.aten.convolution_backward: _convolution_backward_flops,
    torch.ops.aten.linalg_solve_triangular: _triangular_solve_flops,
}
"""What torch's counter gets wrong or does not know."""


def measured_flops(work: Callable[[], object], by_name: FlopsByName | None = None) -> float:
    """FLOPs of the matrix products, convolutions and triangular solves of `work()`; a multiply-add counts as two.

    Backward passes and recomputation inside `work` are counted. Element-wise work, sorting and gathering count as zero.
    `scaled_dot_product_attention` runs as plain matrix products meanwhile: torch's counter does not see the fused
    kernel of a CPU, and on CUDA counts the recomputation that only a fused kernel does. `by_name` is given them apart,
    by the names that `work` enters.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_FORMULAS)
    counter.mod_tracker = _NoModules() if by_name is None else by_name  # type: ignore[assignment]
    with sdpa_kernel(SDPBackend.MATH), counter:
        work()
    if by_name is not None:
        counts = {name: float(sum(seen.values())) for name, seen in counter.get_flop_counts().items()}
        by_name.flops = {name: flops for name, flops in counts.items() if name != "Global" and flops}
    return float(counter.get_total_flops())
