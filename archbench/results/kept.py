"""Results that need not be computed again: analysis says what one hangs on, and whoever calls it may keep it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Kept(Protocol):
    """Gives a result that was computed before from the same, or computes it."""

    def __call__(self, sort: Any, hangs_on: Sequence[str | float], make: Callable[[], T]) -> T:
        """What `make` returns, of the type `sort` (dataclasses, numbers, text and tuples of them).

        hangs_on: what kind of result it is, and all that it is computed from, by value or by hash.
        """
        ...


def anew(sort: Any, hangs_on: Sequence[str | float], make: Callable[[], T]) -> T:
    """Computes it: nothing is kept."""
    return make()
