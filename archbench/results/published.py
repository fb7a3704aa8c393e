"""Runs of published entries among those of a scan: what marks them, and which of their seconds compare.

They are data: trained elsewhere, read from an entry of a leaderboard, and kept in the store as they were read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from archbench.results.runs import RunRecord

ENTRIES = "entries"
"""Key of a scan's environment: contender -> the published entry that it is."""
PUBLISHED = "published"
"""Key of `RunRecord.details` under which the mark stands."""
_APART = "seconds_left_out"
"""Key of `RunRecord.details`: whose machine the seconds were taken on that are not given, in words."""


@dataclass(frozen=True, slots=True)
class Publication:
    """Where a published run comes from."""

    entry: str
    """The name of the entry: that of its file without suffix."""
    digest: str
    """SHA-256 of the entry, as its file states it."""
    run_id: str
    """Of the run in the entry."""

    @property
    def words(self) -> str:
        """`standard--gpt2, digest 3fe8c1d09a7b`."""
        return f"{self.entry}, digest {self.digest[:12]}"


def marked(record: RunRecord, publication: Publication) -> RunRecord:
    """`record` as a run of that publication."""
    return replace(record, details={**record.details, PUBLISHED: asdict(publication)})


def publication_of(record: RunRecord) -> Publication | None:
    """Where the run was published; None of one that was trained for its scan, or imported."""
    stated = record.details.get(PUBLISHED)
    return Publication(**stated) if stated else None


def with_comparable_seconds(records: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """`records` of one scan; published ones have seconds only where its own runs were timed on their machine.

    A machine is what is noted of the hardware, all of it: seconds of different ones do not compare.
    """
    published = {record.contender for record in records if PUBLISHED in record.details}
    if not published:
        return tuple(records)
    here = _machines(record for record in records if record.contender not in published)
    known = len(here) == 1 and "" not in here
    alike = {
        name
        for name in published
        if known and _machines(record for record in records if record.contender == name) == here
    }
    apart = published - alike
    return tuple(_without_seconds(record) if record.contender in apart else record for record in records)


def seconds_left_out(records: Iterable[RunRecord]) -> list[str]:
    """In a sentence for each published contender whose seconds are not given, why they are not."""
    machines: dict[str, dict[str, None]] = {}
    for record in records:
        if (machine := record.details.get(_APART)) is not None:
            machines.setdefault(record.contender, {})[machine] = None
    return [
        f"the published runs of {name} were timed elsewhere ({', '.join(found)}) than those trained here: their "
        "seconds are left out, and nothing is compared with them in seconds"
        for name, found in machines.items()
    ]


def published_lines(records: Iterable[RunRecord]) -> list[str]:
    """What of `records` was published, a sentence for each contender."""
    found: dict[tuple[str, str], int] = {}
    for record in records:
        if (one := publication_of(record)) is not None:
            key = (record.contender, one.words)
            found[key] = found.get(key, 0) + 1
    return [
        f"{name} is a published entry ({words}): its {count} {'run' if count == 1 else 'runs'} were not trained here"
        for (name, words), count in found.items()
    ]


def _machines(records: Iterable[RunRecord]) -> set[str]:
    """The hardware of those that were timed; an empty word where that was not noted."""
    return {_machine(_hardware(record)) for record in records if _timed(record)}


def _timed(record: RunRecord) -> bool:
    return any(point.device_seconds is not None or point.processor_seconds is not None for point in record.curve)


def _hardware(record: RunRecord) -> Mapping[str, Any]:
    hardware: Mapping[str, Any] = (record.details.get("timings") or {}).get("hardware") or {}
    return hardware


def _machine(hardware: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(hardware.items()))


def _without_seconds(record: RunRecord) -> RunRecord:
    if not _timed(record):
        return record
    hardware = _hardware(record)
    words = str(hardware.get("accelerator") or hardware.get("cpu") or "which machine it was is not noted")
    curve = tuple(replace(point, device_seconds=None, processor_seconds=None) for point in record.curve)
    return replace(record, curve=curve, details={**record.details, _APART: words})
