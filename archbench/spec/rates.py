"""Peak learning rate and batch as a spec gives them: a number, one a size, a law of the size, or tuned by trials.

All laws of a recipe are written alike: `{power_law: {coefficient: c, exponent: a}}`, c·x^a. What x is, the setting
says: the model's own N for the learning rate, the target size for what all contenders have in common (batch, tokens,
warm-up), the batch in tokens for what an optimizer forgets in a step.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from archbench.contracts.values import MAX_BATCH_TOKENS, TAG_PREFIX, BatchTokens, Law, Rate, Section
from archbench.results.tuning import HalvingRung, halving, rate_grid

ENOUGH_FOR_A_PARABOLA = 3


def _rate_form(value: Any) -> str:
    if isinstance(value, str) and value.isalpha():
        return f"{TAG_PREFIX}rule"
    if isinstance(value, list | tuple):
        return f"{TAG_PREFIX}per_size"
    if isinstance(value, TunedRate) or (isinstance(value, dict) and "tune" in value):
        return f"{TAG_PREFIX}tuned"
    if isinstance(value, dict | Law):
        return f"{TAG_PREFIX}power"
    return f"{TAG_PREFIX}number"


def _batch_form(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"{TAG_PREFIX}per_size"
    if isinstance(value, dict | Law):
        return f"{TAG_PREFIX}power"
    return f"{TAG_PREFIX}number"


GivenRate = Annotated[
    Annotated[Rate, Tag(f"{TAG_PREFIX}number")]
    | Annotated[Literal["kaplan"], Tag(f"{TAG_PREFIX}rule")]
    | Annotated[list[Rate], Tag(f"{TAG_PREFIX}per_size")]
    | Annotated[Law, Tag(f"{TAG_PREFIX}power")],
    Discriminator(_rate_form),
]
"""A number, `kaplan` (0.003239 - 0.0001395 ln N), one number a size, or a power law."""


class TuneSettings(Section):
    """Trials of peak rates, as many for every architecture and size, by successive halving on tokens.

    Jamieson and Talwalkar 2016 (arXiv 1502.07943), algorithm 1: `trials` rates start on a part of the tokens; of each
    rung the best 1/`eta` go on to `eta` times as many; the last rung trains on all of them.
    """

    mode: Literal["per_size", "extrapolate"] = "per_size"
    """`extrapolate`: only the two smallest sizes are tuned, and the others follow the power law through them."""
    around: GivenRate
    """The middle of the grid at each size."""
    span: float = Field(4.0, gt=1.0, le=1000.0)
    """The grid reaches from `around`/`span` to `around`·`span`, evenly spaced in log rate."""
    trials: int = Field(5, ge=ENOUGH_FOR_A_PARABOLA, le=64)
    """Rates at each size. With an odd number the middle one is `around` itself."""
    rungs: int = Field(2, ge=1, le=6)
    eta: int = Field(2, ge=2, le=8)
    check_size: PositiveInt | None = None
    """`extrapolate` only: number of the size, from 1, at which the law is checked; the middle one of those that follow
    it if none is named."""
    check_factor: float = Field(2.0, gt=1.0, le=100.0)
    """`extrapolate` only: the check trains at this many times more and less than the law's rate."""

    @model_validator(mode="after")
    def _parabola_at_the_end(self) -> "TuneSettings":
        left = self.halving()[-1].count
        if self.mode == "extrapolate" and left < ENOUGH_FOR_A_PARABOLA:
            raise ValueError(
                f"mode extrapolate needs {ENOUGH_FOR_A_PARABOLA} rates in the last rung to place the best one, and "
                f"{self.trials} trials, rungs {self.rungs}, eta {self.eta} leave {left}; raise trials or lower eta"
            )
        return self

    def grid(self, centre: float) -> tuple[float, ...]:
        """The rates of the first rung, rising."""
        return rate_grid(centre, self.span, self.trials)

    def halving(self) -> tuple[HalvingRung, ...]:
        """How many rates train on which part of the tokens."""
        return halving(self.trials, self.rungs, self.eta)


class TunedRate(Section):
    """A peak learning rate that trials decide."""

    tune: TuneSettings


LearningRate = Annotated[
    Annotated[Rate, Tag(f"{TAG_PREFIX}number")]
    | Annotated[Literal["kaplan"], Tag(f"{TAG_PREFIX}rule")]
    | Annotated[list[Rate], Tag(f"{TAG_PREFIX}per_size")]
    | Annotated[Law, Tag(f"{TAG_PREFIX}power")]
    | Annotated[TunedRate, Tag(f"{TAG_PREFIX}tuned")],
    Discriminator(_rate_form),
]
"""What a `GivenRate` may be, or tuned by trials."""

Batch = Annotated[
    Annotated[BatchTokens, Tag(f"{TAG_PREFIX}number")]
    | Annotated[list[BatchTokens], Tag(f"{TAG_PREFIX}per_size")]
    | Annotated[Law, Tag(f"{TAG_PREFIX}power")],
    Discriminator(_batch_form),
]
"""Tokens per optimiser step: a number, one a size, or a power law of the target size: the same for all contenders."""


def given_rate(rate: GivenRate, size_index: int, num_params: int) -> float:
    """The peak rate of a size with `num_params` parameters without embeddings. May be no rate that can be trained."""
    if isinstance(rate, list):
        return rate[size_index]
    if isinstance(rate, Law):
        return rate.power_law.at(num_params)
    if rate == "kaplan":
        # Kaplan et al. 2020, appendix D.6.
        return 0.003239 - 0.0001395 * math.log(num_params)
    return float(rate)


def given_batch(batch: Batch, size_index: int, size: float, seq_len: int) -> int:
    """Tokens per step at a size of `size` target parameters; a power law is rounded to whole rows of `seq_len`."""
    if isinstance(batch, list):
        return batch[size_index]
    if isinstance(batch, Law):
        tokens = min(batch.power_law.at(size), float(MAX_BATCH_TOKENS))
        return max(1, round(tokens / seq_len)) * seq_len
    return batch
