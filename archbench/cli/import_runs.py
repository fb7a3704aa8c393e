"""`archbench import FILE`: runs made elsewhere, put into the run store as a scan of their own."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import click

from archbench.cli.common import PATH, note, replace_option, runs_option, shell_words
from archbench.errors import SpecError, nearest
from archbench.units import counted


@click.command(name="import")
@click.argument("file", type=PATH)
@click.option("--params", required=True, metavar="COL", help="Column of parameters N.")
@click.option(
    "--param-convention", required=True, type=click.Choice(["non_embedding", "total"]), help="What it counts."
)
@click.option("--tokens", required=True, metavar="COL", help="Column of tokens seen D.")
@click.option("--loss", required=True, metavar="COL", help="Column of held-out loss, nats per token.")
@click.option("--arch", required=True, metavar="COL", help="Column of the architecture: the contender.")
@click.option(
    "--track", required=True, type=click.Choice(["causal", "masked"]), help="Losses compare in one track only."
)
@click.option("--compute", metavar="COL", help="Column of training compute; 6·N·D stands in for it otherwise.")
@click.option("--compute-unit", type=click.Choice(["flops", "pf-days", "seconds", "gpu-hours"]), help="Its unit.")
@click.option("--seed", metavar="COL", help="Column of the seed.")
@click.option(
    "--step", metavar="COL", help="Column of optimiser steps; several rows of one run are points of its curve."
)
@click.option("--run", metavar="COL", help="Column that names the run.")
@click.option("--name", metavar="NAME", help="Name of the scan; the file's name otherwise.")
@click.option("--baseline", metavar="ARCH", help="The architecture that others are compared with.")
@replace_option
@runs_option
def import_runs(
    file: Path,
    params: str,
    param_convention: str,
    tokens: str,
    loss: str,
    arch: str,
    track: str,
    compute: str | None,
    compute_unit: str | None,
    seed: str | None,
    step: str | None,
    run: str | None,
    name: str | None,
    baseline: str | None,
    replaces: bool,
    runs_dir: Path,
) -> None:
    """Put runs that were made elsewhere into the run store.

    `compare` and `report` then treat them like any scan, their origin stated. Importing a file again changes nothing;
    one that would drop runs of another scan of its name is refused.
    """
    from archbench.analysis.tables.read import Columns, read_table, run_tables
    from archbench.analysis.tables.records import ImportSettings, records_of
    from archbench.runs.imported import imported_run_id, write_imported
    from archbench.runs.replacing import check_names, require_free
    from archbench.runs.store import IndexedRun, RunStore, ScanIndex

    if compute and not compute_unit:
        raise SpecError("--compute-unit: say flops, pf-days, seconds or gpu-hours; it is not guessed")
    frame = read_table(file)
    columns = Columns(
        loss=loss, params=params, tokens=tokens, compute=compute, arch=arch, seed=seed, step=step, run=run
    )
    tables = run_tables(frame, columns, source=str(file), compute_unit=compute_unit)
    known = [table.arch for table in tables]
    if baseline is not None and baseline not in known:
        raise SpecError(f"--baseline: {baseline!r} is not in column {arch!r}{nearest(baseline, known)}")
    settings = ImportSettings(f"{file.name} (N {param_convention})", track, param_convention, compute_unit)
    store = RunStore(runs_dir)
    store.create()
    found = [record for table in tables for record in records_of(table, table.values.get("seed"), settings)]
    records = [replace(record, run_id=imported_run_id(record)) for record in found]
    text = hashlib.sha256(file.read_bytes()).hexdigest()
    index = ScanIndex(
        name=name or re.sub(r"[^\w.-]+", "-", file.stem),
        description=f"Imported from {file.name}; N {param_convention}",
        baseline=baseline,
        runs=tuple(
            IndexedRun(contender=record.contender, size_index=record.size_index, seed=record.seed, run_id=record.run_id)
            for record in records
        ),
        spec={},
        environment={"origin": settings.origin, "file_sha256": text, "data": {"corpus_hash": text}},
    )
    check_names(index, scan="--name" if name else f"{file}: say --name", contender=f"{file}: --arch {arch}")
    if not replaces:
        require_free(store, index, rename=lambda free: shell_words("--name", free))
    for record in records:
        write_imported(store.directory(record.run_id), record)
    store.save_scan(index)
    what = f"{counted(len(records), 'run')} of {counted(len(tables), 'architecture')}"
    note(f"{file}: {what} {'is' if len(records) == 1 else 'are'} now scan {index.name!r} in {runs_dir}")
