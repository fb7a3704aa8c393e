"""What L(N) of a scan of sizes returns.

Legend: N parameters without embeddings.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from archbench.studies.results import SingleLawStudy

if TYPE_CHECKING:
    from archbench.analysis.laws.single import OneVariableLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeStudy(SingleLawStudy):
    """L(N): loss at the end of training against size, each size with as many tokens as it was given."""

    variable: ClassVar[str] = "N"
    against: ClassVar[str] = "size"
    kind: str = "size_scan"

    def values(self) -> list[float]:
        """N of each point."""
        return [float(point.non_embedding_params) for point in self.points]

    def form(self) -> "OneVariableLaw":
        """L(N)."""
        from archbench.analysis.laws.single import SizeLaw

        return SizeLaw()

    def axis_label(self, params: str) -> str:
        """Which parameters N counts."""
        return f"parameters {params}, N"

    @property
    def tokens_ratio(self) -> float:
        """Tokens of the largest size over those of the smallest; 1 without any."""
        ranked = sorted(self.points, key=lambda point: point.non_embedding_params)
        return ranked[-1].tokens / ranked[0].tokens if ranked else 1.0
