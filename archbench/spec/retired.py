"""Settings that older versions had: what is said of them in a spec, and how stored specs are read without them."""

from collections.abc import Mapping
from typing import Any

from archbench.contracts.values import Loc

RETIRED: Mapping[Loc, str] = {
    ("execution", "kernels"): "is gone: torch's kernels compute everything, and there is nothing to choose; leave it"
    " out",
}
"""By their place in a spec, what to do about them. None of them changed a number beyond rounding."""


def without_retired(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A stored `spec` without settings that are gone."""
    kept = dict(spec)
    for place in RETIRED:
        section, key = str(place[0]), str(place[1])
        content = kept.get(section)
        if isinstance(content, Mapping):
            kept[section] = {name: value for name, value in content.items() if name != key}
    return kept
