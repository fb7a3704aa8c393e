"""Time of a training step per token: what runs measured, and the ratio of two contenders at models of one rung.

Legend: t seconds per token of one run; sigma the standard deviation of ln t among runs of one contender and rung.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from archbench.results.fits import Interval
from archbench.results.runs import RunRecord
from archbench.studies.decomposition.results import SizeSeconds

_Cell = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Timing:
    """What the runs of several contenders took per token."""

    clock: str
    """`processor`: processor time of the process that trained, which other work on the machine hardly changes; it was
    measured for all runs, and all trained on a CPU. `device`: time that passed in training steps. `none`: neither."""
    seconds: Mapping[_Cell, tuple[float, ...]]
    """(contender, rung) -> seconds per token of each run."""
    sizes: Mapping[_Cell, tuple[int, float]]
    """(contender, rung) -> parameters without embeddings, and executed FLOPs per token."""

    @property
    def noise(self) -> tuple[float, int]:
        """sigma and its degrees of freedom, pooled over contenders and rungs with several runs; (nan, 0) without."""
        groups = [np.log(ones) for ones in self.seconds.values() if len(ones) > 1]
        freedom = sum(len(group) - 1 for group in groups)
        if not freedom:
            return float("nan"), 0
        squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups)
        return float(np.sqrt(squares / freedom)), freedom

    def table(self, order: Sequence[str]) -> tuple[SizeSeconds, ...]:
        """One row for each contender and rung."""
        cells = sorted(self.seconds, key=lambda cell: (list(order).index(cell[0]), cell[1]))
        return tuple(
            SizeSeconds(
                contender=cell[0],
                size_index=cell[1],
                non_embedding_params=self.sizes[cell][0],
                runs=len(self.seconds[cell]),
                seconds_per_token=float(np.exp(np.mean(np.log(self.seconds[cell])))),
                exact_flops_per_token=self.sizes[cell][1],
            )
            for cell in cells
        )


def measured_timing(records: Sequence[RunRecord]) -> Timing:
    """The time per token of every usable run of `records`, all by one clock."""
    usable = [record for record in records if record.usable and record.curve[-1].tokens > 0]
    processor = {record.run_id: _processor_seconds(record) for record in usable}
    device = {record.run_id: record.curve[-1].device_seconds for record in usable}
    clock, taken = "none", dict[str, float | None]()
    if usable and all(processor.values()):
        clock, taken = "processor", processor
    elif any(device.values()):
        clock, taken = "device", device
    seconds: dict[_Cell, list[float]] = {}
    sizes: dict[_Cell, tuple[int, float]] = {}
    for record in usable:
        last = record.curve[-1]
        if spent := taken.get(record.run_id):
            cell = (record.contender, record.size_index)
            seconds.setdefault(cell, []).append(spent / last.tokens)
            sizes[cell] = (record.non_embedding_params, last.exact_flops / last.tokens)
    return Timing(clock, {cell: tuple(ones) for cell, ones in seconds.items()}, sizes)


def _processor_seconds(record: RunRecord) -> float | None:
    """Of a run that trained on a CPU in one process; None where they were not measured."""
    timings = record.details.get("timings") or {}
    alone_on_cpu = (timings.get("hardware") or {}).get("device") == "cpu" and timings.get("nproc") == 1
    seconds = timings.get("processor_seconds")
    return float(seconds) if alone_on_cpu and seconds else None


def seconds_effect(timing: Timing, before: str, after: str) -> tuple[Interval, float | None, str] | None:
    """The ratio t_before/t_after with its p-value for 1, and what to mind; None where the two share no rung.

    It is the geometric mean over the rungs that both have. The interval is that of a mean of normal ln t (Student's t):
    by the pooled sigma of runs of one cell, or by the spread of ln t_before/t_after over the rungs where that is wider.
    Runs of one cell are trained one after another, so what slowly changes on a machine shows between rungs alone; that
    a ratio depends on the size shows there too. Where neither is known, nor is the interval.
    """
    rungs = sorted(size for name, size in timing.seconds if name == before and (after, size) in timing.seconds)
    if not rungs:
        return None
    logs = np.array(
        [np.mean(np.log(timing.seconds[before, size])) - np.mean(np.log(timing.seconds[after, size])) for size in rungs]
    )
    value = float(np.mean(logs))
    note = f"{np.exp(np.min(logs)):.3g} to {np.exp(np.max(logs)):.3g} over {len(rungs)} rungs"
    found = [one for one in (_by_runs(timing, before, after, rungs), _by_rungs(logs)) if one is not None]
    if not found:
        return Interval(float(np.exp(value)), -np.inf, np.inf, 0.95, "unknown-one-run"), None, note
    error, freedom = max(found, key=lambda one: one[0] * float(stdtrit(one[1], 0.975)))
    half = float(stdtrit(freedom, 0.975)) * error
    p_value = float(2.0 * stdtr(freedom, -abs(value) / error)) if error > 0.0 else float(value == 0.0)
    middle, low, high = (float(np.exp(end)) for end in (value, value - half, value + half))
    return Interval(middle, low, high, 0.95, "student-t"), p_value, note


def _by_runs(timing: Timing, before: str, after: str, rungs: Sequence[int]) -> tuple[float, int] | None:
    """Standard error of the mean of ln t_before/t_after by the noise of single runs, and its degrees of freedom."""
    sigma, freedom = timing.noise
    if not freedom:
        return None
    counts = [1 / len(timing.seconds[before, size]) + 1 / len(timing.seconds[after, size]) for size in rungs]
    return sigma * float(np.sqrt(np.sum(counts))) / len(rungs), freedom


def _by_rungs(logs: np.ndarray) -> tuple[float, int] | None:
    """The same by the spread of the rungs."""
    if len(logs) < 2:
        return None
    return float(np.std(logs, ddof=1) / np.sqrt(len(logs))), len(logs) - 1
