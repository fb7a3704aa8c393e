"""What is made of one scan's results once, though verdict, sections and figures each ask for it."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from archbench.contracts.report import ScanResults

T = TypeVar("T")


def once(make: Callable[[ScanResults], T]) -> Callable[[ScanResults], T]:
    """`make`, which keeps what it made last: the sections of one report ask for the same, one after the other."""
    kept: list[tuple[ScanResults, T]] = []

    @wraps(make)
    def kept_or_made(results: ScanResults) -> T:
        if not kept or kept[0][0] is not results:
            kept[:] = [(results, make(results))]
        return kept[0][1]

    return kept_or_made
