"""`archbench runs rerun`: trains runs of the store again, without their spec."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from archbench.cli import complete
from archbench.cli.common import confirm, host_with, note, plugin_option, written_runs_option, yes_option
from archbench.cli.live_watch import make_watcher
from archbench.cli.watch import Pace
from archbench.errors import SpecError
from archbench.extras import require_training
from archbench.host import Host
from archbench.planning.estimate import estimate_run, held_out_tokens, measured_rates
from archbench.results.arithmetic import mixed_words
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.records import Outcome, read_outcome
from archbench.runs.store import RunStore, damages_of, directory_status
from archbench.scans.rerun import Rerun, plan_rerun
from archbench.scans.scheduler import ScanOutcome, carry_out
from archbench.units import counted

EXIT_RUNS_FAILED = 1


@click.command("rerun")
@click.argument("run_ids", nargs=-1, metavar="[RUN]...", shell_complete=complete.stored_runs)
@click.option("--failed", is_flag=True, help="All failed runs.")
@click.option("--diverged", is_flag=True, help="All diverged runs, from their first step.")
@click.option("--damaged", is_flag=True, help="All runs of which something stored is not what was written.")
@click.option(
    "--scan", metavar="NAME", shell_complete=complete.scans, help="With one of these: only runs of this scan."
)
@yes_option
@plugin_option
@written_runs_option
@click.pass_context
def rerun_runs(
    ctx: click.Context,
    run_ids: tuple[str, ...],
    failed: bool,
    diverged: bool,
    damaged: bool,
    scan: str | None,
    yes: bool,
    plugin_files: tuple[Path, ...],
    runs_dir: Path,
) -> None:
    """Train runs of the store again.

    RUN is the first digits of a run's id. A failed or unfinished run goes on from its last checkpoint, a diverged one
    begins anew, and so does one whose result is damaged. A finished one is trained again for its final weights, which
    it then keeps; it ends in the same bits, and its result stays whatever happens.

    \b
    Examples:
      archbench runs rerun --failed
      archbench runs rerun --damaged --scan reformer
      archbench runs rerun 3f2a91c0 --yes
    """
    require_training("`archbench runs rerun` trains models")
    store = RunStore(runs_dir)
    chosen = _chosen(store, run_ids, {RunState.FAILED: failed, RunState.DIVERGED: diverged}, scan, damaged=damaged)
    host = host_with(plugin_files)
    complete = [directory for directory in chosen if _is_complete(directory)]
    for directory in complete:
        note(f"{directory.path.name}: is finished and has its weights; nothing to train")
    rerun = plan_rerun([directory for directory in chosen if directory not in complete], store, host)
    if not rerun.plan.runs:
        return
    confirm(f"train {counted(len(rerun.plan.runs), 'run')} again?", yes=yes)
    before = {run_id: store.directory(run_id) for run_id in sorted(rerun.again)}
    outcomes = {run_id: read_outcome(directory) for run_id, directory in before.items()}
    rerun.forget_ends()
    outcome = _carry_out(store, host, rerun, [path.resolve() for path in plugin_files])
    lost = {failure.run.run_id for failure in outcome.failures}
    for run_id, directory in before.items():
        if run_id not in lost:
            note(f"{run_id[:16]}: {_compared(outcomes[run_id], read_outcome(directory))}")
    for failure in outcome.failures:
        note(f"{failure.state.value}: {failure.run.run_id[:16]}: {failure.reason}")
    ctx.exit(EXIT_RUNS_FAILED if outcome.failures else 0)


def _chosen(
    store: RunStore, run_ids: Sequence[str], wanted: Mapping[RunState, bool], scan: str | None, *, damaged: bool
) -> list[RunDirectory]:
    """The directories of the runs that are named, and of those that are damaged or in the states that are wanted."""
    states = {state for state, is_wanted in wanted.items() if is_wanted}
    if not run_ids and not states and not damaged:
        raise SpecError("name runs by the first digits of their ids, or say --failed, --diverged or --damaged")
    chosen = {directory.path.name: directory for directory in map(store.find, run_ids)}
    members = {store.directory(run.run_id).path.name for run in store.scan(scan).runs} if scan else None
    for directory in store.directories() if states or damaged else ():
        name = directory.path.name
        if members is not None and name not in members:
            continue
        if directory_status(directory).state in states or (damaged and _can_be_mended(directory)):
            chosen[name] = directory
    if not chosen:
        words = sorted([*(state.value for state in states), *(["damaged"] if damaged else [])])
        note(f"{store.root}: no run is {' or '.join(words)}; nothing to train")
    return list(chosen.values())


def _compared(before: Outcome | None, after: Outcome | None) -> str:
    """Whether a run ended as before, bit for bit, and if not, whether other arithmetic computed it."""
    assert before is not None, "it was finished"
    assert after is not None, "and it is so once more"
    if replace(before, arithmetic=None) == replace(after, arithmetic=None):
        return "ended in the same bits"
    mixed = mixed_words([before.arithmetic or {}, after.arithmetic or {}])
    return f"ended in OTHER bits than before{f': {mixed}' if mixed else ''}"


def _can_be_mended(directory: RunDirectory) -> bool:
    """Whether something stored of the run is damaged, which is told, and its plan is there to train it again."""
    found = damages_of(directory)
    for line in dict.fromkeys(found.values()):
        note(line)
    return bool(found) and directory.plan_file.exists() and directory.plan_file not in found


def _is_complete(directory: RunDirectory) -> bool:
    return directory_status(directory).state is RunState.DONE and directory.has_weights


def _carry_out(store: RunStore, host: Host, rerun: Rerun, plugin_files: Sequence[Path]) -> ScanOutcome:
    rates = measured_rates(store)
    store.create()
    held_out = held_out_tokens(rerun.plan.corpora.values())
    watcher = make_watcher(Pace({run.run_id: estimate_run(run, rates, held_out).seconds for run in rerun.plan.runs}))
    with watcher:
        return carry_out(
            rerun.plan,
            store,
            host,
            watcher,
            executor=rerun.executor,
            plugin_files=plugin_files,
            again=rerun.again,
        )
