"""The measured peak of a device."""

import pytest
import torch

from archbench.flops.peaks import measured_matmul_peak


def test_peak_of_a_cpu_is_a_plausible_rate_and_is_measured_once() -> None:
    peak = measured_matmul_peak("cpu", torch.float32)
    # From a single emulated core to a large server.
    assert 1e8 < peak < 1e14
    assert measured_matmul_peak("cpu", torch.float32) == peak


def test_a_dtype_that_cannot_be_multiplied_is_refused() -> None:
    with pytest.raises(RuntimeError):
        measured_matmul_peak("cpu", torch.bool)
