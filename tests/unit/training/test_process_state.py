"""What a plug-in changes in a process that other runs share is found; what every run changes is not."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from archbench.training.process_state import changes, global_functions, process_state


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    dtype, precision, gelu, folder = (
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.nn.functional.gelu,
        Path.cwd(),
    )
    yield
    torch.set_default_dtype(dtype)
    torch.set_float32_matmul_precision(precision)
    torch.set_flush_denormal(False)
    torch.set_grad_enabled(True)
    torch.nn.functional.gelu = gelu
    os.environ.pop("A_NEW_ONE", None)
    os.chdir(folder)


def found_after(work: Callable[[], object]) -> list[str]:
    before = process_state() | global_functions()
    work()
    return changes(before, process_state() | global_functions())


def test_training_as_every_run_does_changes_nothing() -> None:
    def work() -> None:
        torch.manual_seed(1)
        np.random.seed(1)
        torch.set_num_threads(torch.get_num_threads())
        layer = torch.nn.Linear(3, 3)
        layer(torch.ones(2, 3)).sum().backward()  # type: ignore[no-untyped-call]

    assert found_after(work) == []


def test_each_change_is_found_by_name() -> None:
    def replaced() -> None:
        torch.nn.functional.gelu = torch.nn.functional.relu

    assert found_after(lambda: torch.set_default_dtype(torch.float64)) == ["torch's default dtype"]
    assert found_after(lambda: torch.set_float32_matmul_precision("medium")) == ["torch's matmul precision"]
    assert found_after(lambda: torch.set_grad_enabled(False)) == ["torch's grad mode"]
    assert found_after(lambda: os.environ.update(A_NEW_ONE="1")) == ["the environment"]
    assert found_after(lambda: os.chdir("/")) == ["the working directory"]
    assert found_after(replaced) == ["torch.nn.functional.gelu"]


def test_tiny_numbers_that_become_zero_are_found() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    torch.set_flush_denormal(False)
    assert found_after(lambda: torch.set_flush_denormal(True)) == ["torch's treatment of tiny numbers"]


def test_thread_that_goes_on_is_found() -> None:
    end = threading.Event()
    assert found_after(lambda: threading.Thread(target=end.wait, daemon=True).start()) == ["a thread that goes on"]
    end.set()
