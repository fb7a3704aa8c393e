"""The budgets and points that a forecast is asked for.

Legend: N parameters, D tokens, C compute, S steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archbench.errors import SpecError

Point = Mapping[str, float]
"""A value above 0 of some of the letters N, D, C and S."""
_LETTERS = ("N", "D", "C", "S")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a forecast is asked for."""

    budgets: tuple[float, ...]
    """FLOPs."""
    points: tuple[Point, ...]


def asked_for(budgets: Sequence[float], places: Sequence[str]) -> Asked:
    """Budgets, and points as `N=1e9,D=2e10`. Raises SpecError where there is neither, and for what is no number."""
    require_budget(budgets, places)
    return Asked(tuple(budgets), tuple(_point(text) for text in places))


def require_budget(budgets: Sequence[float], places: Sequence[str]) -> None:
    """Raises SpecError where neither a budget nor a point is named, or a budget is no count."""
    if not budgets and not places:
        raise SpecError("--budget: say at how many FLOPs, for example --budget 1e21; or at a point, --at N=1e9,D=2e10")
    if any(not 0 < budget < float("inf") for budget in budgets):
        raise SpecError("--budget: expected a positive number of FLOPs, for example 1e21")


def size_and_tokens(point: Point) -> tuple[float, float]:
    """N and D of a point. Raises SpecError for one of other letters, which a scan's joint law does not have."""
    if point.keys() != {"N", "D"}:
        text = ",".join(f"{letter}={value:g}" for letter, value in point.items())
        raise SpecError(f"--at {text}: with --scan the loss is by L(N,D); say --at N=..,D=.., or --budget for C")
    return point["N"], point["D"]


def _point(text: str) -> Point:
    found: dict[str, float] = {}
    for part in text.split(","):
        letter, separator, number = part.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        letter = letter.strip()
        if not separator or letter not in _LETTERS or not 0 < value < float("inf"):
            raise SpecError(f"--at: got {part!r}, expected N, D, C or S and a positive number, as N=1e9,D=2e10")
        if letter in found:
            raise SpecError(f"--at {text}: {letter} is given twice")
        found[letter] = value
    return found
