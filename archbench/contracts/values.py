"""What sections of a spec and studies are written with: names, numbers of tokens, rates, laws, rising lists."""

import math
from itertools import pairwise
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    PositiveFloat,
    PositiveInt,
    Tag,
    WithJsonSchema,
)

from archbench.names import MAX_NAME, checked_name

TAG_PREFIX = "@"
"""Begins the name of a union's branch, which pydantic puts into an error's location and no file contains."""
Loc = tuple[str | int, ...]
"""Keys and list positions from the top of a file, or of a section, down to a value."""
MAX_RATE = 10.0
MAX_BATCH_TOKENS = 1_000_000_000


class Section(BaseModel):
    """A part of a spec: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[
    str, AfterValidator(checked_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_NAME})
]
"""Of a scan, a contender, a study or a text."""

Tokens = Annotated[FiniteFloat, Field(gt=0.0, le=1e15)]
Rate = Annotated[float, Field(gt=0.0, le=MAX_RATE)]
BatchTokens = Annotated[PositiveInt, Field(le=MAX_BATCH_TOKENS)]


class PowerLaw(Section):
    """coefficient · x^exponent; of a size, x is N, the parameters without embeddings."""

    coefficient: PositiveFloat
    exponent: FiniteFloat

    def at(self, x: float) -> float:
        """The law at `x`; infinite where that is beyond all numbers."""
        # In logarithms, so that an absurd exponent gives an absurd value and no overflow.
        log_value = math.log(self.coefficient) + self.exponent * math.log(x)
        return math.exp(log_value) if abs(log_value) < 700.0 else math.inf


class Law(Section):
    """A setting that is a power of the size or of the batch."""

    power_law: PowerLaw


def _law_form(value: Any) -> str:
    return f"{TAG_PREFIX}{'law' if isinstance(value, dict | Law) else 'number'}"


TokensOrLaw = Annotated[
    Annotated[Tokens, Tag(f"{TAG_PREFIX}number")] | Annotated[Law, Tag(f"{TAG_PREFIX}law")],
    Discriminator(_law_form),
]


def one_or_several(value: Any) -> str:
    """The tag of a union of one thing and a list of such things."""
    return f"{TAG_PREFIX}{'several' if isinstance(value, list | tuple) else 'one'}"


def rising(values: list[float]) -> list[float]:
    """`values`. Raises ValueError where one is not above the one before it."""
    for earlier, later in pairwise(values):
        if later <= earlier:
            raise ValueError(f"got {later:g} after {earlier:g}; entries must rise")
    return values
