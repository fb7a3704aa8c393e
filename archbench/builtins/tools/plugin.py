"""A journal of finished runs and scans with the command that shows it, and trackers."""

import click

from archbench.api import RunRecord, ScanResults, TrackerConfig, hookimpl
from archbench.builtins.tools.tensorboard import TensorBoardConfig
from archbench.builtins.tools.wandb import WandbConfig


@hookimpl
def register_trackers() -> list[type[TrackerConfig]]:
    """TensorBoard, and Weights & Biases."""
    return [TensorBoardConfig, WandbConfig]


@hookimpl
def run_finished(record: RunRecord) -> None:
    """Notes the run in the journal."""
    from archbench.builtins.tools.journal import note_run

    note_run(record)


@hookimpl
def scan_finished(results: ScanResults) -> None:
    """Notes the scan in the journal."""
    from archbench.builtins.tools.journal import note_scan

    note_scan(results)


@hookimpl
def register_commands(cli: click.Group) -> None:
    """Adds `archbench journal`."""
    from archbench.builtins.tools.journal import journal

    cli.add_command(journal)
