"""`archbench import PATH...`: runs made elsewhere, put into the run store as a scan of their own."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archbench.answers.table_options import columns_of, treatment_of
from archbench.cli import complete
from archbench.cli.common import PATH, host_with, note, plugin_option, replace_option, shell_words, written_runs_option
from archbench.cli.import_readers import (
    FLAGS,
    TABLE,
    all_given,
    evaluation_columns,
    has_all_columns,
    read_evaluations,
    reader_for,
    reader_of,
    row_places,
    save_table,
    scan_name,
)
from archbench.cli.run_tables import meaning_options
from archbench.errors import SpecError, nearest
from archbench.results.choices import unequal_choices
from archbench.units import counted

if TYPE_CHECKING:
    import pandas as pd

    from archbench.analysis.tables.quantities import Treatment
    from archbench.analysis.tables.run_table import Columns


@click.command(name="import")
@click.argument("paths", type=PATH, nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--from",
    "kind",
    metavar="KIND",
    shell_complete=complete.run_readers,
    help="Reader: table, wandb, hf-trainer, tensorboard, mlflow, trackio, nanochat, a plug-in's; else recognised.",
)
@click.option("--params", metavar="N|NAME", help="Parameters N of every run, or the column, setting or metric of them.")
@click.option(
    "--param-convention", required=True, type=click.Choice(["non_embedding", "total"]), help="What it counts."
)
@click.option("--tokens", metavar="NAME", help="Column or metric of tokens seen D; else steps times --batch-tokens.")
@click.option("--batch-tokens", metavar="N|NAME", help="Tokens of an optimiser step, or the setting of them.")
@click.option("--loss", metavar="NAME", help="Column or metric of held-out loss; its unit by --loss-unit.")
@click.option("--arch", metavar="ARCH|NAME", help="Architecture (the contender), or the column or setting of it.")
@click.option(
    "--track", required=True, type=click.Choice(["causal", "masked"]), help="Losses compare in one track only."
)
@click.option(
    "--compute", metavar="NAME", help="Column or metric of training compute; 6·N·D stands in for it otherwise."
)
@click.option("--compute-unit", type=click.Choice(["flops", "pf-days", "seconds", "gpu-hours"]), help="Its unit.")
@click.option(
    "--seconds", metavar="NAME", help="Column or metric of seconds of training, beside a compute column of FLOPs."
)
@meaning_options
@click.option("--seed", metavar="N|NAME", help="Column or setting of the seed.")
@click.option(
    "--step", metavar="NAME", help="Column or metric of optimiser steps; rows of one run are points of its curve."
)
@click.option("--run", metavar="COL", help="Of a table, the column that names the run.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="[RUN.]KEY=VALUE",
    help="Give params, batch_tokens, arch, seed or tokens of one run (or of a pattern such as 'gpt2-*'); repeatable.",
)
@click.option("--about", type=PATH, metavar="FILE", help="A table that gives the same: column run, and those keys.")
@click.option("--write-table", type=PATH, metavar="FILE.csv", help="Write the evaluations as a table, for `fit`.")
@click.option("--name", metavar="NAME", help="Name of the scan; the file's or folder's name otherwise.")
@click.option("--baseline", metavar="ARCH", help="The architecture that others are compared with.")
@click.option("--text", metavar="NAME", help="Name of the evaluation text: imports of one text can be compared.")
@plugin_option
@replace_option
@written_runs_option
def import_runs(
    paths: tuple[Path, ...],
    kind: str | None,
    name: str | None,
    baseline: str | None,
    text: str | None,
    plugin_files: tuple[Path, ...],
    replaces: bool,
    runs_dir: Path,
    **options: Any,
) -> None:
    """Put runs that were made elsewhere into the run store.

    PATH is a table of runs, or what another tool logged (a file or a folder, several at a time). `compare` and
    `report` then treat the runs like any scan, their origin stated. Importing a file again changes nothing; an import
    that would drop runs of another scan of its name is refused. Rows that cannot be meant are left out and named;
    columns that look like another unit are refused.
    """
    from archbench.analysis.tables.read import run_tables
    from archbench.answers.table_records import dropped_words, origin_of, table_records
    from archbench.cli.places import save_scan, writable_mirror
    from archbench.report.labels import COUNTED
    from archbench.runs.imported import write_imported
    from archbench.runs.replacing import check_names, require_free
    from archbench.runs.store import IndexedRun, RunStore, ScanIndex

    _check(options, text)
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    read = _read(paths, kind, plugin_files, options)
    tables = run_tables(
        read.frame, read.columns, source=source, compute_unit=options["compute_unit"], treatment=read.treatment
    )
    known = [table.arch for table in tables if len(table)]
    if baseline is not None and baseline not in known:
        raise SpecError(
            f"--baseline: {baseline!r} has no row left in column {read.columns.arch!r}{nearest(baseline, known)}"
        )
    gates = {table.arch: list(table.gate.lines()) for table in tables}
    shown = paths[0].name if len(paths) == 1 else source
    records = table_records(shown, tables, options, read.treatment.best_of)
    store = RunStore(runs_dir)
    store.create()
    mirror = writable_mirror(runs_dir)
    index = ScanIndex(
        name=scan_name(paths) if name is None else name,
        description=f"Imported from {shown}; N counts parameters {COUNTED[options['param_convention']]}",
        baseline=baseline,
        runs=tuple(
            IndexedRun(contender=record.contender, size_index=record.size_index, seed=record.seed, run_id=record.run_id)
            for record in records
        ),
        spec={},
        environment={
            "origin": origin_of(shown, options),
            "file_sha256": read.content,
            "data": {"corpus_hash": read.content, "text": text},
            "gate": gates,
        },
    )
    check_names(
        index,
        scan="--name" if name is not None else f"{source}: say --name",
        contender=f"{source}: --arch {read.columns.arch}",
    )
    admit = None if replaces else partial(require_free, store, rename=lambda free: shell_words("--name", free))
    if admit is not None:
        admit(index)
    for record in records:
        write_imported(store.directory(record.run_id), record)
    if mirror is not None:
        mirror.push_plans([record.run_id for record in records])
    save_scan(store, index, admit)
    for arch, lines in gates.items():
        for line in lines:
            note(f"{arch}: {line}")
    if read.places is not None:
        told: set[int] = set()
        for table in tables:
            told.update(row for left in table.gate.left_out for row in left.rows)
            told.update(row for found in table.gate.suspicions for row in found.rows)
        for line in row_places(read.places, told):
            note(line)
    if unequal := unequal_choices(records):
        note(f"warning: {unequal}")
    for table in tables:
        if not len(table):
            note(f"warning: {dropped_words(table)}")
    what = f"{counted(len(records), 'run')} of {counted(len(known), 'architecture')}"
    note(f"{source}: {what} {'is' if len(records) == 1 else 'are'} now scan {index.name!r} in {runs_dir}")


def _check(options: dict[str, Any], text: str | None) -> None:
    """Raises SpecError for flags that contradict each other."""
    from archbench.answers.table_records import check_costs

    check_costs(options)
    if text is not None and not text.strip():
        raise SpecError("--text: got an empty name; name the text that losses were measured on, for example c4-val")


@dataclass(frozen=True)
class _Read:
    """A table of runs, and how it is meant."""

    frame: "pd.DataFrame"
    columns: "Columns"
    treatment: "Treatment"
    content: str
    """SHA-256 of what was read, in hex."""
    places: "pd.DataFrame | None" = None
    """Run, file and place of each row, where the rows were made of histories and are no rows of a file."""


def _read(paths: Sequence[Path], kind: str | None, plugin_files: Sequence[Path], options: dict[str, Any]) -> _Read:
    from archbench.analysis.tables.files import read_table
    from archbench.analysis.tables.run_facts import Asked

    host = host_with(plugin_files)
    chosen = reader_of(host, paths, kind)
    given = all_given(options["settings"], options["about"])
    treatment, write_table = treatment_of(options), options["write_table"]
    if chosen == TABLE and not (given or write_table) and has_all_columns(paths, options):
        content = hashlib.sha256(paths[0].read_bytes()).hexdigest()
        return _Read(read_table(paths[0]), columns_of(options), treatment, content)
    for flag in ("params_active", "params_total"):
        if options[flag]:
            raise SpecError(f"--{flag.replace('_', '-')}: names a column of a table that has all of its columns")
    found = read_evaluations(
        reader_for(host, chosen, paths, options),
        paths,
        Asked(
            **{key: options[key] for key in FLAGS},
            param_convention=options["param_convention"],
            given=given,
        ),
    )
    if write_table is not None:
        save_table(found, write_table)
    frame = found.frame.drop(columns=["file", "place"])
    content = hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
    treatment = replace(treatment, loss_unit=treatment.loss_unit or found.loss_unit)
    return _Read(frame, evaluation_columns(found), treatment, content, found.frame[["run", "file", "place"]])
