"""`archbench cancel`: runs of a scan are called off, wherever they wait or are trained."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import click

from archbench.cli import complete
from archbench.cli.common import PATH, host_with, note, override_option, plugin_option, runs_option
from archbench.cli.status import scan_name
from archbench.cli.terminal import echo
from archbench.errors import PluginError, SpecError
from archbench.host import Host
from archbench.results.runs import RunState
from archbench.runs.queue import call_off, read_mark
from archbench.runs.remote.working_folder import mirror_of
from archbench.runs.store import RunStore, ScanIndex
from archbench.units import counted


@click.command()
@click.argument("spec", type=PATH, metavar="SCAN", shell_complete=complete.specs_and_scans)
@override_option
@runs_option
@plugin_option
def cancel(spec: Path, overrides: tuple[str, ...], runs_dir: Path, plugin_files: tuple[Path, ...]) -> None:
    """Call off the runs of SCAN that have not ended.

    SCAN is a scan's name, a spec's file or a bundled spec's name. What waits is not begun, what is being trained stores
    a checkpoint and stops, on whatever machine; jobs that were handed to a queue (slurm) are taken off it. Finished
    runs are kept, and `archbench run` on the spec goes on where this stopped.

    \b
    Example:
      archbench cancel quickstart --runs /shared/runs
    """
    store = RunStore(runs_dir)
    index = store.scan(scan_name(store, spec, overrides))
    host = host_with(plugin_files)
    tickets: dict[str, set[str]] = defaultdict(set)
    running = waiting = 0
    for run in index.runs:
        state = store.status(run.run_id).state
        directory = store.directory(run.run_id)
        if state.ended or not directory.plan_file.exists():
            continue
        mark = read_mark(directory)
        if mark is not None and mark.ticket:
            tickets[mark.executor].add(mark.ticket)
        call_off(directory)
        running += state is RunState.RUNNING
        waiting += state is not RunState.RUNNING
    if not running and not waiting:
        echo(f"{index.name}: nothing to call off: no run is planned, queued or being trained")
        return
    if (mirror := mirror_of(runs_dir)) is not None:
        mirror.push_marks()
    echo(f"{index.name}: {counted(waiting, 'run')} called off, {running} at work will store a checkpoint and stop")
    _withdraw(index, host, tickets)


def _withdraw(index: ScanIndex, host: Host, tickets: Mapping[str, set[str]]) -> None:
    """Takes off their queues what was submitted there. Raises PluginError where a queue cannot be asked."""
    for kind, found in sorted(tickets.items()):
        if kind not in host.registry.executors.entries:
            raise PluginError(f"executor {kind!r} is not registered here: its jobs {', '.join(sorted(found))} stay")
        config = host.registry.executors[kind].config
        written = index.spec.get("execution", {}).get("executor", "auto")
        mine = written if isinstance(written, Mapping) and written.get("kind") == kind else {"kind": kind}
        try:
            config.model_validate(mine).withdraw(sorted(found))
        except ValueError as error:
            raise SpecError(f"the settings of executor {kind!r} are not understood here: {error}") from error
        note(f"taken off the queue of {kind}: {', '.join(sorted(found))}")
