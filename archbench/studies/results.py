"""What studies of one variable return. Frozen values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from archbench.results.fits import FitResult, FitStatus
from archbench.results.studies import StudyOfContender, StudyPoint

if TYPE_CHECKING:
    from archbench.analysis.laws.single import OneVariableLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleLawStudy(StudyOfContender):
    """Loss against one variable, with its law. A subclass says which: the letter, the form, the words."""

    variable: ClassVar[str]
    """Letter of the law's variable; its exponent is `alpha_` and the letter."""
    against: ClassVar[str]
    """What the loss is held against, in words."""
    lowest: ClassVar[bool] = False
    """Whether losses are the lowest of each run."""

    points: tuple[StudyPoint, ...]
    law: FitResult
    law_with_floor: FitResult

    def values(self) -> list[float]:
        """The law's variable at each of `points`."""
        raise NotImplementedError

    def form(self) -> "OneVariableLaw":
        """The law."""
        from archbench.analysis.laws.single import one_variable_law

        return one_variable_law(self.variable)

    def axis_label(self, params: str) -> str:
        """What the axis is called; params: how the scan calls its number of parameters."""
        return f"{self.against}, {self.variable}"

    @property
    def best_law(self) -> FitResult:
        """The law above a floor where the runs tell one, else the one without."""
        return self.law_with_floor if self.law_with_floor.status is FitStatus.OK else self.law
