"""What all sections of a spec have in common."""

from pydantic import BaseModel, ConfigDict

TAG_PREFIX = "@"
"""Begins the name of a union's branch, which pydantic puts into an error's location and no file contains."""


class Section(BaseModel):
    """A part of a spec: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
