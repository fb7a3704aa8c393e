"""Hands runs to trackers, each in a thread of its own: one that fails or hangs costs a line and nothing else."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from archbench.contracts.executor import Progress
from archbench.contracts.tracker import Tracker, TrackerConfig
from archbench.errors import in_one_line
from archbench.results.runs import RunRecord

START_SECONDS = 30.0
"""A tracker that takes longer to start is told of; the scan does not wait for it in any case."""

CLOSE_SECONDS = 30.0
"""How long a scan waits at its end for what trackers still have to write."""

WAITING_POINTS = 256
"""Points of progress that wait for a tracker at most; later ones are left out. Ends of runs never are."""

Told = Callable[[str], None]


class Tracking:
    """The trackers of one scan. Methods return at once; what went wrong is told once for each tracker, in one line."""

    def __init__(
        self,
        configs: Sequence[TrackerConfig] = (),
        *,
        scan: str = "",
        folder: Path = Path(),
        start_seconds: float = START_SECONDS,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        self._channels = [_Channel(config, scan, folder / config.kind, start_seconds) for config in configs]
        self._close_seconds = close_seconds

    def progressed(self, progress: Progress) -> None:
        """A run took steps."""
        for channel in self._channels:
            channel.offer(progress)

    def run_ended(self, record: RunRecord) -> None:
        """A run came to an end."""
        for channel in self._channels:
            channel.put(record)

    def problems(self) -> list[str]:
        """What has gone wrong since the last call, a line for each tracker."""
        return [line for channel in self._channels if (line := channel.problem()) is not None]

    def close(self, tell: Told) -> None:
        """Waits a while until all is written; tells of trackers that have failed or are not done by then."""
        deadline = time.monotonic() + self._close_seconds
        for channel in self._channels:
            channel.put(None)
        for channel in self._channels:
            channel.thread.join(max(0.0, deadline - time.monotonic()))
            for line in filter(None, (channel.problem(), channel.unfinished())):
                tell(line)

    def telling(self, tell: Told) -> "_Open":
        """A context at whose end the trackers are closed."""
        return _Open(self, tell)


class _Open:
    def __init__(self, tracking: Tracking, tell: Told) -> None:
        self._tracking, self._tell = tracking, tell

    def __enter__(self) -> Tracking:
        return self._tracking

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tracking.close(self._tell)


class _Channel:
    """One tracker, its thread, and what waits for it."""

    def __init__(self, config: TrackerConfig, scan: str, folder: Path, start_seconds: float) -> None:
        self._config, self._scan, self._folder = config, scan, folder
        self._waiting: queue.SimpleQueue[Progress | RunRecord | None] = queue.SimpleQueue()
        self._started = threading.Event()
        self._late_from = time.monotonic() + start_seconds
        self._failure: str | None = None
        self._told = False
        # A daemon: a tracker that hangs does not keep the command from ending.
        self.thread = threading.Thread(target=self._work, name=f"tracker {config.kind}", daemon=True)
        self.thread.start()

    def put(self, item: Progress | RunRecord | None) -> None:
        if self._failure is None:
            self._waiting.put(item)

    def offer(self, progress: Progress) -> None:
        if self._waiting.qsize() < WAITING_POINTS:
            self.put(progress)

    def problem(self) -> str | None:
        """The one line that is told about it; None where there is nothing new."""
        if self._told:
            return None
        if self._failure is not None:
            self._told = True
            return self._warning(f"{self._failure}; runs go on without it")
        if not self._started.is_set() and time.monotonic() > self._late_from:
            self._told = True
            return self._warning("has not started yet; runs do not wait, and what it cannot write is lost")
        return None

    def unfinished(self) -> str | None:
        """What is to be told at the end about a tracker that hangs."""
        if self._told or not self.thread.is_alive():
            return None
        return self._warning("has not finished; what it had not written is lost")

    def _warning(self, what: str) -> str:
        return f"warning: tracker {self._config.kind!r}: {what}"

    def _work(self) -> None:
        try:
            tracker = self._config.open(scan=self._scan, folder=self._folder)
            self._started.set()
            try:
                self._serve(tracker)
            finally:
                tracker.close()
        except BaseException as error:  # a stranger's code, which may raise anything
            self._failure = in_one_line(error, 300)

    def _serve(self, tracker: Tracker) -> None:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, Progress):
                tracker.progressed(item)
            else:
                tracker.run_ended(item)
