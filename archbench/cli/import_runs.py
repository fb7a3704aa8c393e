"""`archbench import FILE`: runs made elsewhere, put into the run store as a scan of their own."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archbench.cli.common import PATH, note, runs_option
from archbench.cli.run_tables import columns_of, meaning_options, treatment_of
from archbench.errors import SpecError, nearest
from archbench.units import counted

if TYPE_CHECKING:
    from archbench.analysis.tables.read import RunTable
    from archbench.results.runs import RunRecord


@click.command(name="import")
@click.argument("file", type=PATH)
@click.option("--params", metavar="COL", help="Column of parameters N.")
@click.option(
    "--param-convention", required=True, type=click.Choice(["non_embedding", "total"]), help="What it counts."
)
@click.option("--tokens", required=True, metavar="COL", help="Column of tokens seen D.")
@click.option("--loss", required=True, metavar="COL", help="Column of held-out loss; its unit by --loss-unit.")
@click.option("--arch", required=True, metavar="COL", help="Column of the architecture: the contender.")
@click.option(
    "--track", required=True, type=click.Choice(["causal", "masked"]), help="Losses compare in one track only."
)
@click.option("--compute", metavar="COL", help="Column of training compute; 6·N·D stands in for it otherwise.")
@click.option("--compute-unit", type=click.Choice(["flops", "pf-days", "seconds", "gpu-hours"]), help="Its unit.")
@click.option("--seconds", metavar="COL", help="Column of seconds of training, beside a compute column of FLOPs.")
@meaning_options
@click.option("--seed", metavar="COL", help="Column of the seed.")
@click.option(
    "--step", metavar="COL", help="Column of optimiser steps; several rows of one run are points of its curve."
)
@click.option("--run", metavar="COL", help="Column that names the run.")
@click.option("--name", metavar="NAME", help="Name of the scan; the file's name otherwise.")
@click.option("--baseline", metavar="ARCH", help="The architecture that others are compared with.")
@click.option("--text", metavar="NAME", help="Name of the evaluation text: imports of one text can be compared.")
@runs_option
def import_runs(
    file: Path,
    name: str | None,
    baseline: str | None,
    text: str | None,
    runs_dir: Path,
    **options: Any,
) -> None:
    """Put runs that were made elsewhere into the run store.

    `compare` and `report` then treat them like any scan, their origin stated. Importing a file again changes nothing.
    Rows that cannot be meant are left out and named; columns that look like another unit are refused.
    """
    from archbench.analysis.tables.read import read_table, run_tables
    from archbench.runs.imported import imported_run_id, write_imported
    from archbench.runs.store import IndexedRun, RunStore, ScanIndex

    _check(options, text)
    frame, columns = read_table(file), columns_of(options)
    tables = run_tables(
        frame, columns, source=str(file), compute_unit=options["compute_unit"], treatment=treatment_of(options)
    )
    known = [table.arch for table in tables]
    if baseline is not None and baseline not in known:
        raise SpecError(f"--baseline: {baseline!r} is not in column {columns.arch!r}{nearest(baseline, known)}")
    gates = {table.arch: list(table.gate.lines()) for table in tables}
    records = _records(file, tables, options)
    store = RunStore(runs_dir)
    store.create()
    indexed = []
    for record in records:
        record = replace(record, run_id=imported_run_id(record))
        write_imported(store.directory(record.run_id), record)
        indexed.append(
            IndexedRun(contender=record.contender, size_index=record.size_index, seed=record.seed, run_id=record.run_id)
        )
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    index = ScanIndex(
        name=name or re.sub(r"[^\w.-]+", "-", file.stem),
        description=f"Imported from {file.name}; N {options['param_convention']}",
        baseline=baseline,
        runs=tuple(indexed),
        spec={},
        environment={
            "origin": _origin(file, options),
            "file_sha256": content,
            "data": {"corpus_hash": content, "text": text},
            "gate": gates,
        },
    )
    store.save_scan(index)
    for arch, lines in gates.items():
        for line in lines:
            note(f"{arch}: {line}")
    what = f"{counted(len(indexed), 'run')} of {counted(len(tables), 'architecture')}"
    note(f"{file}: {what} {'is' if len(indexed) == 1 else 'are'} now scan {index.name!r} in {runs_dir}")


def _check(options: dict[str, Any], text: str | None) -> None:
    """Raises SpecError for flags that are missing, or that contradict each other."""
    if not (options["params"] or options["params_active"]):
        raise SpecError("--params: name the column of parameters N, or by --params-active that of a mixture of experts")
    if options["compute"] and not options["compute_unit"]:
        raise SpecError("--compute-unit: say flops, pf-days, seconds or gpu-hours; it is not guessed")
    if options["seconds"] and options["compute_unit"] in ("seconds", "gpu-hours"):
        raise SpecError(f"--seconds and --compute in {options['compute_unit']}: both are times; give one of them")
    if text is not None and not text.strip():
        raise SpecError("--text: got an empty name; name the text that losses were measured on, for example c4-val")


def _origin(file: Path, options: dict[str, Any]) -> str:
    return f"{file.name} (N {options['param_convention']})"


def _records(file: Path, tables: "list[RunTable]", options: dict[str, Any]) -> "list[RunRecord]":
    from archbench.analysis.tables.records import ImportSettings, records_of

    settings = ImportSettings(
        origin=_origin(file, options),
        track=options["track"],
        param_convention=options["param_convention"],
        compute_unit=options["compute_unit"],
        active=bool(options["params_active"]),
    )
    filled = [table for table in tables if len(table)]
    return [record for table in filled or tables for record in records_of(table, settings)]
