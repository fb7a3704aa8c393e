"""Every hook that a plug-in may implement.

A plug-in is a module or object named by an entry point in the group `archbench`; it marks its functions with
`archbench.api.hookimpl`. Hooks that register *return* classes; archbench builds instances from specs later, so
implementations are cheap and import no torch. Each implementation is called by itself: one that raises is listed by
`archbench plugins` and is fatal only to a spec that needs it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from archbench.contracts.architecture import ArchitectureConfig
from archbench.contracts.data import DatasetConfig, TokenizerConfig
from archbench.contracts.executor import ExecutorConfig
from archbench.contracts.objective import ObjectiveConfig
from archbench.contracts.optimizer import OptimizerConfig
from archbench.contracts.report import ReportSection, ScanResults
from archbench.contracts.run_reader import RunReader
from archbench.contracts.study import StudyConfig
from archbench.contracts.tracker import TrackerConfig
from archbench.plugin_folders import GROUP
from archbench.results.runs import RunRecord

if TYPE_CHECKING:
    import click

HOOK_API_VERSION = 1
"""Rises when a hook changes in a way that plug-ins notice."""

PROJECT_NAME = GROUP
"""The name that pluggy's markers carry."""

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)


@hookspec
def register_architectures() -> Sequence[type[ArchitectureConfig]]:
    """Architectures to make known, as config classes.

    Called once, at start. A name that is already taken is refused: the plug-in that came first keeps it.
    """
    raise NotImplementedError


@hookspec
def register_objectives() -> Sequence[type[ObjectiveConfig]]:
    """Training objectives to make known, as config classes."""
    raise NotImplementedError


@hookspec
def register_optimizers() -> Sequence[type[OptimizerConfig]]:
    """Optimizers to make known, as config classes: what `training.optimizer` chooses from."""
    raise NotImplementedError


@hookspec
def register_datasets() -> Sequence[type[DatasetConfig]]:
    """Sources of text to make known, as config classes."""
    raise NotImplementedError


@hookspec
def register_tokenizers() -> Sequence[type[TokenizerConfig]]:
    """Tokenizers to make known, as config classes."""
    raise NotImplementedError


@hookspec
def register_executors() -> Sequence[type[ExecutorConfig]]:
    """Executors to make known, as config classes."""
    raise NotImplementedError


@hookspec
def register_trackers() -> Sequence[type[TrackerConfig]]:
    """Trackers to make known, as config classes: where runs are shown, chosen in `execution.trackers`."""
    raise NotImplementedError


@hookspec
def register_run_readers() -> Sequence[type[RunReader]]:
    """Formats of runs made elsewhere to make known, as config classes: what `archbench import` offers."""
    raise NotImplementedError


@hookspec
def register_studies() -> Sequence[type[StudyConfig]]:
    """Kinds of studies to make known, as config classes: what `studies` of a spec chooses from.

    The sections that a kind names in `sections` are registered with it.
    """
    raise NotImplementedError


@hookspec
def register_report_sections() -> Sequence[type[ReportSection]]:
    """Sections that every report gets, as config classes."""
    raise NotImplementedError


@hookspec(firstresult=True)
def select_executor(num_jobs: int) -> ExecutorConfig | None:
    """The executor for a spec that names none (`executor: auto`), or None to leave the choice to others.

    The first answer that is not None is taken; a stranger's plug-in is asked before archbench's own.
    """


@hookspec
def run_finished(record: RunRecord) -> None:
    """Observes that a run has ended, in whatever state. Called in the process that drives the scan.

    An exception is logged and changes nothing.
    """


@hookspec
def scan_finished(results: ScanResults) -> None:
    """Observes that a scan was analysed. An exception is logged and changes nothing."""


@hookspec
def register_commands(cli: "click.Group") -> Any:
    """Adds commands to the command line: `cli.add_command(...)`. Nothing that it returns is used."""
