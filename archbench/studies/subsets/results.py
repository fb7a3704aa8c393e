"""What L(D) and L(N,D) return.

Legend: N parameters without embeddings, D tokens.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from archbench.results.fits import FitResult, Interval
from archbench.results.studies import StudyOfContender, StudyPoint
from archbench.studies.results import SingleLawStudy

if TYPE_CHECKING:
    from archbench.analysis.laws.single import OneVariableLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStudy(SingleLawStudy):
    """L(D): lowest loss against the different tokens there are to learn from, on the largest model that was tried."""

    variable: ClassVar[str] = "D"
    against: ClassVar[str] = "different tokens"
    lowest: ClassVar[bool] = True
    kind: str = "data_scan"
    non_embedding_params: int

    def values(self) -> list[float]:
        """D of each point."""
        from archbench.studies.points import different_tokens

        return [different_tokens(point) for point in self.points]

    def form(self) -> "OneVariableLaw":
        """L(D)."""
        from archbench.analysis.laws.single import DataLaw

        return DataLaw()

    def axis_label(self, params: str) -> str:
        """What D counts."""
        return "different training tokens, D"


@dataclass(frozen=True, slots=True, kw_only=True)
class GridStudy(StudyOfContender):
    """L(N,D): loss against size and data, and when a model has too little data for its size."""

    kind: str = "grid"
    points: tuple[StudyPoint, ...]
    law: FitResult
    """Kaplan et al. 2020, eq 1.5."""
    law_with_floor: FitResult
    """L = E + A/N^alpha + B/D^beta (Hoffmann et al. 2022, eq 2), beside it."""
    overfitting_exponent: Interval | None
    """D must grow as N to this power to keep overfitting at one level: alpha_N/alpha_D."""
    overfitting_factor: Interval | None
    """k of D = k·N^exponent at which the loss is `overfitting_level` above that of infinite data."""
    overfitting_level: float = 0.02
    """Kaplan et al. 2020, section 4.2: about the spread between seeds there."""
