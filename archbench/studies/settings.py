"""Settings that several kinds of studies have."""

from collections.abc import Mapping

from pydantic import Field, NonNegativeInt, PositiveFloat

from archbench.contracts.schedule import EarlyStopping
from archbench.contracts.study import StudyConfig
from archbench.contracts.values import Loc, Name, Section, Tokens

MIN_POINTS = 4
"""Of a law in one quantity, to be trusted: one more than the parameters of a power law with a floor."""
MIN_SIZES = 3
"""Of a law in two quantities, and of the parabola of an isoFLOP budget."""


class TextStudyConfig(StudyConfig):
    """A study on one text."""

    text: Name | None = None
    """One of `data.texts`; the text in `data.dataset` if none is named."""

    def named_texts(self) -> Mapping[Loc, str]:
        """The one that is named."""
        return {} if self.text is None else {("text",): self.text}


class RepeatedTextSettings(Section):
    """How long runs on a subset of the text may go on reading it."""

    max_epochs: PositiveFloat = Field(16.0, le=100_000.0)
    """A run ends when it has read its subset this often, if it was not stopped before."""
    min_tokens: Tokens | None = None
    """However small the subset, a run may see this many tokens."""
    early_stopping: EarlyStopping = EarlyStopping()

    def tokens_on(self, unique_tokens: float) -> float:
        """Tokens that a run on `unique_tokens` different ones may see."""
        return max(self.max_epochs * unique_tokens, self.min_tokens or 0.0)


class NoiseScaleSettings(Section):
    """Runs that measure their gradient noise although the spec's other runs do not."""

    noise_scale_every: NonNegativeInt | None = Field(None, le=1_000_000_000)
    """Steps between two measurements; `evaluation.noise_scale_every` if none is given."""
