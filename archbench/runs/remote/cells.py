"""Small values in a store of objects, each changed only by whoever knows what it was before.

A cell's value stands in an object that is made once and never changed: `state/KIND/NAME/NUMBER`, with a number one
above that of the value before. The highest number counts. To change a cell is to make the object of the next number,
which of several writers one can; all that a store must do for it is to refuse to make an object that is there.

A writer that has slept may find the next number free, since numbers of long ago are removed: it looks afterwards
whether its number is the highest, and has changed nothing if it is not.
"""

import contextlib
from dataclasses import dataclass

from archbench.errors import StoreError
from archbench.runs.remote.objects import Objects

_FOLDER = "state"
_DIGITS = 12
_TRIES = 20
_KEPT = 2
"""Numbers that stay: the highest, and the one before for readers that have just seen it."""


class Outrun(StoreError):  # noqa: N818  (it is an event, told like any store problem)
    """Somebody else has changed the cell in the meantime."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """Which value: of what kind, and of which run or scan."""

    kind: str
    name: str

    @property
    def prefix(self) -> str:
        """Where the objects of its values stand."""
        return f"{_FOLDER}/{self.kind}/{self.name}/"


@dataclass(frozen=True, slots=True)
class Valued:
    """A cell's value and its number; 0 and None where it never had one."""

    number: int
    content: bytes | None


class Cells:
    """The cells of one store. All methods raise as `Objects` does."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def numbers(self) -> dict[Cell, int]:
        """The present number of every cell, by one listing."""
        found: dict[Cell, int] = {}
        for key in self._objects.keys(f"{_FOLDER}/"):
            with contextlib.suppress(ValueError):
                _, kind, name, number = key.split("/")
                cell = Cell(kind, name)
                found[cell] = max(found.get(cell, 0), int(number))
        return found

    def read(self, cell: Cell, number: int | None = None) -> Valued:
        """The present value; `number` is what a listing has just told."""
        for _ in range(_TRIES):
            number = self._highest(cell) if number is None else number
            if number == 0:
                return Valued(0, None)
            content = self._objects.get(_key(cell, number))
            if content is not None:
                return Valued(number, content)
            number = None  # somebody has changed it twice since it was listed
        raise StoreError(f"{cell.prefix}: changes faster than it can be read; run the same command again")

    def swap(self, cell: Cell, number: int, content: bytes) -> int:
        """Puts `content` in place of the value `number`; the new number.

        Raises Outrun where that is not the present one: nothing was changed then.
        """
        if not self._objects.create(_key(cell, number + 1), content):
            raise Outrun(f"{cell.prefix}: somebody else has changed it")
        numbers = self._numbers_of(cell)
        if max(numbers, default=0) > number + 1:
            raise Outrun(f"{cell.prefix}: somebody else has changed it since")
        self._objects.remove(_key(cell, old) for old in numbers if old <= number + 1 - _KEPT)
        return number + 1

    def put(self, cell: Cell, content: bytes, number: int = 0) -> int:
        """Puts `content` in place of whatever is there; its number. `number`: the present one, as far as is known."""
        for _ in range(_TRIES):
            try:
                return self.swap(cell, number, content)
            except Outrun:
                number = self._highest(cell)
        raise StoreError(f"{cell.prefix}: changes faster than it can be written; run the same command again")

    def _numbers_of(self, cell: Cell) -> list[int]:
        names = (key.removeprefix(cell.prefix) for key in self._objects.keys(cell.prefix))
        return [int(name) for name in names if name.isdigit()]

    def _highest(self, cell: Cell) -> int:
        return max(self._numbers_of(cell), default=0)


def _key(cell: Cell, number: int) -> str:
    return f"{cell.prefix}{number:0{_DIGITS}d}"
