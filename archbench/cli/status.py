"""`archbench status`: which runs of a scan are done, running or failed, and why; also while they go on elsewhere."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from archbench.bundled_specs import meant_spec, names_a_file
from archbench.cli import complete
from archbench.cli.common import (
    PATH,
    json_option,
    note,
    override_option,
    print_json,
    print_table,
    runs_option,
    wrapped,
)
from archbench.cli.outputs.runs import ScanStatus, StatusRow
from archbench.cli.scan_words import counts_words, unprotected_words
from archbench.cli.terminal import echo
from archbench.errors import SpecError, StoreError
from archbench.results.arithmetic import mixed_arithmetic
from archbench.results.published import publication_of, published_lines
from archbench.results.runs import RunRecord, RunState
from archbench.runs.files import DamagedFile
from archbench.runs.remote.working_folder import kept_fresh
from archbench.runs.store import RunStore, ScanIndex
from archbench.spec.layers import read_spec
from archbench.units import human_count

_Scan = tuple[ScanIndex, tuple[RunRecord, ...], tuple[str, ...]]


@click.command()
@click.argument("spec", type=PATH, required=False, metavar="[SPEC]", shell_complete=complete.specs_and_scans)
@override_option
@click.option("--watch", is_flag=True, help="Follow the runs until all have ended; Ctrl-C leaves them be.")
@runs_option
@json_option
@click.pass_context
def status(
    ctx: click.Context, spec: Path | None, overrides: tuple[str, ...], watch: bool, runs_dir: Path, as_json: bool
) -> None:
    """Show which runs are done, running or failed, and why.

    SPEC is a spec's file, a scan's name or a bundled spec's; without it, every scan in the store is summed up. --watch
    needs it where the store holds more than one scan.

    \b
    Examples:
      archbench status gpu/gpt2 --watch
      archbench status quickstart --json
    """
    store = RunStore(runs_dir)
    if watch and as_json:
        raise click.UsageError("--watch is for a terminal, and --json for programs; leave one of them out")
    names = store.scan_names() if spec is None else [scan_name(store, spec, overrides)]
    if not names:
        raise StoreError(f"{store.place}: holds no scan; `archbench run SPEC` makes one")
    if watch and len(names) > 1:
        raise SpecError(
            f"{store.place}: holds {len(names)} scans, {', '.join(names)}; --watch follows one of them: name it"
        )
    if watch:
        from archbench.cli.status_watch import follow

        with kept_fresh(runs_dir, note):
            follow(store, names[0])
    chosen = watch or spec is not None
    scans, damaged = _read(store, names, required=chosen)
    if as_json:
        print_json([_as_json(*scan) for scan in scans])
    else:
        for index, records, problems in scans:
            _print(index, records, problems, every_run=chosen)
    if damaged:
        ctx.exit(StoreError.exit_code)


def _read(store: RunStore, names: Sequence[str], *, required: bool) -> tuple[list[_Scan], int]:
    """The scans with the records and problems of each, and how many are damaged, each told on standard error.

    Raises DamagedFile for such a scan where it is `required`.
    """
    scans = []
    damaged = 0
    for name in names:
        try:
            index = store.scan(name)
        except DamagedFile as error:
            if required:
                raise
            note(f"archbench: {error}")
            damaged += 1
            continue
        records, problems = store.last_records(index)
        mixed = mixed_arithmetic(records)
        again = "; `archbench runs rerun RUN` computes one again here"
        scans.append((index, records, (*problems, *([f"{mixed}{again}"] if mixed else []))))
    return scans, damaged


def _print(index: ScanIndex, records: Sequence[RunRecord], problems: Sequence[str], *, every_run: bool) -> None:
    echo(f"{index.name}: {counts_words(records, len(index.runs))}")
    worth_a_row = (RunState.FAILED, RunState.DIVERGED, RunState.RUNNING)
    shown = [record for record in records if every_run or record.state in worth_a_row]
    if shown:
        _print_table(shown)
    for record in shown:
        if record.reason:
            echo(wrapped(f"  {record.run_id[:16]} {record.state.value}: {record.reason}"))
    for line in published_lines(records):
        echo(wrapped(f"  {line}"))
    for problem in problems:
        echo(wrapped(f"  {problem}"))
    if unprotected := unprotected_words(records):
        echo(wrapped(f"  {unprotected}"))


def _print_table(records: Sequence[RunRecord]) -> None:
    from archbench.cli.scan_view import row_name

    rows = [
        (
            f"  {record.run_id[:16]}",
            row_name(record),
            human_count(record.non_embedding_params),
            str(record.seed),
            f"{record.state.value} (published)" if publication_of(record) else record.state.value,
            "-" if (step := _step(record)) is None else str(step),
            "-" if record.final_loss_nats is None else f"{record.final_loss_nats:.4f}",
        )
        for record in records
    ]
    headers = ("run", "contender", "N", "seed", "state", "step", "loss")
    print_table(headers, rows, left=("run", "contender", "state"))


def _step(record: RunRecord) -> int | None:
    """Steps taken; None where nobody knows."""
    step: int | None = record.curve[-1].step if record.curve else record.details.get("step")
    return step


def scan_name(store: RunStore, word: Path, overrides: Sequence[str] = ()) -> str:
    """The name of the scan that `word` means: the name inside a spec's file, a scan of the store, a bundled spec's."""
    known = not overrides and not names_a_file(word) and str(word) in store.scan_names()
    spec = word if known else meant_spec(word)
    if not names_a_file(spec):
        if overrides:
            raise SpecError(f"-o {overrides[0]}: {str(spec)!r} is a scan's name; -o goes with a spec's file")
        return str(spec)
    file = read_spec(spec, overrides)
    name = file.data.get("name")
    if not isinstance(name, str):
        raise file.error(("name",), "is missing or not text")
    return name


def records_of(store: RunStore, index: ScanIndex) -> tuple[RunRecord, ...]:
    """The records of all runs of `index` that have a directory; those that are damaged are told on standard error."""
    records, problems = store.records(index)
    for problem in problems:
        note(f"warning: {problem}")
    return records


def _as_json(index: ScanIndex, records: Sequence[RunRecord], problems: Sequence[str]) -> ScanStatus:
    return ScanStatus(
        name=index.name,
        problems=list(problems),
        counts=dict(Counter(record.state.value for record in records)),
        runs=[
            StatusRow(
                run_id=record.run_id,
                contender=record.contender,
                size_index=record.size_index,
                study=record.study,
                role=record.role,
                non_embedding_params=record.non_embedding_params,
                seed=record.seed,
                state=record.state.value,
                reason=record.reason,
                step=_step(record),
                validation_loss_nats=record.final_loss_nats,
                protected=record.protected,
                entry=published.entry if (published := publication_of(record)) else None,
            )
            for record in records
        ],
    )
