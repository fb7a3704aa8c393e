"""`archbench status --watch`: a scan that another command carries out, followed from the store alone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from archbench.cli.common import interactive
from archbench.cli.live import LiveView
from archbench.cli.scan_view import (
    ShownRun,
    WorkColumn,
    row_name,
    scan_table,
    stacked,
    summary_line,
    text_column,
    work_table,
)
from archbench.cli.scan_words import counts_words
from archbench.cli.terminal import echo, unread
from archbench.cli.watch import Pace
from archbench.display import terminal_text
from archbench.planning.estimate import measured_rates
from archbench.results.runs import RunRecord, RunState, size_number
from archbench.runs.store import RunStore, ScanIndex
from archbench.units import counted, human_seconds

LOOK_SECONDS = 2.0
"""Pause between two looks at the store."""

_ROUGH_FLOP_PER_S = 2e10
"""Of an architecture that no finished run measured: only until the pace of what goes on is known."""


@dataclass(slots=True)
class _Followed:
    """The runs of a scan as the store has them now, and the pace since the first look."""

    index: ScanIndex
    records: tuple[RunRecord, ...] = ()
    pace: Pace = field(default_factory=lambda: Pace({}))

    def look(self, store: RunStore) -> None:
        """Reads the runs again; the first time it begins to measure."""
        first = not self.records
        self.records, _ = store.last_records(self.index)
        if first:
            self.pace = begun_pace(store, self.records)
        for record in self.records:
            self.pace.reached(record.run_id, done_share(record))

    @property
    def all_ended(self) -> bool:
        """Whether nothing is left to wait for."""
        return len(self.records) == len(self.index.runs) and all(record.state.ended for record in self.records)

    @property
    def left(self) -> str:
        """How long the rest will take, in words."""
        return left_words(self.records, self.pace)


def begun_pace(store: RunStore, records: Sequence[RunRecord]) -> Pace:
    """The pace of those of a scan's `records` that have not ended, from now on."""
    rates = measured_rates(store)
    seconds = {}
    for record in records:
        rate = rates.nearest(record.architecture, record.non_embedding_params) or _ROUGH_FLOP_PER_S
        per_token = record.details.get("facts", {}).get("exact_flops_per_token", 0.0)
        seconds[record.run_id] = per_token * record.planned_tokens / rate
    missing = [record.run_id for record in records if not record.state.ended]
    running = sum(record.state is RunState.RUNNING for record in records)
    pace = Pace(seconds)
    pace.begin(missing, running)
    return pace


def left_words(records: Sequence[RunRecord], pace: Pace) -> str:
    """How long the rest of a scan will take, in words. Between two runs it takes a moment, and none is at work."""
    if not any(record.state is RunState.RUNNING for record in records):
        return "nothing is being trained at the moment"
    return f"about {human_seconds(pace.seconds_left)} left"


def follow(store: RunStore, name: str) -> None:
    """Shows the scan `name` until all its runs have ended, or until Ctrl-C, which only ends the showing."""
    followed = _Followed(store.scan(name))
    followed.look(store)
    try:
        if interactive():
            with LiveView(lambda columns, rows: _view(followed, columns, rows)):
                _until_all_ended(store, followed, lambda: None)
        else:
            _until_all_ended(store, followed, _LineTeller(followed).tell)
    except KeyboardInterrupt:
        echo("no longer followed; the runs go on as they were")


def _until_all_ended(store: RunStore, followed: _Followed, tell: Callable[[], None]) -> None:
    """Looks at the store until every run has ended."""
    while True:
        tell()
        if followed.all_ended or unread():
            return
        time.sleep(LOOK_SECONDS)
        followed.index = store.scan(followed.index.name)
        followed.look(store)


class _LineTeller:
    """A line whenever the states of the runs have changed."""

    def __init__(self, followed: _Followed) -> None:
        self._followed = followed
        self._last = ""

    def tell(self) -> None:
        """Prints the line, if it is another one than before."""
        line = counts_words(self._followed.records, len(self._followed.index.runs))
        if line != self._last:
            self._last = line
            echo(f"{self._followed.index.name}: {line}; {self._followed.left}")


def _view(followed: _Followed, columns: int, rows: int) -> RenderableType:
    records = followed.records
    ended = sum(record.state.ended for record in records)
    words = f"{ended} of {counted(len(followed.index.runs), 'run')}, {followed.left}"
    parts: list[RenderableType] = [summary_line(done_share_of_all(records), words, columns)]
    running = [record for record in records if record.state is RunState.RUNNING]
    if running:
        parts.insert(0, _at_work(running, columns))
    shown = [_shown(record) for record in records]
    if len({run.row for run in shown}) + len(running) + 5 < rows:
        parts[:0] = [Text(terminal_text(followed.index.name), style="bold"), scan_table(shown, columns), Text("")]
    return stacked(parts)


def _at_work(running: Sequence[RunRecord], columns: int) -> Table:
    names, bars, steps = [], [], []
    bar_columns = 20 if columns >= 80 else 8
    for record in running:
        total = int(record.details.get("total_steps", 0))
        step = int(record.details.get("step", 0))
        names.append(f"{row_name(record)} size {size_number(record.size_index)} seed {record.seed}")
        bars.append(ProgressBar(max(1, total), step, width=bar_columns))
        steps.append(f"{step}/{total}")
    figures = [WorkColumn("", bars, bar_columns, rank=1), text_column("steps", steps, rank=0)]
    return work_table(names, figures, columns)


def _shown(record: RunRecord) -> ShownRun:
    loss_nats = record.final_loss_nats
    return ShownRun(
        row_name(record), record.size_index, record.non_embedding_params, record.state, done_share(record), loss_nats
    )


def done_share(record: RunRecord) -> float:
    """How much of the run's steps is done."""
    if record.state.ended:
        return 1.0
    total = record.details.get("total_steps")
    return float(record.details.get("step", 0)) / total if total else 0.0


def done_share_of_all(records: Sequence[RunRecord]) -> float:
    """How much of the scan is done, by the FLOPs that its runs take."""
    flops = [record.planned_tokens * record.non_embedding_params for record in records]
    done = sum(cost * done_share(record) for cost, record in zip(flops, records, strict=True))
    return done / sum(flops) if flops else 0.0
