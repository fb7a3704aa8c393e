"""What a section of a report offers."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archbench.contracts.config import ComponentConfig
from archbench.results.controls import ControlOutcome
from archbench.results.fits import Comparison, FrontierResult
from archbench.results.runs import RunRecord


@dataclass(frozen=True, slots=True)
class ScanResults:
    """All that a report is made of: the runs of one scan and what the analysis made of them."""

    name: str
    description: str
    baseline: str | None
    records: tuple[RunRecord, ...]
    """Every planned run of the size scan, usable or not."""
    frontiers: tuple[FrontierResult, ...]
    """One for each contender and cost axis."""
    comparisons: tuple[Comparison, ...]
    spec: Mapping[str, Any]
    """The spec as resolved."""
    environment: Mapping[str, Any]
    """Versions, plug-in origins, hardware, data and tokenizer hashes."""
    warnings: Sequence[str] = field(default=())
    studies: Mapping[str, object] = field(default_factory=dict)
    """Name of a study -> what its analysis returned: a tuple with one value for each contender, or one for all."""
    study_sentences: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Name of a study -> what the verdict says of it, a line each."""
    trials: tuple[RunRecord, ...] = ()
    """Runs that helped to choose learning rates and are no results."""
    study_records: tuple[RunRecord, ...] = ()
    """Every planned run of the studies beside the size scan, whatever its role, usable or not."""
    controls: tuple[ControlOutcome, ...] = ()
    """What the controls of the spec's question came to."""
    control_records: tuple[RunRecord, ...] = ()
    """Their runs, which are no results."""


Cell = str | int | float | bool | None
"""What a cell of a data table holds; None where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a data table."""

    name: str
    """Lower case with underscores, its unit in it where it has one: `loss_nats`."""
    unit: str
    """`nats`, `FLOPs`, ...; empty for words, counts and plain ratios."""
    about: str
    """What a value is."""


@dataclass(frozen=True, slots=True)
class DataTable:
    """The numbers behind a figure or a table of a report, as they are stored in `data/`."""

    name: str
    """Name of its files without suffix."""
    about: str
    """What one row is."""
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    """One cell for each column."""


class ReportSection(ComponentConfig):
    """One section of a report, made of results alone."""

    title: str = ""
    order: int = 500
    """Sections are printed in rising order."""

    @abstractmethod
    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """The section's Markdown body; figures go to `figures_dir`. None leaves the section out."""

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """Every number behind the section's figures; stored as CSV, Parquet and JSON. By default none."""
        return ()
