"""Seconds in training steps: those that pass, and those of the processor."""

import time
from typing import Any

import torch

from archbench.results.runs import RunState
from archbench.runs.records import read_record
from archbench.training.measurement import Stopwatch

CPU = torch.device("cpu")


def work(seconds: float) -> None:
    """Keeps the processor busy."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_sleep_passes_time_and_takes_no_processor_time() -> None:
    clock = Stopwatch(CPU)
    clock.start()
    time.sleep(0.2)
    clock.stop()
    assert clock.seconds >= 0.2
    assert clock.processor_seconds is not None
    assert clock.processor_seconds < 0.1


def test_work_while_the_watch_stands_still_is_not_counted() -> None:
    clock = Stopwatch(CPU, processor_seconds=1.0)
    clock.start()
    work(0.1)
    with clock.paused():
        work(0.3)
    clock.stop()
    work(0.3)
    assert clock.processor_seconds is not None
    assert 1.1 <= clock.processor_seconds < 1.3


def test_what_an_earlier_attempt_did_not_count_stays_unknown() -> None:
    clock = Stopwatch(CPU, processor_seconds=None)
    clock.start()
    work(0.01)
    clock.stop()
    assert clock.processor_seconds is None


def test_a_run_records_the_processor_seconds_of_its_training_steps(plan: Any, train_to_end: Any) -> None:
    directory = plan()
    assert train_to_end(directory).state is RunState.DONE
    timings = read_record(directory, contender="x", size_index=0).details["timings"]
    # One process and one thread: what it worked passed too, but for the clocks' own steps of a few milliseconds.
    assert 0.0 < timings["processor_seconds"] <= timings["training_seconds"] + 0.05
