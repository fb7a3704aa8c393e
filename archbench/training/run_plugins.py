"""Plug-ins in a process that trains many runs: loaded for the runs that need them, their side effects looked for."""

import logging
from collections.abc import Sequence
from pathlib import Path

from archbench.errors import StoreError
from archbench.hookspecs import PROJECT_NAME
from archbench.host import load_host
from archbench.registry import Registry
from archbench.runs.directory import RunDirectory
from archbench.spec.identity import RunPlan
from archbench.training.assembly import choose_device
from archbench.training.engine import start_deepspeed
from archbench.training.process_state import changes, global_functions, process_state
from archbench.training.torch_settings import configure_torch

log = logging.getLogger(__name__)

_LISTED = 4
"""Changes that are told one by one."""


class RunPlugins:
    """What plug-ins offer to each run, and what those of the last run have left changed.

    A run is given the plug-ins of its own identity and archbench's: one that hangs, dies or meddles when it is imported
    is then no affair of other runs.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        """`files`: plug-in modules by path. One that is not there, or broken, is told to the runs that need it."""
        self._files = files
        self._registries = {frozenset[str](): load_host(files=files, distributions=()).registry}
        self._before: dict[str, object] | None = None

    def registry_for(self, directory: RunDirectory) -> Registry:
        """The components that the run in `directory` may use. Imports plug-ins that no run needed so far."""
        self._before = None
        try:
            plan = directory.read_plan()
        except StoreError:  # carrying the run out meets the same problem, and tells it
            return self._registries[frozenset()]
        strangers = frozenset(plan.identity.distributions) - {PROJECT_NAME}
        if strangers:
            self._before = _prepared(plan)
        if strangers not in self._registries:
            self._registries[strangers] = load_host(files=self._files, distributions=strangers).registry
        return self._registries[strangers]

    def side_effects(self) -> str | None:
        """What the plug-ins of the last run have changed in this process, in words; None if nothing was found.

        Another run here might have other bits than it has elsewhere.
        """
        if self._before is None:
            return None
        try:
            changed = changes(self._before, process_state() | global_functions())
        except Exception:  # torch itself may be of no more use
            log.exception("looking at the process failed")
            return "so much that it cannot be looked at"
        if not changed:
            return None
        more = f" and {len(changed) - _LISTED} more" if len(changed) > _LISTED else ""
        return f"{', '.join(changed[:_LISTED])}{more}"


def _prepared(plan: RunPlan) -> dict[str, object] | None:
    """This process as it is once it is ready for `plan`; None where it cannot be, as the run will tell.

    What the first run of a process sets up is not to be laid at a plug-in's door.
    """
    try:
        start_deepspeed(choose_device(plan.execution.device))
        configure_torch(plan.execution.threads)
        return process_state() | global_functions()
    except Exception:  # whatever it is, carrying the run out meets it again, and has the words for it
        log.exception("the process could not be made ready")
        return None
