"""What shows runs to people while and after they are trained: TensorBoard, Weights & Biases, somebody's own pages."""

from abc import abstractmethod
from pathlib import Path
from typing import Protocol

from archbench.contracts.config import ComponentConfig
from archbench.contracts.executor import Progress
from archbench.results.runs import RunRecord


class Tracker(Protocol):
    """An open tracker. archbench calls it in a thread of its own: it may be slow, hang or fail, and no run notices."""

    def progressed(self, progress: Progress) -> None:
        """A run took steps. Points may be left out where they come faster than the tracker takes them."""
        ...

    def run_ended(self, record: RunRecord) -> None:
        """A run came to an end, in whatever state; `record` holds its whole learning curve."""
        ...

    def close(self) -> None:
        """Writes what is left. Called once, also after an interruption."""
        ...


class TrackerConfig(ComponentConfig):
    """Where runs are shown. Nothing here enters a run id."""

    @abstractmethod
    def open(self, *, scan: str, folder: Path) -> Tracker:
        """A tracker of the scan of that name; `folder` is for its files where this config names no other.

        Raises whatever says in one line why it cannot be had, for example that a package is not installed.
        """
