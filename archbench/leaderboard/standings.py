"""Who stands where: entries that may be compared, analysed together from their own curves and ranked.

Entries share a table where their losses compare: same track, same text and tokenizer, same evaluation set, same
context, compute of the same order (`ComputeTier`). Within it they rank by the loss that their frontiers reach at one
reference cost, the largest that all of them reach. A rank is given as a range where 95 % intervals of those losses
overlap.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from archbench.analysis.comparison.compare import Contender, interval
from archbench.analysis.frontier.audit import AuditSummary, audit_frontiers, summarise
from archbench.analysis.frontier.back_test import FrontierBacktestRow, back_test_frontier, last_error
from archbench.analysis.frontier.resamples import no_draw
from archbench.analysis.frontier.scan import StudyOptions, compare_all, study_contenders
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.report.words import bits_per_byte_factor, decisive_point
from archbench.results.fits import FrontierResult, Interval, MultiplierPoint
from archbench.results.runs import CostAxis, PrefixAudit, RunRecord

_WITHOUT_FLOOR = StudyOptions(floor="none")
"""Pages show the law without floor; fitting the other one would take most of the time."""


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


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one table."""

    name: str
    entry: LeaderboardEntry
    frontier: FrontierResult
    loss_nats: Interval
    """At the reference cost."""
    rank: tuple[int, int]
    """First and last place that its interval allows."""
    multiplier: MultiplierPoint | None
    """Over the table's baseline, at the lowest loss that both reach; None for the baseline itself."""
    audit: PrefixAudit | None
    """Of the largest run that has one."""
    conventions: AuditSummary | None = None
    """How far its exponent against the baseline's hangs on conventions; in main tables, None for the baseline."""
    back_test: FrontierBacktestRow | None = None
    """Prediction of its largest size by the smaller ones; in main tables, None below four sizes."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of comparable entries, on one cost axis, best first."""

    track: str
    """`controlled` for a family of architectures that differ in one mechanism, else the track of the losses."""
    tier: ComputeTier
    dataset: str
    corpus_hash: str | None
    seq_len: int | None
    axis: CostAxis
    reference_cost: float
    baseline: str | None
    bits_per_byte: float | None
    """Bits per byte for one nat per token; None where it is not defined."""
    rows: tuple[Row, ...]
    contenders: tuple[Contender, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """One group of comparable entries: its main table, and the same group on other cost axes."""

    name: str
    """Its track and the hash of what its entries have in common: the same whichever other groups there are."""
    main: Table
    others: tuple[Table, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """All of them, the main one first."""
        return self.main, *self.others


def make_standings(entries: Sequence[LeaderboardEntry]) -> list[Standing]:
    """All groups of comparable entries, causal tracks first, on every cost axis that the entries have.

    The first axis that all of a group have is its main one: executed FLOPs as a rule.
    """
    groups: dict[tuple[Any, ...], list[LeaderboardEntry]] = {}
    for entry in entries:
        groups.setdefault(_group_key(entry), []).append(entry)
    standings = []
    for key in sorted(groups, key=lambda key: (key[0] != "causal", *(str(part) for part in key))):
        named = _named(groups[key])
        tables = [_table(named, axis) for axis in (CostAxis.EXACT, CostAxis.KAPLAN, CostAxis.DEVICE_SECONDS)]
        found = [table for table in tables if table is not None]
        if found:
            name = f"{key[0]}_{hashlib.sha256(repr(key).encode()).hexdigest()[:8]}"
            standings.append(Standing(name, _scrutinised(found[0]), tuple(found[1:])))
    return standings


def _scrutinised(table: Table) -> Table:
    """`table` with the audit of each exponent over conventions, and each back-test."""
    records = [replace(record, contender=row.name) for row in table.rows for record in row.entry.records()]
    audited = audit_frontiers(records, table.axis, baseline=table.baseline)
    summaries = {one.contender: one for one in summarise(audited)}
    tested = {one.name: last_error(back_test_frontier(one, floors=("none",))) for one in table.contenders}
    rows = tuple(replace(row, conventions=summaries.get(row.name), back_test=tested[row.name]) for row in table.rows)
    return replace(table, rows=rows)


def _track(entry: LeaderboardEntry) -> str:
    return entry.family or entry.track


def _group_key(entry: LeaderboardEntry) -> tuple[Any, ...]:
    tracks = _track(entry), entry.track, ComputeTier.of(entry.largest_run_flops).value
    identity = entry.runs[0].identity if entry.runs else None
    if identity is None:
        return *tracks, f"{entry.origin}/{entry.scan}", 0, 0
    evaluation = identity.get("evaluation", {}).get("tokens")
    return *tracks, entry.corpus_hash or entry.scan, evaluation, identity.get("dims", {}).get("seq_len")


def _named(entries: Sequence[LeaderboardEntry]) -> dict[str, LeaderboardEntry]:
    """Entries by the name that a table shows; one that several scans share with the same runs appears once."""
    distinct: dict[tuple[str, frozenset[str]], LeaderboardEntry] = {}
    for entry in sorted(entries, key=lambda entry: (entry.contender, entry.scan)):
        distinct.setdefault((entry.contender, frozenset(run.run_id for run in entry.runs)), entry)
    counts = Counter(name for name, _ in distinct)
    return {(name if counts[name] == 1 else f"{name} ({entry.scan})"): entry for (name, _), entry in distinct.items()}


def _timed_alike(named: dict[str, LeaderboardEntry]) -> dict[str, LeaderboardEntry]:
    """The entries timed on the machine on which most were: seconds of different machines do not compare."""
    machines = Counter(entry.machines for entry in named.values())
    most = max(machines, key=lambda one: (machines[one], sorted(one)))
    return {name: entry for name, entry in named.items() if entry.machines == most}


def _table(named: dict[str, LeaderboardEntry], axis: CostAxis) -> Table | None:
    if axis is CostAxis.DEVICE_SECONDS:
        named = _timed_alike(named)
    records = [replace(record, contender=name) for name, entry in named.items() for record in entry.records()]
    wanted = Counter(entry.baseline for entry in named.values() if entry.baseline in named).most_common(1)
    baseline = wanted[0][0] if wanted else None
    contenders = study_contenders(records, axis, baseline=baseline, options=_WITHOUT_FLOOR)
    if len(contenders) < len({record.contender for record in records if record.usable}):
        return None
    # Compute that a tier wasted was spent all the same: the envelope goes on flat to the end of the longest run.
    reference = min(max(float(curve.cost[-1]) for curve in one.curves.curves) for one in contenders)
    losses = {one.name: _loss_at(one, reference) for one in contenders}
    against = {pair.contender: pair for pair in compare_all(contenders, baseline) if pair.baseline == baseline}
    rows = [
        Row(
            name=one.name,
            entry=named[one.name],
            frontier=one.result,
            loss_nats=losses[one.name],
            rank=_rank(one.name, losses),
            multiplier=decisive_point(against[one.name]) if one.name in against else None,
            audit=_audit([record for record in records if record.contender == one.name]),
        )
        for one in sorted(contenders, key=lambda one: losses[one.name].value)
    ]
    first = rows[0].entry
    identity = first.runs[0].identity or {}
    dataset = first.spec.get("data", {}).get("dataset", {})
    return Table(
        track=_track(first),
        tier=ComputeTier.of(first.largest_run_flops),
        dataset=str(dataset.get("kind", first.origin)) if isinstance(dataset, dict) else str(dataset),
        corpus_hash=first.corpus_hash,
        seq_len=identity.get("dims", {}).get("seq_len"),
        axis=axis,
        reference_cost=reference,
        baseline=baseline,
        bits_per_byte=bits_per_byte_factor(records),
        rows=tuple(rows),
        contenders=tuple(contenders),
    )


def _loss_at(one: Contender, cost: float) -> Interval:
    at = np.log([cost])
    value = one.frontiers.loss_at(no_draw(len(one.curves.curves)), at)[0, 0]
    samples = one.frontiers.loss_at(one.draws, at)[:, 0]
    return interval(float(np.exp(value)), np.exp(samples), method=one.draws.method)


def _rank(name: str, losses: dict[str, Interval]) -> tuple[int, int]:
    own = losses[name]
    better = sum(other.high < own.low for key, other in losses.items() if key != name)
    worse = sum(other.low > own.high for key, other in losses.items() if key != name)
    return better + 1, len(losses) - worse


def _audit(records: Sequence[RunRecord]) -> PrefixAudit | None:
    audited = [record for record in records if record.usable and record.prefix_audit is not None]
    largest = max(audited, key=lambda record: (record.non_embedding_params, -record.seed), default=None)
    return largest.prefix_audit if largest is not None else None
