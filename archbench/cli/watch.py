"""What a person is told while runs go on: how far they are, how they ended, and how long the rest will take."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from archbench.cli.terminal import echo
from archbench.contracts.executor import Progress
from archbench.results.runs import size_number
from archbench.runs.store import RunStatus
from archbench.scans.jobs import label
from archbench.scans.planned_run import PlannedRun
from archbench.units import counted, human_count, human_seconds

LINE_SECONDS = 60.0
"""Pause between two plain lines about runs that go on."""

_FEW = 0.02
"""Share of the work below which the pace seen so far says nothing yet."""


class Pace:
    """How much of a scan is done and how long the rest will take, from the pace so far."""

    def __init__(self, run_seconds: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        """`run_seconds` are the planner's estimates by run id; only their ratios matter once runs go on."""
        self._run_seconds = run_seconds
        self._clock = clock
        self._started = clock()
        self._shares: dict[str, float] = {}
        self._resumed: set[str] = set()
        self._planned = 0.0
        # Seconds that were done, and of these those done before: sums, as a scan may have thousands of runs.
        self._done = 0.0
        self._given = 0.0
        self._capacity = 1

    def begin(self, missing: Sequence[str], capacity: int) -> None:
        """The work is the runs of the ids `missing`, `capacity` at once."""
        self._shares = dict.fromkeys(missing, 0.0)
        self._resumed, self._done, self._given = set(), 0.0, 0.0
        self._planned = sum(self._run_seconds.get(run_id, 0.0) for run_id in missing)
        self._capacity = max(1, capacity)
        self._started = self._clock()

    def reached(self, run_id: str, share: float) -> None:
        """The run `run_id` has done `share` of its steps; where it resumed counts as given."""
        if run_id not in self._shares:
            return
        seconds = self._run_seconds.get(run_id, 0.0)
        if run_id not in self._resumed:
            self._resumed.add(run_id)
            self._given += seconds * (share if share < 1.0 else 0.0)
        self._done += seconds * (share - self._shares[run_id])
        self._shares[run_id] = share

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self._clock() - self._started

    @property
    def share(self) -> float:
        """How much of the work is done, from 0 to 1."""
        return self._done / self._planned if self._planned > 0.0 else 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds until all is done, about."""
        rest = max(0.0, self._planned - self._done)
        worked = self._done - self._given
        if worked <= _FEW * self._planned or self.elapsed <= 0.0:
            return rest / self._capacity
        return rest * self.elapsed / worked


class LineWatcher:
    """One line for each run that ends, and now and then one about those that go on."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.warnings: list[str] = []
        """What was told on the way, to be repeated at the end: by then it has long scrolled by."""
        self.total = 0
        self.ended_runs = 0
        self.current: dict[str, tuple[PlannedRun, Progress]] = {}
        self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def scheduled(self, missing: Sequence[PlannedRun], done: Sequence[PlannedRun], capacity: int) -> None:
        """See Watcher."""
        self.total = len(missing)
        self.pace.begin([run.run_id for run in missing], capacity)
        self.say(schedule_words(missing, done, capacity))

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """See Watcher."""
        self.current[run.run_id] = (run, progress)
        self.pace.reached(run.run_id, progress.step / max(1, progress.total_steps))
        if time.monotonic() - self._spoke >= LINE_SECONDS:
            going = "; ".join(progress_words(*one) for one in self.current.values())
            self.say(f"{self.ended_runs}/{self.total} done, {self.left()}: {going}")

    def ended(self, run: PlannedRun, status: RunStatus) -> None:
        """See Watcher."""
        self.current.pop(run.run_id, None)
        self.ended_runs += 1
        self.pace.reached(run.run_id, 1.0)
        left = f", {self.left()}" if self.ended_runs < self.total else ""
        self.say(f"{self.ended_runs}/{self.total} {end_words(run, status)}{left}")

    def told(self, line: str) -> None:
        """See Watcher."""
        self.warnings.append(line)
        self.say(line)

    def say(self, line: str) -> None:
        """Prints `line` at once."""
        self._spoke = time.monotonic()
        echo(line)

    def left(self) -> str:
        """How long the rest will take, in words."""
        return f"about {human_seconds(self.pace.seconds_left)} left"


def short_label(run: PlannedRun) -> str:
    """The run's name where there is little room."""
    budget = f", {human_count(run.tokens)} tokens" if run.one_of_budgets else ""
    return f"{run.contender} size {size_number(run.size_index)} seed {run.seed}{budget}"


def schedule_words(missing: Sequence[PlannedRun], done: Sequence[PlannedRun], capacity: int) -> str:
    """What will be trained, in words."""
    if not missing:
        stored = "the only run is" if len(done) == 1 else f"all {len(done)} runs are"
        return f"{stored} in the store; nothing to train"
    kept = f", {len(done)} {'is' if len(done) == 1 else 'are'} in the store" if done else ""
    return f"{counted(len(missing), 'run')} to train{kept}; {capacity} at once"


def progress_words(run: PlannedRun, progress: Progress) -> str:
    """Where a run is, in words."""
    loss = "" if progress.loss_nats is None else f", loss {progress.loss_nats:.3f}"
    rate = "" if progress.tokens_per_s is None else f", {human_count(progress.tokens_per_s)} tokens/s"
    return f"{label(run)} step {progress.step}/{progress.total_steps}{loss}{rate}"


def end_words(run: PlannedRun, status: RunStatus) -> str:
    """How a run ended, in words."""
    loss = "" if status.validation_loss_nats is None else f", validation loss {status.validation_loss_nats:.3f} nats"
    return f"{label(run)}: {status.state.value}{loss}{f' ({status.reason})' if status.reason else ''}"
