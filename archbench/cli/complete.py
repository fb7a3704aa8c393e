"""What shells offer for arguments: specs, scans, runs, plug-ins. Nothing here loads torch or reads a record."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from archbench.bundled_specs import bundled_specs

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_MOST = 200
"""Items that are offered; nobody reads more."""


def quietly(offer: Callable[[click.Context, str], Iterator[CompletionItem]]) -> Completer:
    """`offer` for click: what begins as typed; an error offers nothing, since a shell has no place to tell it."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return list(itertools.islice(offer(context, incomplete), _MOST))
        except Exception:  # a damaged store or a stranger's plug-in must not spoil the command line
            return []

    return complete


def _spec_files(incomplete: str) -> Iterator[CompletionItem]:
    """YAML files that begin as typed, down to two folders below."""
    folder, slash, _ = incomplete.rpartition("/")
    start = Path(folder + slash) if slash else Path()
    levels = ("*", "*/*", "*/*/*")
    paths = itertools.chain.from_iterable(sorted(start.glob(f"{level}.y*ml")) for level in levels)
    for path in paths:
        name = str(path)
        hidden = any(part.startswith(".") for part in path.relative_to(start).parts)
        if name.startswith(incomplete.removeprefix("./")) and path.suffix in (".yaml", ".yml") and not hidden:
            yield CompletionItem(name)


def _specs(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Files of specs, then bundled ones by name; the shell's own files where there are none."""
    known = [*_spec_files(incomplete), *_bundled(context, incomplete)]
    yield from known or [CompletionItem(incomplete, type="file")]


def _bundled(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Names of bundled specs that begin as typed."""
    yield from (CompletionItem(name) for name in bundled_specs() if name.startswith(incomplete))


def _scans(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Names of the scans in the store that the command line names."""
    from archbench.runs.store import RunStore

    store = RunStore(_runs_dir(context))
    yield from (CompletionItem(name) for name in store.scan_names() if name.startswith(incomplete))


def _specs_and_scans(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Scans of the store, then files of specs; a bundled spec that was run is among the scans."""
    known = [*_scans(context, incomplete), *_spec_files(incomplete)]
    yield from known or [CompletionItem(incomplete, type="file")]


def _scans_reports_and_runs(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Scans and runs of the store; then folders, one of which may hold a report."""
    known = [*_scans(context, incomplete), *_runs(context, incomplete)]
    yield from known or [CompletionItem(incomplete, type="dir")]


def _runs(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Ids of the runs in the store, as many digits as name a directory."""
    from archbench.runs.store import RunStore

    for directory in RunStore(_runs_dir(context)).directories():
        if directory.path.name.startswith(incomplete):
            yield CompletionItem(directory.path.name)


def _contenders(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Contenders of all scans in the store."""
    from archbench.results.runs import size_scan_contenders
    from archbench.runs.store import RunStore

    store = RunStore(_runs_dir(context))
    names = {name for scan in store.scan_names() for name in size_scan_contenders(store.scan(scan).runs)}
    yield from (CompletionItem(name) for name in sorted(names) if name.startswith(incomplete))


def _plugins(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Plug-ins by name, and what they offer by kind."""
    from archbench.host import default_host

    host = default_host()
    kinds = itertools.chain.from_iterable(names for info in host.plugins for names in info.registered.values())
    for name in sorted({*(info.name for info in host.plugins), *kinds}):
        if name.startswith(incomplete):
            yield CompletionItem(name)


def _architectures(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    from archbench.host import default_host

    kinds: Any = default_host().registry.architectures.entries
    yield from (CompletionItem(kind) for kind in sorted(kinds) if kind.startswith(incomplete))


def _trackers(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    from archbench.host import default_host

    kinds: Any = default_host().registry.trackers.entries
    yield from (CompletionItem(kind) for kind in sorted(kinds) if kind.startswith(incomplete))


def _run_readers(context: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    from archbench.host import default_host

    kinds: Any = default_host().registry.run_readers.entries
    yield from (CompletionItem(kind) for kind in sorted(kinds) if kind.startswith(incomplete))


def _runs_dir(context: click.Context) -> Path:
    """The store that the command line names so far; `runs` otherwise."""
    return Path(context.params.get("runs_dir") or "runs")


specs = quietly(_specs)
bundled_spec_names = quietly(_bundled)
scans = quietly(_scans)
specs_and_scans = quietly(_specs_and_scans)
stored_runs = quietly(_runs)
scans_reports_and_runs = quietly(_scans_reports_and_runs)
contenders = quietly(_contenders)
plugins_and_kinds = quietly(_plugins)
architectures = quietly(_architectures)
trackers = quietly(_trackers)
run_readers = quietly(_run_readers)
