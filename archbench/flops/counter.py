"""Counts the FLOPs that torch really dispatches, to check analytic counts against."""

from collections.abc import Callable
from types import TracebackType

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


class _NoModules:
    """Stands in for torch's module tracker, whose hooks fail where a reversible block runs its layers in backward."""

    parents = frozenset({"Global"})

    def __enter__(self) -> "_NoModules":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        return None


def measured_flops(work: Callable[[], object]) -> float:
    """FLOPs of the matrix products and convolutions that `work()` dispatches; a multiply-add counts as two.

    Backward passes and recomputation inside `work` are counted. Element-wise work, sorting and gathering count as zero.
    `scaled_dot_product_attention` runs as plain matrix products meanwhile: torch's counter does not see the fused
    kernel of a CPU, and on CUDA counts the recomputation that only a fused kernel does.
    """
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()  # type: ignore[assignment]
    with sdpa_kernel(SDPBackend.MATH), counter:
        work()
    return float(counter.get_total_flops())
