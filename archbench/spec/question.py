"""The question that a scan is to answer, as it is written before the scan."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, FiniteFloat, PositiveFloat, Tag, model_validator

from archbench.contracts.values import TAG_PREFIX, Section

ControlKind = Literal["baseline_again", "shuffled_targets"]


class AtCost(Section):
    """A cost at which a question is asked: at the loss that the baseline has there."""

    cost: Annotated[FiniteFloat, Field(gt=0.0)]
    """In the unit of the axis."""
    axis: Literal["exact_flops", "kaplan_flops", "device_seconds", "processor_seconds"] = "exact_flops"
    """FLOPs executed, 6ND, or seconds of training: of the device, or of processors."""


def _place_form(value: Any) -> str:
    if isinstance(value, list | tuple | None):
        return f"{TAG_PREFIX}losses"
    return f"{TAG_PREFIX}{'place' if isinstance(value, dict | AtCost) else 'cost'}"


Place = Annotated[
    Annotated[tuple[PositiveFloat, PositiveFloat] | None, Tag(f"{TAG_PREFIX}losses")]
    | Annotated[Annotated[FiniteFloat, Field(gt=0.0)], Tag(f"{TAG_PREFIX}cost")]
    | Annotated[AtCost, Tag(f"{TAG_PREFIX}place")],
    Discriminator(_place_form),
]


class QuestionSection(Section):
    """What the scan is to answer, written down before it is trained."""

    baseline: str | None = None
    """The contender that the others are compared with; the same as `baseline` of the spec, which may be left out."""
    margin: FiniteFloat = Field(default=1.0, ge=1.0, le=100.0)
    """A contender is better if its compute multiplier over the baseline is above this: one-sided 95 % bound."""
    at: Place = None
    """Where: losses in nats, the higher first, as in [2.9, 2.6]; executed FLOPs, as in 3e12; or a cost with its axis,
    as in {cost: 3e12, axis: kaplan_flops}. Without it the middle half of the losses that both reach."""
    controls: tuple[ControlKind, ...] = ()
    """Ladders that check the answers: `baseline_again`, the baseline with other seeds, must not be told apart from it;
    `shuffled_targets`, the baseline trained on targets that its tokens say nothing of, must not be better."""
    seed_std_nats: Annotated[FiniteFloat, Field(gt=0.0, le=10.0)] | None = None
    """Standard deviation of the final loss between seeds, by which `archbench plan` reckons power where no run of the
    store tells it; without it .01 and .04 are shown."""

    @model_validator(mode="after")
    def _falls(self) -> "QuestionSection":
        if isinstance(self.at, tuple) and not self.at[0] > self.at[1]:
            raise ValueError(f"at: got {list(self.at)}, expected a higher loss, then a lower one: [2.9, 2.6]")
        if len(set(self.controls)) < len(self.controls):
            raise ValueError(f"controls: got {list(self.controls)}, expected each of them once")
        return self
