"""Weights & Biases, or any module that has its functions `init`, `log` and `finish`."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from archbench.api import PluginError, Progress, RunRecord, Tracker, TrackerConfig
from archbench.builtins.tools.tracked import hyperparameters, measured_values, point_values, run_name


class WandbConfig(TrackerConfig):
    """Tracker `wandb`."""

    kind: Literal["wandb"] = "wandb"
    summary: ClassVar[str] = "Weights & Biases or a module like it (needs archbench[wandb])"

    module: str = "wandb"
    """Module with the functions `init`, `log` and `finish`."""
    project: str = "archbench"
    init: Mapping[str, Any] = {}
    """Further arguments of `init`, for example `{mode: offline, entity: us}`."""

    def open(self, *, scan: str, folder: Path) -> Tracker:
        """See `TrackerConfig.open`. Raises PluginError where the module is not installed."""
        # Said before the import, which reads it: its own lines would fall into the table of runs.
        os.environ.setdefault("WANDB_SILENT", "true")
        try:
            module = importlib.import_module(self.module)
        except ImportError as error:
            hint = "; pip install 'archbench[wandb]'" if self.module == "wandb" else ""
            raise PluginError(f"{error}{hint}") from error
        if lacking := [name for name in ("init", "log", "finish") if not callable(getattr(module, name, None))]:
            raise PluginError(
                f"module {self.module!r} has no function {lacking[0]!r}; name one that has init, log and finish"
            )
        options: dict[str, Any] = {"project": self.project, "group": scan, **self.init}
        if self.module == "wandb" and "dir" not in options:
            folder.mkdir(parents=True, exist_ok=True)
            options["dir"] = str(folder)
        return Wandb(module, options)


class Wandb:
    """One tracked run for each run of the scan, written when it has ended.

    Such modules serve one run at a time and take steps in rising order only, while runs go on side by side: the record
    is what they are given, whole.
    """

    def __init__(self, module: Any, options: Mapping[str, Any]) -> None:
        self._module = module
        self._options = options

    def progressed(self, progress: Progress) -> None:
        """Nothing: see the class."""

    def run_ended(self, record: RunRecord) -> None:
        """Hyperparameters, the curve point by point, and what was measured."""
        self._module.init(name=run_name(record), config=hyperparameters(record), **self._options)
        try:
            for point in record.curve:
                last = point is record.curve[-1]
                self._module.log(point_values(point) | (measured_values(record) if last else {}), step=point.step)
        finally:
            self._module.finish()

    def close(self) -> None:
        """Nothing is left open."""
