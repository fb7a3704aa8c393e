"""Settings that older versions had: what is said of them in a spec, and how stored specs are read without them."""

from collections.abc import Mapping
from typing import Any

RETIRED: Mapping[tuple[str, str], str] = {
    (
        "execution",
        "kernels",
    ): "is gone: torch's kernels compute everything, and there is nothing to choose; leave it out",
}
"""By section and key, what to do about them. None of them changed a number beyond rounding."""


def without_retired(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A stored `spec` without settings that are gone."""
    kept = dict(spec)
    for section, key in RETIRED:
        if isinstance(content := kept.get(section), Mapping):
            kept[section] = {name: value for name, value in content.items() if name != key}
    return kept
