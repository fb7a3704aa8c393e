"""`archbench plan`: what a spec would train, and what that would cost."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archbench.cli import complete
from archbench.cli.common import (
    SPEC,
    cache_option,
    host_with,
    json_option,
    leaderboard_option,
    override_option,
    plugin_option,
    print_json,
    runs_option,
    table_console,
    wrapped,
)
from archbench.cli.outputs.plans import PendingRow, PlannedContender, PlannedRow, PlanOutput
from archbench.cli.places import place_of
from archbench.cli.plan_next import next_options, refuse_without_next, show_next
from archbench.cli.plan_power import power_lines, power_rows
from archbench.cli.plan_published import published_cells, published_rows, span
from archbench.cli.plan_scan import despite_missing_libraries, plan_with_entries
from archbench.cli.plan_sizes import size_table
from archbench.cli.terminal import echo
from archbench.errors import SpecError
from archbench.planning.estimate import (
    RunEstimate,
    estimate_run,
    expected_workers,
    held_out_tokens,
    measured_rates,
    scan_seconds,
)
from archbench.results.experts import CONVENTION
from archbench.results.published import published_lines
from archbench.results.runs import CONTROL, SIZE_SCAN, RunState, purpose
from archbench.results.tuning import TRIAL
from archbench.runs.store import RunStore, ScanIndex
from archbench.scans.jobs import job_of
from archbench.scans.planned_run import PlannedRun
from archbench.scans.planner import ScanPlan
from archbench.scans.stated_texts import is_stated, stated_texts, texts_to_plan_by
from archbench.spec.load import load_spec
from archbench.spec.models import Spec
from archbench.spec.rates import given_batch
from archbench.spec.yaml_writer import to_yaml
from archbench.units import counted, human_bytes, human_count, human_seconds

if TYPE_CHECKING:
    from rich.table import Table

    from archbench.planning.power import PlannedPower

_WIDE = 100
"""Columns from which the plan's table shows epochs and 6ND."""


@dataclass(frozen=True, slots=True)
class CostedRun:
    """One planned run, what it will cost, and where it stands."""

    run: PlannedRun
    estimate: RunEstimate
    state: RunState

    @property
    def missing(self) -> bool:
        """Whether it is still to be trained."""
        return self.state not in (RunState.DONE, RunState.DIVERGED)


@dataclass(frozen=True, slots=True)
class CostedPlan:
    """A plan with its costs."""

    plan: ScanPlan
    runs: tuple[CostedRun, ...]
    workers: int

    @property
    def seconds_left(self) -> float:
        """Wall-clock seconds that the missing runs will take."""
        left = {one.run.run_id: one.estimate.seconds for one in self.runs if one.missing}
        return scan_seconds(list(left.values()), self.workers)

    @property
    def disk_bytes_left(self) -> int:
        """Bytes that the missing runs will need."""
        return sum({one.run.run_id: one.estimate.disk_bytes for one in self.runs if one.missing}.values())

    @property
    def stated(self) -> bool:
        """Whether the text was not read: its counts are those that the spec states."""
        return any(is_stated(corpus.corpus_hash) for corpus in self.plan.corpora.values())

    @property
    def rough(self) -> bool:
        """Whether any estimate rests on a constant instead of a measurement."""
        return any(one.missing and not one.estimate.measured for one in self.runs)


def cost_plan(spec: Spec, plan: ScanPlan, store: RunStore) -> CostedPlan:
    """`plan` with estimates from the rates that `store` has seen, and each run's state."""
    rates = measured_rates(store)
    held_out = held_out_tokens(plan.corpora.values())
    runs = tuple(
        CostedRun(run, estimate_run(run, rates, held_out), store.status(run.run_id).state) for run in plan.runs
    )
    return CostedPlan(plan, runs, expected_workers(spec.executor, spec.execution.threads))


@click.command()
@click.argument("spec", type=SPEC, metavar="[SPEC]", required=False, shell_complete=complete.specs)
@override_option
@click.option("--resolved", is_flag=True, help="Print SPEC with all that it extends, -o and every default filled in.")
@click.option("--stated", is_flag=True, help="Read no text: plan by the counts that SPEC states under data.stated.")
@runs_option
@leaderboard_option
@cache_option
@plugin_option
@next_options
@json_option
@click.pass_context
def plan(
    ctx: click.Context,
    /,
    spec: Path | None,
    overrides: tuple[str, ...],
    resolved: bool,
    stated: bool,
    runs_dir: Path,
    leaderboard_dir: Path,
    cache_dir: Path,
    plugin_files: tuple[Path, ...],
    as_json: bool,
    what_next: bool,
    **asked: Any,
) -> None:
    """Show the runs of SPEC, their cost and its problems, and train nothing.

    SPEC is a file, or the name of a bundled spec (`archbench specs`).

    Text is prepared if it is not yet in the cache; where it cannot be had, as without a network, the counts that SPEC
    states under data.stated take its place, and the plan says so. With --next: which further runs would make a figure
    more certain, by the runs of SPEC, or of --scan NAME, that have finished. With --resolved: the spec alone, as YAML
    or, with --json, as JSON.
    """
    scan = asked.pop("scan")
    if spec is None:
        if not (what_next and scan):
            raise SpecError("SPEC is missing: name a spec, or a scan of the store by --next --scan NAME")
        show_next(scan, RunStore(runs_dir), as_json=as_json, **asked)
        return
    if scan is not None:
        raise SpecError(f"{spec} and --scan {scan}: name one of the two")
    host = host_with(plugin_files)
    loaded = load_spec(spec, host.registry, overrides)
    if resolved:
        print_json(loaded.resolved()) if as_json else echo(to_yaml(loaded.resolved()), nl=False)
        return
    runs_dir = place_of(ctx, runs_dir, loaded, training=False)
    if what_next:
        warmup = _longest_warmup(loaded)
        show_next(loaded.name, RunStore(runs_dir), as_json=as_json, warmup_steps=warmup, **asked)
        return
    refuse_without_next(asked)
    store = RunStore(runs_dir)
    loaded = despite_missing_libraries(loaded)
    texts = stated_texts if stated else texts_to_plan_by
    scan_plan = plan_with_entries(loaded, host, leaderboard_dir, cache_dir=cache_dir, store=store, texts=texts)
    costed = cost_plan(loaded, scan_plan, store)
    # Imported now: the analysis is not loaded for `--help` and completion.
    from archbench.planning.power import planned_power

    power = planned_power(loaded, scan_plan, store)
    submission = _submission(loaded, costed, store, plugin_files)
    if as_json:
        print_json(_as_json(costed, power, submission))
        return
    print_plan(costed)
    for line in power_lines(power):
        echo(wrapped(line))
    if submission is not None and loaded.executor is not None:
        echo(f"\nwhat {loaded.executor.kind} would be handed:\n\n{submission}", nl=False)


def _submission(spec: Spec, costed: CostedPlan, store: RunStore, plugin_files: Sequence[Path]) -> str | None:
    """What the queue of the spec's executor would be handed for the runs that are missing."""
    missing = {one.run.run_id: one for one in costed.runs if one.missing}
    if spec.executor is None or not missing:
        return None
    jobs = [
        job_of(one.run, store, scan=costed.plan.index.name, seconds=one.estimate.seconds) for one in missing.values()
    ]
    files = [path.resolve() for path in plugin_files]
    return spec.executor.submission(jobs=jobs, runs_dir=store.root, plugin_files=files)


def _longest_warmup(spec: Spec) -> int:
    """Steps of the longest warm-up of any contender at any size."""
    given, seq_len = spec.training.batch_tokens, spec.training.seq_len
    return max(
        contender.recipe.schedule_at(size, given_batch(given, index, size, seq_len)).warmup_steps
        for contender in spec.contenders
        for index, size in enumerate(spec.scan.sizes)
    )


def print_plan(costed: CostedPlan) -> None:
    """Prints the plan as a table, study by study, with a summary below."""
    console = table_console()
    console.print_whole(_plan_table(costed, console.width))
    own = [run for run in costed.plan.runs if run.role != CONTROL]
    sizes = size_table(own, costed.plan.published, costed.plan.index.baseline)
    if sizes is not None:
        console.print("")
        console.print_whole(sizes)
    lines = study_costs(costed) if any(one.run.study != SIZE_SCAN for one in costed.runs) else []
    for line in [*lines, *_summary(costed)]:
        console.print(line, soft_wrap=True, markup=False)


def _plan_table(costed: CostedPlan, columns: int) -> "Table":
    """What is planned, on `columns` columns: where there is little room, without what other columns imply."""
    from rich.table import Table

    from archbench.cli.console import NAME_COLUMNS

    groups = by_size(costed.runs)
    headers = ["for", "contender", "N", "runs", "tokens", "epochs", "6ND", "exact", "time a run", "state"]
    if columns < _WIDE:
        headers = [header for header in headers if header not in ("epochs", "6ND")]
        if len({purpose(group[0].run) for group in groups}) == 1:
            headers.remove("for")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        words = header in ("contender", "for", "state")
        table.add_column(
            header, justify="left" if words else "right", no_wrap=not words, min_width=NAME_COLUMNS if words else None
        )
    for cells in published_cells(costed.plan.published):
        table.add_row(*(cells[header] for header in headers))
    previous = ("", "") if not costed.plan.published else (purpose(costed.plan.published[0]), "")
    for group in groups:
        first = group[0].run
        what = purpose(first)
        rough = "" if group[0].estimate.measured else "~"
        cells = {
            "for": what if what != previous[0] else "",
            "contender": first.contender if (what, first.contender) != previous else "",
            "N": f"{first.plan.facts.non_embedding_params:,}",
            "runs": str(len(group)),
            "tokens": span([one.run.tokens for one in group], human_count),
            "epochs": span([one.run.epochs for one in group], lambda epochs: f"{epochs:.2f}"),
            "6ND": span([one.run.kaplan_flops for one in group], human_count),
            "exact": span([one.run.exact_flops for one in group], human_count),
            "time a run": rough + span([one.estimate.seconds for one in group], human_seconds),
            "state": state_words([one.state for one in group]),
        }
        table.add_row(*(cells[header] for header in headers))
        previous = (what, first.contender)
    return table


def by_size(runs: Sequence[CostedRun]) -> list[list[CostedRun]]:
    """Runs of one purpose, contender and size together, in the order of the plan; those of the scan by length too."""
    groups: dict[str, dict[tuple[str, int, int], list[CostedRun]]] = {}
    for one in runs:
        length = one.run.tokens if one.run.study == SIZE_SCAN else 0
        same = groups.setdefault(purpose(one.run), {})
        same.setdefault((one.run.contender, one.run.size_index, length), []).append(one)
    return [group for same in groups.values() for group in same.values()]


def study_costs(costed: CostedPlan) -> list[str]:
    """What each study adds to those before it, one a line: runs that are shared are counted where they come first."""
    seen: set[str] = set()
    lines = [""]
    for study in dict.fromkeys(one.run.study for one in costed.runs):
        own = {one.run.run_id: one for one in costed.runs if one.run.study == study}
        new = [one for run_id, one in own.items() if run_id not in seen]
        seen |= own.keys()
        missing = [one for one in new if one.missing]
        shared = f" ({len(own) - len(new)} shared with studies above)" if len(own) > len(new) else ""
        seconds = scan_seconds([one.estimate.seconds for one in missing], costed.workers)
        flops = human_count(sum(one.run.own_flops for one in missing))
        cost = f": {flops} FLOPs, about {human_seconds(seconds)}" if missing else ""
        lines.append(f"{study}: {counted(len(own), 'run')}{shared}, {len(missing)} to train{cost}")
    return lines


def state_words(states: Sequence[RunState]) -> str:
    """`done`, or `2 done, 1 planned`."""
    counts = Counter(state.value for state in states)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _summary(costed: CostedPlan) -> list[str]:
    plan = costed.plan
    distinct = {one.run.run_id: one for one in costed.runs}
    missing = [one for one in distinct.values() if one.missing]
    flops = human_count(sum(one.run.own_flops for one in missing))
    left = f"{human_seconds(costed.seconds_left)} with {costed.workers} at once"
    later = [
        f"later: {counted(one.count, 'run')}, {human_count(one.exact_flops)} FLOPs: {one.what}"
        for one in plan.pending
        if one.count
    ]
    trials = {one.run.run_id: one for one in costed.runs if one.run.role == TRIAL}
    spent = human_count(sum(one.run.exact_flops for one in trials.values()))
    what = f"of them {counted(len(trials), 'trial')} of learning rates, {spent} FLOPs"
    tuning = f"{what}; the best of each size is a result as well"
    lines = [
        "",
        f"{counted(len(distinct), 'run')}, {len(missing)} to train: {flops} FLOPs, about {left}, "
        f"{human_bytes(costed.disk_bytes_left)}",
        *([tuning] if trials else []),
        *_control_lines(list(distinct.values())),
        *(f"{line}." for line in published_lines(plan.published)),
        *later,
        *_expert_lines(list(distinct.values())),
        *contender_lines(plan.index),
        *_text_lines(costed),
    ]
    if any(one.missing and one.run.plan.identity.training.early_stopping for one in distinct.values()):
        lines.append("runs that stop early are counted with all tokens that they may see: the time is at most this")
    if costed.rough:
        lines.append("times with ~ are rough: no run of that architecture is in the store yet")
    return lines + [f"warning: {warning}" for warning in plan.warnings]


def _expert_lines(runs: Sequence[CostedRun]) -> Iterator[str]:
    """What N counts where contenders are mixtures of experts."""
    facts = [(one.run.contender, one.run.plan.facts) for one in runs]
    sparse = [name for name, of in facts if of.active_params < of.non_embedding_params]
    if sparse:
        names = ", ".join(dict.fromkeys(sparse))
        yield f"mixtures of experts: {names}: {CONVENTION}"


def contender_lines(index: ScanIndex) -> Iterator[str]:
    """What contenders have that others of the scan do not, one a line: their recipe, and what they cannot have."""
    common = ", ".join(f"{name} {json.dumps(value)}" for name, value in index.spec.get("common", {}).items())
    if common:
        yield f"common to all: {common}"
    for one in _contenders(index):
        if one.training:
            said = ", ".join(f"{name} {json.dumps(value)}" for name, value in one.training.items())
            yield f"{one.name}: its own training: {said}"
        if common and one.as_published:
            yield f"{one.name}: as published, without what is common to the others"
        if one.not_kept:
            yield f"{one.name}: cannot have {', '.join(one.not_kept)} of what is common to the others"


def _contenders(index: ScanIndex) -> list[PlannedContender]:
    origins = index.environment["plugins"]
    return [
        PlannedContender(
            name=name,
            training=said.get("training", {}),
            as_published=said.get("as_published", False),
            not_kept=origins[name].get("not_kept", []),
        )
        for name, said in index.spec["contenders"].items()
    ]


def _control_lines(runs: Sequence[CostedRun]) -> list[str]:
    """What of the runs are controls of the question."""
    controls = [one for one in runs if one.run.role == CONTROL]
    flops = human_count(sum(one.run.exact_flops for one in controls))
    return [f"of them {counted(len(controls), 'run')} of controls, {flops} FLOPs"] if controls else []


def _text_lines(costed: CostedPlan) -> list[str]:
    """What text the plan rests on; where it was not read, that its counts are only stated."""
    data = costed.plan.index.environment["data"]
    texts = costed.plan.index.environment.get("texts") or {}
    counts = f"{data['unique_tokens']:,} training tokens, vocabulary {data['text_vocab_size']}"
    if costed.stated:
        lines = [f"text: about {counts}, as data.stated says; the text was not read"]
        return lines + [f"{name}: about {one['unique_tokens']:,} training tokens" for name, one in texts.items()]
    return [f"text: {counts}, hash {data['corpus_hash'][:12]}"] + [
        f"{name}: {one['unique_tokens']:,} training tokens, {one['bytes_per_token']:.2f} bytes a token"
        for name, one in texts.items()
    ]


def _as_json(costed: CostedPlan, power: Sequence["PlannedPower"], submission: str | None) -> PlanOutput:
    return PlanOutput(
        name=costed.plan.index.name,
        baseline=costed.plan.index.baseline,
        environment=costed.plan.index.environment,
        text_is_stated=costed.stated,
        warnings=list(costed.plan.warnings),
        pending=[PendingRow(one.what, one.count, one.exact_flops) for one in costed.plan.pending],
        seconds_left=costed.seconds_left,
        disk_bytes_left=costed.disk_bytes_left,
        workers=costed.workers,
        contenders=_contenders(costed.plan.index),
        runs=[
            PlannedRow(
                contender=one.run.contender,
                size_index=one.run.size_index,
                study=one.run.study,
                role=one.run.role,
                labels=dict(one.run.labels),
                seed=one.run.seed,
                run_id=one.run.run_id,
                state=one.state.value,
                non_embedding_params=one.run.plan.facts.non_embedding_params,
                embedding_params=one.run.plan.facts.embedding_params,
                dims=one.run.plan.identity.dims.model_dump(),
                peak_learning_rate=one.run.plan.identity.training.peak_learning_rate,
                warmup_steps=one.run.plan.identity.training.schedule.warmup_steps,
                optimizer=dict(one.run.plan.identity.training.optimizer),
                tokens=one.run.tokens,
                unique_tokens=one.run.plan.facts.unique_tokens,
                batch_tokens=one.run.plan.identity.training.batch_tokens,
                epochs=one.run.epochs,
                kaplan_flops=one.run.kaplan_flops,
                exact_flops=one.run.exact_flops,
                estimated_seconds=one.estimate.seconds,
                estimate_is_measured=one.estimate.measured,
            )
            for one in costed.runs
        ],
        power=power_rows(power),
        published=published_rows(costed.plan.published),
        submission=submission,
    )
