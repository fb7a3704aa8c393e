"""The learning rate over steps, as specs and studies write it and as a run has it; and when a run stops early."""

import math
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from archbench.contracts.values import Law, Section, TokensOrLaw


class ScheduleSettings(Section):
    """The learning rate over steps, as a share of its peak: linear warm-up, then `kind`."""

    kind: Literal["cosine", "linear", "constant", "inverse_sqrt", "warmup_stable_decay"] = "cosine"
    warmup_steps: NonNegativeInt = 100
    final_fraction: float = Field(0.1, ge=0.0, le=1.0)
    """Share of the peak at the last step; `constant` and `inverse_sqrt` ignore it."""
    decay_fraction: float = Field(0.2, gt=0.0, le=1.0)
    """Share of all steps spent decaying; `warmup_stable_decay` only."""


class ScheduleSection(Section):
    """The learning rate over steps, as a share of its peak: linear warm-up, then `kind`."""

    kind: Literal["cosine", "linear", "constant", "inverse_sqrt", "warmup_stable_decay"] = "cosine"
    warmup_steps: NonNegativeInt = 100
    """Optimiser steps; or else `warmup_tokens`."""
    warmup_tokens: TokensOrLaw | None = None
    """The same in tokens, so that it is one length under every batch: a number, or a power law of the target size N
    (coefficient 1 and exponent 1: about as many tokens as the model has parameters)."""
    final_fraction: float = Field(0.1, ge=0.0, le=1.0)
    """Share of the peak at the last step; `constant` and `inverse_sqrt` ignore it."""
    decay_fraction: float = Field(0.2, gt=0.0, le=1.0)
    """Share of all steps spent decaying; `warmup_stable_decay` only."""

    @model_validator(mode="after")
    def _one_warmup(self) -> "ScheduleSection":
        if self.warmup_tokens is not None and "warmup_steps" in self.model_fields_set:
            raise ValueError("give either warmup_steps or warmup_tokens, and not both")
        return self

    @model_serializer(mode="wrap")
    def _with_one_warmup(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        unused = "warmup_tokens" if self.warmup_tokens is None else "warmup_steps"
        return {name: value for name, value in dump(self).items() if name != unused}

    @property
    def warmup_key(self) -> str:
        """The key that says how long the warm-up is."""
        return "warmup_steps" if self.warmup_tokens is None else "warmup_tokens"

    def changed(self, other: "ScheduleSection") -> "ScheduleSection":
        """This one with what `other` says, key by key; its warm-up takes the place of this one's, in either unit."""
        said = {name: getattr(other, name) for name in other.model_fields_set}
        mine = {name: getattr(self, name) for name in self.model_fields_set}
        if said.keys() & _WARMUPS:
            mine = {name: value for name, value in mine.items() if name not in _WARMUPS}
        return ScheduleSection.model_validate({**mine, **said})

    def at(self, size: float, batch_tokens: int) -> ScheduleSettings:
        """The schedule of a run at `size` target parameters: its warm-up in whole steps, at least one for any tokens.

        Raises ValueError where a law gives no number.
        """
        steps = self.warmup_steps
        if self.warmup_tokens is not None:
            law = self.warmup_tokens
            tokens = law.power_law.at(size) if isinstance(law, Law) else law
            if not math.isfinite(tokens):
                raise ValueError(f"gives {tokens:g} tokens at {size:g} parameters, expected a number of tokens")
            steps = max(1, round(tokens / batch_tokens))
        return ScheduleSettings(
            kind=self.kind,
            warmup_steps=steps,
            final_fraction=self.final_fraction,
            decay_fraction=self.decay_fraction,
        )


_WARMUPS = {"warmup_steps", "warmup_tokens"}


class EarlyStopping(Section):
    """Ends a run when its validation loss has stopped falling; the run's result is then the best point of its curve."""

    patience: PositiveInt = 5
    """Evaluations in a row without a new minimum."""
