"""The bundled sections of reports."""

from collections.abc import Sequence

from archbench.builtins.reports.sections import (
    EnvironmentSection,
    ExponentSection,
    FrontierSection,
    LearningCurveSection,
    MultiplierSection,
    RunSection,
)
from archbench.contracts.report import ReportSection
from archbench.hookspecs import hookimpl


@hookimpl
def register_report_sections() -> Sequence[type[ReportSection]]:
    """Frontiers, exponents, multipliers, learning curves, runs, and how to reproduce."""
    return [
        FrontierSection,
        ExponentSection,
        MultiplierSection,
        LearningCurveSection,
        RunSection,
        EnvironmentSection,
    ]
