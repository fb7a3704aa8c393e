"""The base of every configurable component."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class ComponentConfig(BaseModel):
    """A frozen set of hyperparameters, told apart by its field `kind`.

    A concrete class declares `kind: Literal["name"] = "name"`; the name is what specs say and what is registered.
    Unknown keys are refused. Everything in it enters the run id, so nothing belongs here that does not change numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    summary: ClassVar[str] = ""
    """One line for listings."""

    @classmethod
    def kind_name(cls) -> str:
        """The name under which this class is registered."""
        default = cls.model_fields["kind"].default
        if not isinstance(default, str):
            raise TypeError(f"{cls.__name__} must declare `kind: Literal['name'] = 'name'`")
        return default
