"""A spec as it is written: all its sections."""

from typing import Annotated

from pydantic import Field

from archbench.contracts.common_settings import CommonSettings
from archbench.contracts.values import Name, Section
from archbench.spec.identity import EvaluationSettings
from archbench.spec.question import QuestionSection
from archbench.spec.settings import (
    ContenderSection,
    DataSection,
    ExecutionSection,
    ObjectiveSlot,
    ScanSection,
    StudySlot,
    TrainingSection,
    Unresolved,
)


class SpecDocument(Section):
    """A spec as it is written."""

    name: Name
    """Of the scan: its report and its entries on the leaderboard are called so."""
    description: str = Field("", max_length=2000)
    """A sentence for the report."""
    baseline: str | None = None
    """The contender that the others are compared with."""
    contenders: dict[Name, ContenderSection] = Field(min_length=1)
    """What is compared, by the names that results use."""
    objective: ObjectiveSlot = Unresolved(kind="causal_lm")
    """Of contenders that name none."""
    common: CommonSettings = CommonSettings()
    """What all contenders have alike because it is not under test, but those that stand `as_published`."""
    data: DataSection
    scan: ScanSection
    studies: dict[Name, StudySlot] = Field(default_factory=dict)
    """What else is trained and analysed beside the scan of sizes, by name."""
    decompose: Annotated[list[Name], Field(min_length=2, max_length=32)] | None = None
    """Contenders in an order in which each differs from the one before in one thing: the report then says what each
    step does to exponent, cost and time."""
    question: QuestionSection | None = None
    """What the scan is to answer: a margin, where it is asked, and the controls of the answer."""
    training: TrainingSection
    evaluation: EvaluationSettings = EvaluationSettings()
    execution: ExecutionSection = ExecutionSection()
