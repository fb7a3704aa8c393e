"""Which entries compare with each other, and by which names a table shows them.

Entries are in one group where they were trained under one protocol: same track, text, tokenizer, evaluation and
context, and the same rules of training (batch, optimiser, schedule, tokens, seeds, budget of tuning, what all have in
common), at compute of the same order (`ComputeTier`). On one's own leaderboard published entries stand beside.
"""

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.protocol import protocol_hash
from archbench.names import free_name

GroupKey = tuple[Any, ...]


class ComputeTier(StrEnum):
    """What kind of machine an entry's largest run takes about a day on, by its executed FLOPs.

    A reference compute that a laptop's entry reaches would say nothing of an accelerator's.
    """

    LAPTOP = "laptop"
    """Up to 1e15: a day at 1e10 FLOP/s."""
    ACCELERATOR = "accelerator"
    """Up to 1e19: a day at 1e14 FLOP/s."""
    CLUSTER = "cluster"

    @staticmethod
    def of(flops: float) -> "ComputeTier":
        """The tier of an entry whose largest run took `flops`."""
        if flops <= 1e15:
            return ComputeTier.LAPTOP
        return ComputeTier.ACCELERATOR if flops <= 1e19 else ComputeTier.CLUSTER


class Whose(StrEnum):
    """Whose an entry is, on a leaderboard that has published ones beside one's own."""

    OWN = "own"
    PUBLISHED = "published"
    BOTH = "published and own"
    """Published, and trained here too: the same runs, which stand in a table once, as they were published."""


@dataclass(frozen=True, slots=True)
class Member:
    """An entry under the name that a table shows."""

    entry: LeaderboardEntry
    whose: Whose | None
    """None on a leaderboard that stands by itself."""
    again: LeaderboardEntry | None = None
    """One's own entry of the same runs, where it is of both."""


@dataclass(frozen=True, slots=True)
class Group:
    """Entries that compare with each other."""

    key: GroupKey
    entries: tuple[LeaderboardEntry, ...]
    """Of the leaderboard's own folder."""
    published: tuple[LeaderboardEntry, ...] | None
    """Of the published leaderboard beside it; None where it stands by itself."""

    @property
    def name(self) -> str:
        """Its track and the hash of what its entries have in common, which it keeps whoever joins it."""
        return f"{self.key[0]}_{hashlib.sha256(repr(self.key).encode()).hexdigest()[:8]}"

    def members(self) -> dict[str, Member]:
        """Its entries by the name that a table shows; what several scans share with the same runs appears once.

        Names that several scans have are told apart by the scan's, and where that is a third one's name, by a number.
        Beside published entries, which keep their names, those of one's own are marked.
        """
        if not self.published:
            whose = None if self.published is None else Whose.OWN
            return {name: Member(entry, whose) for name, entry in _named(_distinct(self.entries), set()).items()}
        published, own = _distinct(self.published), _distinct(self.entries)
        named = _named(published, set())
        alone = {runs: entry for runs, entry in own.items() if runs not in published}
        marked = _named(alone, set(named), mark=Whose.OWN.value)
        found = {name: _published(entry, own.get(_runs_of(entry))) for name, entry in named.items()}
        return found | {name: Member(entry, Whose.OWN) for name, entry in marked.items()}


def track_of(entry: LeaderboardEntry) -> str:
    """`controlled` for a family of architectures that differ in one mechanism only, else the track of the losses."""
    return entry.family or entry.track


def group_key(entry: LeaderboardEntry) -> GroupKey:
    """What an entry has in common with those that it compares with."""
    tracks = track_of(entry), entry.track, ComputeTier.of(entry.largest_run_flops).value
    if entry.runs and entry.runs[0].identity is not None:
        return *tracks, entry.corpus_hash or entry.scan, protocol_hash(entry)
    return *tracks, f"{entry.origin}/{entry.scan}", ""


def grouped(entries: Iterable[LeaderboardEntry], published: Iterable[LeaderboardEntry] | None = None) -> list[Group]:
    """The groups of `entries` and those `published` beside them: causal tracks first, then the dearest runs."""
    own, beside = _by_key(entries), _by_key(published or ())

    def order(key: GroupKey) -> tuple[bool, str, float, str]:
        dearest = max(entry.largest_run_flops for entry in (*own.get(key, ()), *beside.get(key, ())))
        return key[0] != "causal", key[0], -dearest, str(key)

    keys = sorted({**own, **beside}, key=order)
    return [
        Group(key, tuple(own.get(key, ())), None if published is None else tuple(beside.get(key, ()))) for key in keys
    ]


def named_baseline(entry: LeaderboardEntry, named: Container[str]) -> str | None:
    """The name in `named` of the one that `entry` was to be compared with: a published one before one's own."""
    if entry.baseline is None:
        return None
    return next((name for name in (entry.baseline, f"{entry.baseline} ({Whose.OWN.value})") if name in named), None)


def _by_key(entries: Iterable[LeaderboardEntry]) -> dict[GroupKey, list[LeaderboardEntry]]:
    groups: dict[GroupKey, list[LeaderboardEntry]] = {}
    for entry in entries:
        groups.setdefault(group_key(entry), []).append(entry)
    return groups


_Runs = tuple[str, frozenset[str]]
"""A contender's name, and the ids of its runs."""


def _runs_of(entry: LeaderboardEntry) -> _Runs:
    return entry.contender, frozenset(run.run_id for run in entry.runs)


def _published(entry: LeaderboardEntry, again: LeaderboardEntry | None) -> Member:
    return Member(entry, Whose.PUBLISHED if again is None else Whose.BOTH, again)


def _distinct(entries: Sequence[LeaderboardEntry]) -> dict[_Runs, LeaderboardEntry]:
    distinct: dict[_Runs, LeaderboardEntry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.contender, entry.scan)):
        distinct.setdefault(_runs_of(entry), entry)
    return distinct


def _named(
    distinct: dict[_Runs, LeaderboardEntry], taken: set[str], *, mark: str | None = None
) -> dict[str, LeaderboardEntry]:
    """Entries by names that are not in `taken`, with the scan's where several have one, and with the mark if any."""
    counts = Counter(name for name, _ in distinct)
    names: dict[_Runs, str] = {}
    for runs in sorted(distinct, key=lambda runs: counts[runs[0]] > 1):  # a name of one entry is not another's
        name = runs[0]
        words = [*([distinct[runs].scan] if counts[name] > 1 else []), *([mark] if mark else [])]
        shown = f"{name} ({', '.join(words)})" if words else name
        names[runs] = free_name(shown, {*taken, *names.values()})
    return {names[runs]: entry for runs, entry in distinct.items()}
