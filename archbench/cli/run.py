"""`archbench run`: plan, train what is missing, analyse, report, and put the result on the leaderboard."""

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
from pydantic import ValidationError

from archbench.bundled_specs import spec_words
from archbench.cli.common import (
    cache_option,
    host_with,
    leaderboard_option,
    note,
    nproc_option,
    override_option,
    plugin_option,
    replace_option,
    reports_option,
    shell_words,
    spec_argument,
    tracker_option,
    written_runs_option,
)
from archbench.cli.live_watch import make_watcher
from archbench.cli.main import EXIT_INTERRUPTED
from archbench.cli.places import place_of, save_scan, writable_mirror
from archbench.cli.plan import cost_plan
from archbench.cli.plan_scan import plan_with_entries
from archbench.cli.terminal import echo
from archbench.cli.watch import Pace
from archbench.contracts.tracker import TrackerConfig
from archbench.errors import ArchbenchError, PluginError
from archbench.extras import require_training
from archbench.host import Host
from archbench.results.published import published_lines
from archbench.runs.imported import keep_published
from archbench.runs.remote.working_folder import mirror_of
from archbench.runs.replacing import require_free
from archbench.runs.store import RunStore, ScanIndex
from archbench.scans.jobs import label
from archbench.scans.planner import ScanPlan
from archbench.scans.scheduler import HungUp, ScanOutcome, Until, carry_out
from archbench.scans.tracking import Tracking
from archbench.spec.load import load_spec, spec_from_yaml
from archbench.spec.models import Spec
from archbench.spec.retired import without_retired
from archbench.spec.yaml_loader import YamlFile
from archbench.units import counted, human_seconds

EXIT_RUNS_FAILED = 1


@dataclass(frozen=True, slots=True)
class _How:
    """How the runs of a command are carried out."""

    plugin_files: Sequence[Path]
    tracking: Tracking
    leave_out_damaged: bool
    until: Until


@click.command()
@spec_argument
@override_option
@written_runs_option
@reports_option
@leaderboard_option
@cache_option
@plugin_option
@nproc_option
@tracker_option
@replace_option
@click.option(
    "--leave-out-damaged", is_flag=True, help="Leave runs out whose stored result is damaged, rather than train them."
)
@click.option(
    "--detach",
    is_flag=True,
    help="Hand the runs to the executor's queue (slurm) and leave; the same command without it collects them.",
)
@click.pass_context
def run(
    ctx: click.Context,
    spec: Path,
    overrides: tuple[str, ...],
    runs_dir: Path,
    reports_dir: Path,
    leaderboard_dir: Path,
    cache_dir: Path,
    plugin_files: tuple[Path, ...],
    nproc: int | None,
    trackers: tuple[str, ...],
    replaces: bool,
    leave_out_damaged: bool,
    detach: bool,
) -> None:
    """Train what SPEC lacks, then analyse and report it.

    SPEC is a file, or the name of a bundled spec (`archbench specs`).

    Run it again to resume: nothing that is finished is trained twice. A spec that would drop finished runs of another
    one of its name, or its entries on your leaderboard, is refused. What is published, in leaderboard/, is read and
    never changed: `archbench leaderboard add` publishes.
    """
    require_training("`archbench run` trains models")
    host = host_with(plugin_files)
    loaded = load_spec(spec, host.registry, overrides).with_nproc(nproc)
    runs_dir = place_of(ctx, runs_dir, loaded, training=True)
    store = RunStore(runs_dir)
    store.create()
    mirror = writable_mirror(runs_dir)
    _stop_when_told()
    tracking = Tracking((*loaded.trackers, *_named_trackers(host, trackers)), scan=loaded.name, folder=store.logs_dir)
    told: list[str] = []
    again = _same_command(ctx)
    try:
        with tracking.telling(note):
            files = [path.resolve() for path in plugin_files]
            admit = None if replaces else _admission(store, leaderboard_dir, host)
            how = _How(files, tracking, leave_out_damaged, "queued" if detach else "ended")
            planned = partial(plan_with_entries, loaded, host, leaderboard_dir, cache_dir=cache_dir, store=store)
            scan_plan, outcome = _stages(loaded, planned, store, host, how, told, admit)
        if outcome.num_left:
            note(f"{counted(outcome.num_left, 'run')} left to the queue; `archbench status --watch` follows them, and")
            note("the same command without --detach waits for them, and analyses and reports the scan")
            ctx.exit(_say_failures(outcome))
        # Imported now: a wrong spec is told at once, and plotting libraries are not loaded to tell it.
        from archbench.cli.finish import finish_scan

        finish_scan(
            scan_plan.index, store, host, reports_dir=reports_dir, leaderboard_dir=leaderboard_dir, cache_dir=cache_dir
        )
    except KeyboardInterrupt:
        note(f"interrupted; finished runs are kept in {mirror.url if mirror else runs_dir}; this goes on from here:")
        echo(f"  {again}", err=True)  # unbroken, to be copied
        ctx.exit(EXIT_INTERRUPTED)
    _repeat(told)
    ctx.exit(_say_failures(outcome))


def _admission(store: RunStore, leaderboard_dir: Path, host: Host) -> Callable[[ScanIndex], None]:
    """What refuses a list that would take the place of another scan's, in the store or on one's own leaderboard."""
    from archbench.leaderboard.replacing import require_free_entries

    def restate(spec: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return spec_from_yaml(YamlFile(Path("stored spec"), without_retired(spec), {}), host.registry).resolved()
        except ArchbenchError:  # of another version, or of a plug-in that is not here
            return spec

    def rename(name: str) -> str:
        return shell_words("-o", f"name={name}")

    def admit(index: ScanIndex) -> None:
        require_free(store, index, rename=rename, restate=restate)
        require_free_entries(leaderboard_dir, index, rename=rename, restate=restate)

    return admit


def _same_command(ctx: click.Context) -> str:
    """The command as it was given, to be given again."""
    spec = spec_words(ctx.params["spec"])
    given = sys.argv[1:]
    is_this = "run" in given and not {spec, str(ctx.params["spec"])}.isdisjoint(given)
    return shell_words("archbench", *(given if is_this else ("run", spec)))


def _repeat(told: Sequence[str]) -> None:
    """What was told while runs went on, once more: in a long scan it has scrolled by."""
    if told:
        note(f"told on the way ({len(told)}):")
    for line in told:
        note(f"- {line}")


def _named_trackers(host: Host, kinds: Sequence[str]) -> list[TrackerConfig]:
    """Trackers with their default settings. Raises PluginError for one that there is not, or that needs settings."""
    configs = []
    for kind in kinds:
        try:
            configs.append(host.registry.trackers[kind].config.model_validate({"kind": kind}))
        except ValidationError as error:
            raise PluginError(f"tracker {kind!r} needs settings; write them into execution.trackers") from error
    return configs


def _stages(
    spec: Spec,
    planned: Callable[[], ScanPlan],
    store: RunStore,
    host: Host,
    how: _How,
    told: list[str],
    admit: Callable[[ScanIndex], None] | None,
) -> tuple[ScanPlan, ScanOutcome]:
    """Plans and trains until nothing waits for runs that have ended; the whole plan, and how its last stage ended.

    What a person should have seen by the end is added to `told`. `admit` raises where a list may not be stored.
    """
    outcome: ScanOutcome | None = None
    previous: set[str] = set()
    while True:
        plan = planned()
        save_scan(store, plan.index, admit if outcome is None else None)
        if outcome is None:
            _keep(plan, store)
        warnings = [line for line in (f"warning: {warning}" for warning in plan.warnings) if line not in told]
        for warning in warnings:
            note(warning)
        told += warnings
        run_ids = {run.run_id for run in plan.runs}
        if outcome is not None and run_ids == previous:
            for pending in plan.pending:
                note(f"not planned: {pending.what}: the runs that it waits for have failed")
            return plan, outcome
        outcome = _stage(spec, plan, store, host, how, told)
        if not plan.pending or outcome.num_left:
            return plan, outcome
        previous = run_ids


def _keep(plan: ScanPlan, store: RunStore) -> None:
    """Puts the runs of published entries into the store, so that the scan can be read when their files are gone."""
    for record in plan.published:
        keep_published(store.directory(record.run_id), record)
    if (mirror := mirror_of(store.root)) is not None:
        mirror.push_plans([record.run_id for record in plan.published])
    for line in published_lines(plan.published):
        note(line)


def _stage(
    spec: Spec,
    plan: ScanPlan,
    store: RunStore,
    host: Host,
    how: _How,
    told: list[str],
) -> ScanOutcome:
    costed = cost_plan(spec, plan, store)
    if costed.seconds_left:
        rough = " (rough: no such run was timed here yet)" if costed.rough else ""
        more = sum(one.count for one in plan.pending)
        later = f", then {counted(more, 'more run')}" if more else ""
        note(f"about {human_seconds(costed.seconds_left)}{later}{rough}; Ctrl-C stops, the same command goes on")
    seconds = {one.run.run_id: one.estimate.seconds for one in costed.runs}
    watcher = make_watcher(Pace(seconds))
    try:
        with watcher:
            return carry_out(
                plan,
                store,
                host,
                watcher,
                executor=spec.executor,
                plugin_files=how.plugin_files,
                tracking=how.tracking,
                leave_out_damaged=how.leave_out_damaged,
                seconds=seconds,
                until=how.until,
            )
    finally:
        told += watcher.warnings


def _stop_when_told() -> None:
    """A closed terminal and `kill` end a scan as Ctrl-C does: with checkpoints, and the cursor given back.

    What stands in a queue that goes on by itself stays there, which Ctrl-C takes away.

    What whoever started it has told it to ignore (`nohup`) it goes on ignoring.
    """
    for sort in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(sort) is not signal.SIG_IGN:
            signal.signal(sort, _hang_up)


def _hang_up(number: int, frame: FrameType | None) -> None:
    raise HungUp


def _say_failures(outcome: ScanOutcome) -> int:
    """Lists failed and diverged runs; the exit code."""
    for failure in outcome.failures:
        note(f"{failure.state.value}: {label(failure.run)}: {failure.reason}")
    if not outcome.failures:
        return 0
    num_lost = len(outcome.failures)
    enter = "enters" if num_lost == 1 else "enter"
    note(f"{counted(num_lost, 'run')} {enter} no fit; the same command tries failed ones again")
    return EXIT_RUNS_FAILED
