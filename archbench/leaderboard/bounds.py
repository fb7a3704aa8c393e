"""What the fields of an entry may hold: entries come from strangers, and one of them must not stop a page.

Bounds lie far beyond what anybody trains: they keep out what no run can have measured, and what would take hours or
gigabytes to look at.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from archbench.names import checked_name

MAX_ENTRY_BYTES = 32 * 2**20
"""Of an entry's file; the largest of archbench's own has 120 kB."""
MAX_RUNS = 2_000
MAX_POINTS = 10_001
"""Of one curve: `evaluation.points` is at most 10,000, and step 0 is one more."""
MAX_POINTS_OF_ENTRY = 100_000
_MAX_DEPTH = 32
"""Levels of a spec, an environment, or another part that only its writer knows."""

Loss = Annotated[float, Field(strict=True, gt=0.0, le=1e4, allow_inf_nan=False)]
"""Nats per token. A uniform guess over a billion tokens has 21; a diverged run may have more."""
BitsPerByte = Annotated[float, Field(strict=True, gt=0.0, le=1e5, allow_inf_nan=False)]
Flops = Annotated[float, Field(strict=True, ge=0.0, le=1e32, allow_inf_nan=False)]
"""Of one run; a million times the largest that was trained."""
Seconds = Annotated[float, Field(strict=True, ge=0.0, le=1e12, allow_inf_nan=False)]
Figure = Annotated[float, Field(strict=True, ge=-1e6, le=1e6, allow_inf_nan=False)]
"""An exponent, an error, a standard deviation, a gain in nats."""
Count = Annotated[int, Field(strict=True, ge=0, le=10**18)]
"""Of tokens, parameters, steps."""
PositiveCount = Annotated[int, Field(strict=True, ge=1, le=10**18)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**64)]
SizeIndex = Annotated[int, Field(strict=True, ge=0, lt=MAX_RUNS)]
Flag = Annotated[bool, Field(strict=True)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]{1,80}$")]
"""What names a group of entries, and the file of its figure."""
Name = Annotated[str, AfterValidator(checked_name)]
"""Of a scan, a contender, an architecture, by the rule of all names."""
Origin = Annotated[str, Field(min_length=1, max_length=5_000)]
"""archbench, or the file that was imported, whose path may be long."""
Text = Annotated[str, Field(max_length=20_000)]


def _shallow(value: dict[str, Any]) -> dict[str, Any]:
    """`value`, if it has at most `_MAX_DEPTH` levels."""
    level: Sequence[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, dict | list)
        ]
        if not level:
            return value
    raise ValueError(f"has more than {_MAX_DEPTH} levels")


Free = Annotated[dict[str, Any], AfterValidator(_shallow)]
"""What only its writer knows, bounded by the size of the file and in depth."""


def _objects(value: dict[str, Any]) -> dict[str, Any]:
    """`value`, if what is looked into is made of objects."""
    for name in ("plugins", "versions", "data", "hardware", "controls"):
        if not isinstance(value.get(name, {}), dict):
            raise ValueError(f"{name}: expected an object, got {type(value[name]).__name__}")
    for name, plugin in value.get("plugins", {}).items():
        if not isinstance(plugin, dict):
            raise ValueError(f"plugins.{name}: expected an object, got {type(plugin).__name__}")
    return value


Surroundings = Annotated[Free, AfterValidator(_objects)]
"""Versions, plug-ins, data and hardware, by name."""


def never_falls(column: Sequence[float | None]) -> bool:
    """Whether the numbers of `column` never fall; None stands for no number."""
    known = [value for value in column if value is not None]
    return all(one <= other for one, other in pairwise(known))
