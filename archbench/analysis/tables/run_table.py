"""Which column of a table holds what, and the runs of one architecture ready for a law."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.laws.base import Law
from archbench.errors import SpecError
from archbench.results.admission import Admission


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what; None where a quantity has none."""

    loss: str
    params: str | None = None
    tokens: str | None = None
    compute: str | None = None
    arch: str | None = None
    seed: str | None = None
    step: str | None = None
    run: str | None = None
    critical_batch: str | None = None
    finetune_tokens: str | None = None
    transferred: str | None = None
    params_total: str | None = None
    seconds: str | None = None


@dataclass(frozen=True, slots=True)
class RunTable:
    """Runs of one architecture, ready for a law. Arrays are of one length, unlogged."""

    arch: str
    values: Mapping[str, Array]
    """By the law's letters: N, D, C, S, L, B, D_F, D_T, where there is a column; also `seed`, `settings_tried` (of how
    many settings its own is the best), `N_total`, `seconds`."""
    clusters: np.ndarray
    """Label of each point's run."""
    finished: np.ndarray
    """Whether the point is its run's last."""
    gate: Admission = field(default_factory=Admission)
    """Which rows of the table these are, which were left out and why, and what is suspicious."""
    rows: np.ndarray | None = None
    """Place of each point in the file, from 1; None where there is no file."""

    def __len__(self) -> int:
        """Number of points."""
        return len(self.clusters)

    def take(self, chosen: np.ndarray) -> "RunTable":
        """The points at `chosen`: indices, or where true."""
        values = {name: value[chosen] for name, value in self.values.items()}
        rows = None if self.rows is None else self.rows[chosen]
        return RunTable(self.arch, values, self.clusters[chosen], self.finished[chosen], self.gate, rows)

    def inputs(self, law: Law) -> tuple[dict[str, Array], Array]:
        """The law's variables and response. Raises SpecError naming the column that is not mapped."""
        flags = {"N": "--params", "D": "--tokens", "C": "--compute", "S": "--step", "L": "--loss"}
        flags |= {"B": "--critical-batch", "D_F": "--finetune-tokens", "D_T": "--transferred"}
        for name in (*law.variables, law.response):
            if name not in self.values:
                raise SpecError(f"--law {law.name}: {law.title} needs {name}; name its column by {flags[name]}")
        return {name: self.values[name] for name in law.variables}, self.values[law.response]
