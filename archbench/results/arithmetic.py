"""What computed a run: processor and libraries whose rounding its last digits hang on.

Equal settings give equal bits under equal arithmetic. Under another one losses differ far below run-to-run noise as a
rule, but they do differ, so that records say what computed them, and whatever compares runs says where it was mixed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from archbench.results.runs import RunRecord

ARITHMETIC = "arithmetic"
"""Key of a record, and of `RunRecord.details`, under which it stands."""

_WORDS = {
    "device": "device",
    "processor": "processor",
    "instructions": "instructions",
    "kernels": "kernels",
    "torch": "torch",
    "torch_build": "torch build",
    "threads": "threads",
    "ranks": "ranks",
}
"""Its keys, and how each is called. Runs of older versions also name the kernels that computed them."""

_TORCH_ALONE = {"kernels": "torch"}
"""What a run says without words that names the torch that computed it, but no kernels of archbench's own."""


def arithmetic_of(record: RunRecord) -> Mapping[str, Any]:
    """What computed `record`, as far as it was noted; older runs noted a part of it among their timings."""
    stated: Mapping[str, Any] | None = record.details.get(ARITHMETIC)
    if stated is not None:
        return stated
    timings = record.details.get("timings") or {}
    hardware, versions = timings.get("hardware", {}), timings.get("versions", {})
    found = {
        "device": hardware.get("accelerator") or hardware.get("device"),
        "processor": hardware.get("cpu"),
        "kernels": timings.get("kernels"),
        "torch": versions.get("torch"),
        "threads": timings.get("threads"),
        "ranks": timings.get("nproc"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str | int)}


def mixed_arithmetic(records: Iterable[RunRecord]) -> str | None:
    """How the usable runs of `records` differ in what computed them, in a sentence; None where nothing differs."""
    return mixed_words(arithmetic_of(record) for record in records if record.usable)


def mixed_words(arithmetics: Iterable[Mapping[str, Any]]) -> str | None:
    """How `arithmetics` differ, in a sentence; None where they do not. What one of them does not say, differs not."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in _WORDS}
    for one in arithmetics:
        for name, value in ((_TORCH_ALONE if "torch" in one else {}) | dict(one)).items():
            if name in counts:
                counts[name][str(value)] += 1
    differing = [
        f"{_WORDS[name]} {', '.join(f'{value} ({number})' for value, number in sorted(found.items()))}"
        for name, found in counts.items()
        if len(found) > 1
    ]
    if not differing:
        return None
    what = "; ".join(differing)
    return f"runs were computed by different arithmetic: {what}: their last digits do not compare bit for bit"
