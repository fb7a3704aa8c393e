"""`archbench runs`: what the store holds, run by run."""

from pathlib import Path
from typing import Any

import click

from archbench.cli.common import json_option, print_json, runs_option
from archbench.errors import StoreError
from archbench.results.runs import RunRecord, origin_text
from archbench.runs.directory import RunDirectory
from archbench.runs.records import read_record
from archbench.runs.store import RunStore, directory_bytes
from archbench.units import human_bytes, human_count


@click.group()
def runs() -> None:
    """List stored runs, or show one."""


@runs.command("list")
@runs_option
@json_option
def list_runs(runs_dir: Path, as_json: bool) -> None:
    """List every run in the store, whichever scan it belongs to."""
    store = RunStore(runs_dir)
    rows: list[dict[str, Any]] = []
    for directory in store.directories():
        record, problem = _read(directory)
        if record is None:
            rows.append({"run_id": directory.path.name, "state": "damaged", "reason": problem})
        else:
            rows.append(_row(record, directory))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        if row["state"] == "damaged":
            click.echo(f"{row['run_id']}  damaged: {row['reason']}")
            continue
        loss = "" if row["validation_loss_nats"] is None else f", loss {row['validation_loss_nats']:.4f} nats"
        origin = "" if row["origin"] == "archbench" else f"  from {row['origin']}"
        click.echo(
            f"{row['run_id'][:16]}  {row['architecture']:<16} {row['objective']:<12} "
            f"{row['non_embedding_params']:>12,} parameters  {human_count(row['planned_tokens']):>6} tokens  "
            f"seed {row['seed']}  {row['state']}{loss}{origin}"
        )
    click.echo(f"{len(rows)} runs, {human_bytes(store.disk_bytes())}")


@runs.command("show")
@click.argument("run_id")
@runs_option
@json_option
def show_run(run_id: str, runs_dir: Path, as_json: bool) -> None:
    """Show one run, named by the first digits of its id, with its learning curve."""
    directory = RunStore(runs_dir).find(run_id)
    record, problem = _read(directory)
    if record is None:
        raise StoreError(problem)
    row = _row(record, directory)
    curve = [
        {
            "step": point.step,
            "tokens": point.tokens,
            "kaplan_flops": point.kaplan_flops,
            "exact_flops": point.exact_flops,
            "device_seconds": point.device_seconds,
            "train_loss_nats": point.train_loss_nats,
            "validation_loss_nats": point.validation_loss_nats,
            "bits_per_byte": point.bits_per_byte,
        }
        for point in record.curve
    ]
    if as_json:
        identity = record.details.get("identity")
        print_json({**row, "plugins": record.plugin_origins, "curve": curve, "identity": identity})
        return
    for name, value in row.items():
        click.echo(f"{name}: {value}")
    for what, origin in record.plugin_origins.items():
        click.echo(f"{what} plug-in: {origin_text(origin)}")
    click.echo(f"{'step':>8} {'tokens':>8} {'exact FLOPs':>12} {'seconds':>8} {'train':>8} {'validation':>10}")
    for point in record.curve:
        seconds = "" if point.device_seconds is None else f"{point.device_seconds:.1f}"
        train = "" if point.train_loss_nats is None else f"{point.train_loss_nats:.4f}"
        click.echo(
            f"{point.step:>8} {human_count(point.tokens):>8} {human_count(point.exact_flops):>12} {seconds:>8} "
            f"{train:>8} {point.validation_loss_nats:>10.4f}"
        )


def _read(directory: RunDirectory) -> tuple[RunRecord | None, str]:
    try:
        return read_record(directory, contender="", size_index=0), ""
    except StoreError as error:
        return None, str(error)


def _row(record: RunRecord, directory: RunDirectory) -> dict[str, Any]:
    audit = record.prefix_audit
    return {
        "run_id": record.run_id,
        "architecture": record.architecture,
        "objective": record.objective,
        "non_embedding_params": record.non_embedding_params,
        "embedding_params": record.embedding_params,
        "planned_tokens": record.planned_tokens,
        "seed": record.seed,
        "origin": record.origin,
        "state": record.state.value,
        "reason": record.reason,
        "validation_loss_nats": record.curve[-1].validation_loss_nats if record.curve else None,
        "prefix_gain_nats": audit.mean_gain_nats if audit else None,
        "directory": str(directory.path),
        "disk_bytes": directory_bytes(directory.path),
    }
