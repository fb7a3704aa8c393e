"""Numbers as files and people state them, each refused by its place where it is none."""

import math
import re
from typing import Any

from archbench.errors import SpecError

_COUNT = re.compile(r"(?P<number>[\d._]+(?:[eE][+-]?\d+)?)\s*(?P<unit>[kKMGBT])")
_UNITS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}


def parse_count(text: str, where: str) -> float:
    """`124e6`, `124M` or `1.3B` as a number above 0. Raises SpecError that begins with `where`."""
    found = number_or_none(text)
    if found is None and (match := _COUNT.fullmatch(text.strip())):
        number = number_or_none(match["number"])
        found = None if number is None else number * _UNITS[match["unit"]]
    if found is None or not 0 < found < math.inf:
        raise SpecError(f"{where}: got {text!r}, expected a number above 0 such as 124e6 or 124M")
    return found


def number_or_none(value: Any) -> float | None:
    """`value` as a number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def number_of(value: Any, where: str) -> float:
    """A number, which may be NaN or infinite: a loss that was none is told by the gate that all tables pass."""
    found = number_or_none(value)
    if found is None:
        raise SpecError(f"{where}: got {shown_value(value)}, expected a number")
    return found


def shown_value(value: Any) -> str:
    """`value` for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def above_zero(value: Any, where: str) -> float:
    """A finite number above 0. Raises SpecError that begins with `where`."""
    found = number_of(value, where)
    if not 0 < found < math.inf:
        raise SpecError(f"{where}: got {shown_value(value)}, expected a number above 0")
    return found


def not_negative(value: Any, where: str) -> float:
    """A finite number not below 0. Raises SpecError that begins with `where`."""
    found = number_of(value, where)
    if not 0 <= found < math.inf:
        raise SpecError(f"{where}: got {shown_value(value)}, expected a number not below 0")
    return found


def whole_number(value: Any, where: str) -> int:
    """A whole number not below 0. Raises SpecError that begins with `where`."""
    found = number_of(value, where)
    if not 0 <= found < 2**53 or found != int(found):
        raise SpecError(f"{where}: got {shown_value(value)}, expected a whole number not below 0")
    return int(found)
