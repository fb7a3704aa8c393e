"""Whose executed FLOPs were counted."""

from collections.abc import Iterable

from archbench.results.runs import RunRecord


def without_executed_flops(records: Iterable[RunRecord]) -> list[str]:
    """Contenders made elsewhere whose executed FLOPs nobody counted: 6ND stands on that axis too."""
    known: dict[str, bool] = {}
    for record in records:
        if record.usable and record.origin != "archbench":
            counted = bool(record.details.get("compute_stated")) or any(
                point.exact_flops != point.kaplan_flops for point in record.curve
            )
            known[record.contender] = known.get(record.contender, False) or counted
    return [name for name, counted in known.items() if not counted]
