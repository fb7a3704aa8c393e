"""Where the runs of a command are: in a folder, or in a store of objects that a folder of this machine follows."""

from collections.abc import Callable
from pathlib import Path

import click
from click.core import ParameterSource

from archbench.cli.terminal import echo
from archbench.errors import SpecError, StoreError
from archbench.runs.binding import url_of
from archbench.runs.remote.mirror import Mirror
from archbench.runs.remote.probing import probe_objects
from archbench.runs.remote.working_folder import bind, follow_folder, follow_url, mirror_of
from archbench.runs.store import RunStore, ScanIndex
from archbench.scans.mirrored_executor import upload_left_over
from archbench.spec.models import Spec
from archbench.store_urls import is_url


def followed(word: str, *, training: bool) -> Path:
    """The folder that follows the store at `word`, or `word` itself, a folder that follows one; brought up to date."""
    if is_url(word):
        return follow_url(word, training=training)
    folder = Path(word)
    if not follow_folder(folder, training=training):
        if training:
            raise StoreError(f"{folder}: another process is at it; wait for it, or give the store's URL as --runs")
        echo(f"{folder}: another process is at it, and keeps it fresh", err=True)
    return folder


def place_of(ctx: click.Context, runs_dir: Path, spec: Spec, *, training: bool) -> Path:
    """The folder of runs that `spec` and `--runs` mean together: that of `execution.store`, where the spec names one.

    Raises SpecError where they name different stores.
    """
    store = spec.execution.store
    if store is None:
        return runs_dir
    if ctx.get_parameter_source("runs_dir") is not ParameterSource.COMMANDLINE:
        return followed(store.url, training=training)
    found = url_of(runs_dir)
    if found is None:
        bind(runs_dir, store.url)
        return followed(str(runs_dir), training=training)
    if found != store.url:
        raise SpecError(f"--runs: follows {found}, and execution.store.url is {store.url}; leave one of them out")
    return runs_dir


def save_scan(store: RunStore, index: ScanIndex, admit: Callable[[ScanIndex], None] | None = None) -> None:
    """As `RunStore.save_scan`, also in the store that the folder follows, whatever others put there meanwhile."""
    path = store.save_scan(index, admit)
    mirror = mirror_of(store.root)
    while mirror is not None and not mirror.push_scan(path):
        mirror.pull()
        path = store.save_scan(index, admit)


def writable_mirror(runs_dir: Path) -> Mirror | None:
    """What this command writes to a store by, where `runs_dir` follows one: tried, and with what was left over sent.

    Raises StoreError, in one line, where the store cannot be used from this machine.
    """
    mirror = mirror_of(runs_dir)
    if mirror is None:
        return None
    probe_objects(mirror.objects)
    if num_left := upload_left_over(mirror):
        echo(
            f"{mirror.url}: ends of runs that an earlier command could not upload are there now ({num_left})", err=True
        )
    return mirror
