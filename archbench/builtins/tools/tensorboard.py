"""Event files for TensorBoard: a folder for each run, with its curve, costs and hyperparameters."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from archbench.api import PluginError, Progress, RunRecord, Tracker, TrackerConfig
from archbench.builtins.tools.tracked import hyperparameters, measured_values, point_values, run_name
from archbench.names import file_stem


class TensorBoardConfig(TrackerConfig):
    """Tracker `tensorboard`."""

    kind: Literal["tensorboard"] = "tensorboard"
    summary: ClassVar[str] = "event files for TensorBoard (needs archbench[tensorboard])"

    dir: str | None = None
    """Folder of the event files; without it, `logs/tensorboard` in the store."""

    def open(self, *, scan: str, folder: Path) -> Tracker:
        """See `TrackerConfig.open`. Raises PluginError where TensorBoard is not installed."""
        try:
            import tensorboard.summary.writer.event_file_writer  # noqa: F401
        except ImportError as error:
            raise PluginError(f"{error}; pip install 'archbench[tensorboard]'") from error
        return TensorBoard((folder if self.dir is None else self.located(self.dir)) / file_stem(scan))


class TensorBoard:
    """Writers of event files, one a run. Writes them itself: torch's writer would load torch in the driver."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._live: dict[str, Any] = {}
        """Writers of what goes on, by run id; the run's name is not known before its end."""

    def progressed(self, progress: Progress) -> None:
        """Adds loss and rate to the run's live curve."""
        values = {"live/train_nats": progress.loss_nats, "live/tokens_per_second": progress.tokens_per_s}
        writer = self._live.get(progress.run_id)
        if writer is None:
            writer = self._live[progress.run_id] = _writer(self._folder / "live" / progress.run_id[:8])
        _add(writer, progress.step, {name: value for name, value in values.items() if value is not None})
        writer.flush()

    def run_ended(self, record: RunRecord) -> None:
        """Writes the whole record; the live curve ends."""
        # Not its public module `api`, which wants all of TensorFlow.
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        if (live := self._live.pop(record.run_id, None)) is not None:
            live.close()
        writer = _writer(self._folder / run_name(record))
        settings = hyperparameters(record)
        writer.add_event(_event(0, hparams_pb(settings, trial_id=record.run_id)))
        for point in record.curve:
            _add(writer, point.step, point_values(point))
        _add(writer, record.curve[-1].step if record.curve else 0, measured_values(record))
        writer.close()

    def close(self) -> None:
        """Ends the live curves of runs that were interrupted."""
        for writer in self._live.values():
            writer.close()


def _writer(folder: Path) -> Any:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    return EventFileWriter(str(folder))


def _add(writer: Any, step: int, values: dict[str, float]) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary

    if values:
        content = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        writer.add_event(_event(step, Summary(value=content)))


def _event(step: int, summary: Any) -> Any:
    import time

    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=time.time(), step=step, summary=summary)
