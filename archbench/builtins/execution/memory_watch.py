"""Which worker must go when memory runs short: the one beyond what was expected of it, before the kernel picks one."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from archbench.units import human_bytes

RESERVE_SHARE, LEAST_RESERVE_BYTES, MOST_RESERVE_BYTES = 0.05, 256 * 2**20, 4 * 2**30
"""Memory that is to stay free: what a process can fill between two looks, half a second apart."""


@dataclass(frozen=True, slots=True)
class Holding:
    """The memory of one worker, all its processes together."""

    slot: int
    held_bytes: int
    expected_bytes: int
    """What its run was expected to need at most; 0 where nobody knows."""


def reserve_bytes(total_bytes: int) -> int:
    """What is to stay free of `total_bytes`."""
    return int(min(max(RESERVE_SHARE * total_bytes, LEAST_RESERVE_BYTES), MOST_RESERVE_BYTES))


def held_bytes(pid: int) -> int:
    """Memory that is process `pid`'s and its children's alone: mapped files, such as the corpus, are everybody's."""
    import psutil  # comes with archbench[train], and plug-ins are listed without

    held = 0
    with contextlib.suppress(psutil.Error):
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                memory = process.memory_info()
                held += memory.rss - getattr(memory, "shared", 0)
    return held


def over_limit(holdings: Sequence[Holding], limit_bytes: int) -> tuple[Holding, str] | None:
    """The first worker that holds more than the `limit_bytes` that the spec allows, and the reason in words."""
    for one in holdings:
        if one.held_bytes > limit_bytes:
            return one, (
                f"it held {human_bytes(one.held_bytes)} of memory; execution.executor.worker_memory_gib allows "
                f"{human_bytes(limit_bytes)}"
            )
    return None


def most_in_excess(holdings: Sequence[Holding], available_bytes: int) -> tuple[Holding, str] | None:
    """Where memory is short: the worker that is furthest beyond what was expected of it, and the reason in words.

    None where all keep to it: then somebody else fills the memory.
    """
    worst = max(holdings, key=lambda one: one.held_bytes - one.expected_bytes, default=None)
    if worst is None or worst.expected_bytes == 0 or worst.held_bytes <= worst.expected_bytes:
        return None
    return worst, (
        f"it held {human_bytes(worst.held_bytes)} of memory where {human_bytes(worst.expected_bytes)} were expected, "
        f"and this machine had {human_bytes(available_bytes)} left"
    )
