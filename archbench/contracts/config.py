"""The base of every configurable component."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, SerializerFunctionWrapHandler, model_serializer


class ComponentSlot:
    """Marks a field that holds a component: `{kind: ..., hyperparameters}`; `catalog` is the registry's attribute.

    default_kind: which one is meant where `kind` is left out; None where it must be said.
    """

    def __init__(self, catalog: str, default_kind: str | None = None) -> None:
        self.catalog = catalog
        self.default_kind = default_kind

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {"x-catalog": self.catalog, **({"x-default-kind": self.default_kind} if self.default_kind else {})}


class GrownModel(BaseModel):
    """A model that has grown: fields named in `added_later` are not written while they are at their default.

    What a field's default means is what was done before there was the field, so ids and bytes of before stay the same.
    """

    added_later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        unused = {
            name for name in self.added_later if getattr(self, name) == type(self).model_fields[name].get_default()
        }
        return {name: value for name, value in dump(self).items() if name not in unused}


class ComponentConfig(GrownModel):
    """A frozen set of hyperparameters, told apart by its field `kind`.

    A concrete class declares `kind: Literal["name"] = "name"`; the name is what specs say and what is registered.
    Unknown keys are refused. Everything in it enters the run id, so nothing belongs here that does not change numbers.
    """

    # What validates is built when it is first asked for: most commands ask for few of all that is installed.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: str
    summary: ClassVar[str] = ""
    """One line for listings."""
    numerics: ClassVar[int] = 1
    """Raised by hand when the same settings come to compute other numbers: runs of before are then other runs."""
    in_specs: ClassVar[bool] = True
    """Whether specs may name it."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions that it computes with, beyond torch and numpy: their versions enter the ids of its runs."""

    def needed_libraries(self) -> tuple[str, ...]:
        """`libraries`, with those that the settings of this one add."""
        return self.libraries

    _folder: Path | None = PrivateAttr(None)

    def stands_in(self, folder: Path) -> None:
        """Says that relative paths in this config start at `folder`, that of the spec in which it stands."""
        self._folder = folder

    def located(self, written: str) -> Path:
        """The path `written` in this config: `~` is the home folder; relative ones start at the folder of the spec.

        A config that comes out of no spec starts them at the current folder. Raises RuntimeError for a `~name` of
        nobody.
        """
        path = Path(written).expanduser()
        return path if self._folder is None else self._folder / path

    @property
    def paths_start_at(self) -> Path:
        """Where relative paths start, for messages."""
        return Path.cwd() if self._folder is None else self._folder.resolve()

    @classmethod
    def kind_name(cls) -> str:
        """The name under which this class is registered."""
        default = cls.model_fields["kind"].default
        if not isinstance(default, str):
            raise TypeError(f"{cls.__name__} must declare `kind: Literal['name'] = 'name'`")
        return default
