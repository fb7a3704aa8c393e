"""Settings that older versions had: what is said of them in a spec, and how stored specs are read without them."""

from collections.abc import Mapping
from typing import Any

from archbench.contracts.values import Loc

RETIRED: Mapping[Loc, str] = {
    ("execution", "kernels"): "is gone: torch's kernels compute everything, and there is nothing to choose; leave it"
    " out",
    ("question", "window"): "is called `at` now: write at: [2.9, 2.6]",
}
"""By their place in a spec, what to do about them. None of them changed a number beyond rounding."""

_NEW_NAMES: Mapping[Loc, str] = {("question", "window"): "at"}
"""Of those that a stored spec goes on with under another key."""


def without_retired(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A stored `spec` without settings that are gone, and with those that were renamed under their new name."""
    kept = dict(spec)
    for place in RETIRED:
        section, key = str(place[0]), str(place[1])
        content = kept.get(section)
        if not isinstance(content, Mapping) or key not in content:
            continue
        rest = {name: value for name, value in content.items() if name != key}
        if place in _NEW_NAMES and content[key] is not None:
            rest.setdefault(_NEW_NAMES[place], content[key])
        kept[section] = rest
    return kept
