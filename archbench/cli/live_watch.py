"""What a person sees in a terminal while a scan goes on: its table, the runs at work, and how long the rest takes."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from archbench.cli.common import interactive
from archbench.cli.live import LiveView
from archbench.cli.scan_view import (
    ShownRun,
    WorkColumn,
    row_name,
    scan_table,
    sparkline,
    stacked,
    summary_line,
    text_column,
    work_table,
)
from archbench.cli.watch import LineWatcher, Pace, short_label
from archbench.contracts.executor import Progress
from archbench.results.runs import RunState
from archbench.runs.store import RunStatus
from archbench.scans.jobs import label
from archbench.scans.planned_run import PlannedRun
from archbench.units import counted, human_count, human_seconds

_WIDE, _NARROW = 110, 64
"""Columns from which the runs at work are shown in full, and below which bars and curves are left out."""

_MAX_POINTS = 256
"""Of a loss curve that is drawn; beyond, every second one is forgotten."""


class LiveWatcher(LineWatcher):
    """A block at the foot of the terminal; lines about runs that ended scroll above it."""

    def __init__(self, pace: Pace) -> None:
        super().__init__(pace)
        self._view = LiveView(self.view)
        self._runs: dict[str, PlannedRun] = {}
        self._ends: dict[str, RunStatus] = {}
        self._shares: dict[str, float] = {}
        self._losses: dict[str, list[tuple[int, float]]] = {}

    def __enter__(self) -> Self:
        self._view.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view.__exit__(kind, error, trace)

    def scheduled(self, missing: Sequence[PlannedRun], done: Sequence[PlannedRun], capacity: int) -> None:
        """See Watcher."""
        runs = {run.run_id: run for run in (*done, *missing)}
        self._ends = {run.run_id: RunStatus(RunState.DONE, None, None) for run in done}
        # In the order of the plan, so far as it can be told: sizes from the smallest.
        self._runs = dict(sorted(runs.items(), key=lambda item: item[1].size_index))
        super().scheduled(missing, done, capacity)

    def progressed(self, run: PlannedRun, progress: Progress) -> None:
        """See Watcher."""
        share = progress.step / max(1, progress.total_steps)
        self.current[run.run_id] = (run, progress)
        self._shares[run.run_id] = share
        self.pace.reached(run.run_id, share)
        if progress.loss_nats is not None:
            points = self._losses.setdefault(run.run_id, [])
            points.append((progress.step, progress.loss_nats))
            if len(points) > _MAX_POINTS:
                del points[1::2]

    def ended(self, run: PlannedRun, status: RunStatus) -> None:
        """See Watcher."""
        self._ends[run.run_id] = status
        self._losses.pop(run.run_id, None)
        super().ended(run, status)

    def say(self, line: str) -> None:
        """Prints `line` above the block."""
        self._view.print(line)

    def view(self, columns: int, rows: int) -> RenderableType:
        """The block on `columns` columns, at most `rows` rows high: the runs at work matter more than the table."""
        if not self.total:
            return Text("")
        so_far = human_seconds(self.pace.elapsed)
        words = f"{self.ended_runs} of {counted(self.total, 'run')}, {so_far} so far, {self.left()}"
        parts: list[RenderableType] = [summary_line(self.pace.share, words, columns)]
        if self.current:
            parts.insert(0, self._at_work(columns))
        shown = self._shown()
        height = len({run.row for run in shown}) + len(self.current) + 5
        if len(self._runs) > 1 and height < rows:
            parts[:0] = [Text(""), scan_table(shown, columns), Text("")]
        return stacked(parts)

    def _shown(self) -> list[ShownRun]:
        return [
            ShownRun(
                row=row_name(run),
                size_index=run.size_index,
                params=run.plan.facts.non_embedding_params,
                state=self._state(run_id),
                share=self._shares.get(run_id, 0.0),
                loss_nats=self._ends[run_id].validation_loss_nats if run_id in self._ends else None,
            )
            for run_id, run in self._runs.items()
        ]

    def _state(self, run_id: str) -> RunState:
        if run_id in self._ends:
            return self._ends[run_id].state
        return RunState.RUNNING if run_id in self.current else RunState.PLANNED

    def _at_work(self, columns: int) -> RenderableType:
        """A table of the runs that go on: figures stay whole, names are shortened, then broken."""
        wide, roomy = columns >= _WIDE, columns >= _NARROW
        runs = list(self.current.values())
        bar_columns, curve_columns = (20, 16) if wide else (8, 8)
        bars = [ProgressBar(progress.total_steps, progress.step, width=bar_columns) for _, progress in runs]
        curves = [sparkline(list(self._losses.get(run.run_id, ())), curve_columns) for run, _ in runs]
        losses = ["" if one.loss_nats is None else f"{one.loss_nats:.3f}" for _, one in runs]
        rates = ["" if one.tokens_per_s is None else human_count(one.tokens_per_s) for _, one in runs]
        figures = [
            *([WorkColumn("", bars, bar_columns, rank=4)] if roomy else []),
            text_column("steps", [f"{progress.step}/{progress.total_steps}" for _, progress in runs], rank=0),
            text_column("loss", losses, rank=1),
            *([text_column("curve", curves, rank=3, justify="left")] if roomy else []),
            text_column("tokens/s", rates, rank=2),
        ]
        return work_table([label(run) if wide else short_label(run) for run, _ in runs], figures, columns)


def make_watcher(pace: Pace) -> LineWatcher:
    """A live table where a person watches, plain lines elsewhere."""
    return LiveWatcher(pace) if interactive() else LineWatcher(pace)
