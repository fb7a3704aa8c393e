"""What `--json` prints of laws and forecasts. Importing this loads scipy."""

from dataclasses import dataclass

from archbench.analysis.fitting.forecast import BacktestRow, Forecast
from archbench.analysis.fitting.selection import LawRow
from archbench.analysis.planning.approaches import AllocationRow
from archbench.analysis.planning.scan_forecast import ScanForecast
from archbench.answers.outputs.gate import GateOutput
from archbench.planning.next_runs import NextRuns
from archbench.results.fits import FitResult, Interval
from archbench.studies.transfer.forecast import TransferForecast


@dataclass(frozen=True, slots=True)
class NextOutput:
    """`archbench plan --next`."""

    scan: str
    axis: str
    plans: list[NextRuns]
    refused: list[str]
    """Contenders whose runs do not say enough, one line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVariant(FitResult):
    """The same law under another convention."""

    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRow(FitResult):
    """The law of one architecture."""

    arch: str
    laws: list[LawRow]
    """The laws side by side; empty where one was named."""
    recommended: str
    """Why the law was recommended; empty where one was named."""
    audit: list[AuditVariant]
    back_test: list[BacktestRow]
    gate: GateOutput


@dataclass(frozen=True, slots=True)
class FitOutput:
    """`archbench fit`."""

    file: str
    fits: list[FitRow]


@dataclass(frozen=True, slots=True)
class ArchAllocation:
    """How N and D of one architecture grow with compute."""

    arch: str
    allocation: list[AllocationRow]
    """One for each approach."""
    gate: GateOutput


@dataclass(frozen=True, slots=True)
class AllocationOutput:
    """`archbench fit --law allocation`."""

    file: str
    fits: list[ArchAllocation]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """What a budget buys, by a law of a table."""

    flops: float
    at: dict[str, float]
    """Where the law was read: C, or N and D."""
    loss: Interval
    beyond: dict[str, float]
    """Of N, D and C: how many times the largest of the data, or, below 1, what share of the smallest; 1 inside."""
    beyond_data: float
    """The largest of these factors, to either side; at least 1."""
    far: bool
    params: Interval | None
    """N that spends the budget best; None where the law is L(C)."""
    tokens: Interval | None


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """Forecasts of one architecture."""

    arch: str
    laws: list[LawRow]
    """The laws side by side; empty where one was named."""
    reason: str
    """Why the law was recommended; empty where one was named."""
    fit: FitResult | None
    """None where no law of the table may be read."""
    budgets: list[BudgetRow]
    """None at all where the fit may not be read."""
    at: list[Forecast]
    """At each point that was asked for."""
    gate: GateOutput


@dataclass(frozen=True, slots=True)
class ForecastOutput:
    """`archbench forecast FILE`."""

    file: str
    forecasts: list[ForecastRow]


@dataclass(frozen=True, slots=True)
class ScanForecastOutput:
    """`archbench forecast --scan`."""

    scan: str
    forecasts: list[ScanForecast]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRow(TransferForecast):
    """One direction of one study."""

    study: str


@dataclass(frozen=True, slots=True)
class TransferForecastOutput:
    """`archbench forecast --transfer`."""

    scan: str
    forecasts: list[TransferRow]
