"""What the hardware at hand can do at best, for model FLOP utilisation."""

import statistics
import time
from functools import lru_cache

import torch

_SECONDS = 0.1
_REPEATS = 5


@lru_cache
def measured_matmul_peak(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a large square matrix product on `device` (`cpu`, `cuda`, `cuda:1`) in `dtype`.

    The median of five timings of about 0.1 s in all, with torch's present number of threads; measured once per
    process. It is what a well-shaped product reaches here, not the vendor's figure. Raises RuntimeError where torch
    cannot use the device or multiply in `dtype` on it.
    """
    target = torch.device(device)
    edge = 8192 if target.type == "cuda" else 1024
    generator = torch.Generator(device=target).manual_seed(0)
    left, right = (torch.randn(edge, edge, device=target, generator=generator).to(dtype) for _ in range(2))
    product_flops = 2.0 * edge**3
    _seconds(left, right, times=1)
    times = max(1, round(_SECONDS / _REPEATS / max(_seconds(left, right, times=1), 1e-9)))
    return product_flops * times / statistics.median(_seconds(left, right, times=times) for _ in range(_REPEATS))


def _seconds(left: torch.Tensor, right: torch.Tensor, *, times: int) -> float:
    """Wall-clock seconds of `times` products, until the device has finished them."""
    if left.device.type == "cuda":
        torch.cuda.synchronize(left.device)
    start = time.perf_counter()
    for _ in range(times):
        torch.mm(left, right)
    if left.device.type == "cuda":
        torch.cuda.synchronize(left.device)
    return time.perf_counter() - start
