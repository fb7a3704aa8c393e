"""The bundled sections of reports."""

from collections.abc import Sequence

from archbench.builtins.reports.audit_sections import AuditSection, BacktestSection
from archbench.builtins.reports.memory_section import MemorySection
from archbench.builtins.reports.question_sections import CollapseSection, QuestionSection, RungSection
from archbench.builtins.reports.run_sections import EnvironmentSection, RunSection
from archbench.builtins.reports.sections import (
    ExponentSection,
    FrontierSection,
    LearningCurveSection,
    MultiplierSection,
)
from archbench.builtins.reports.text_section import EvaluationTextSection
from archbench.builtins.reports.tuning_section import TuningSection
from archbench.contracts.report import ReportSection
from archbench.hookspecs import hookimpl


@hookimpl
def register_report_sections() -> Sequence[type[ReportSection]]:
    """All sections, in the order of the report."""
    return [
        QuestionSection,
        FrontierSection,
        ExponentSection,
        AuditSection,
        BacktestSection,
        TuningSection,
        MultiplierSection,
        MemorySection,
        RungSection,
        LearningCurveSection,
        EvaluationTextSection,
        CollapseSection,
        RunSection,
        EnvironmentSection,
    ]
