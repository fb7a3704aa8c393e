"""Who stands where: entries that compare (`archbench.leaderboard.groups`), analysed together from their own curves.

Within a group places are given by tests of compute at equal loss, over one window of losses that the table's baseline
fixes (`archbench.analysis.comparison.ranking`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from archbench.analysis.comparison.compare import Contender, read_pair
from archbench.analysis.comparison.multiplier import Window, asked_window
from archbench.analysis.comparison.question import answer_of, asked_question
from archbench.analysis.comparison.ranking import Ranking, loss_at, rank
from archbench.analysis.frontier.audit import AuditSummary, audit_frontiers, summarise
from archbench.analysis.frontier.back_test import FrontierBacktestRow, back_test_frontier, last_error
from archbench.analysis.frontier.scan import StudyOptions, study_contenders
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.groups import ComputeTier, Member, Whose, grouped, named_baseline, track_of
from archbench.leaderboard.protocol import protocol_hash
from archbench.results.bits_per_byte import bits_per_byte_factor
from archbench.results.fits import FrontierResult, HeadlineMultiplier, Interval, QuestionAnswer
from archbench.results.kept import Kept, anew
from archbench.results.runs import CostAxis, PrefixAudit, RunRecord

_Records = Mapping[str, Sequence[RunRecord]]
"""Shown name -> runs."""
_WITHOUT_FLOOR = StudyOptions(floor="none")
"""Pages show the law without floor; fitting the other one would take most of the time."""


_AXES = (CostAxis.EXACT, CostAxis.KAPLAN, CostAxis.DEVICE_SECONDS, CostAxis.PROCESSOR_SECONDS)


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one table."""

    name: str
    entry: LeaderboardEntry
    frontier: FrontierResult
    loss_nats: Interval | None
    """At the reference cost; None where its runs do not reach it."""
    rank: int | None
    """One plus the number of those that need significantly less compute; None where it is not ranked."""
    unranked: str
    """Why it has no rank; empty where it has one."""
    multiplier: HeadlineMultiplier | None
    """Over the table's reference, in the table's window; None for the reference itself."""
    own_window: HeadlineMultiplier | None
    """The same over the middle half of the losses that both cover, where the runs do not cover the table's window."""
    audit: PrefixAudit | None
    """Of the largest run that has one."""
    conventions: AuditSummary | None = None
    """How far its multiplier over the baseline hangs on conventions; in main tables, None for the baseline."""
    back_test: FrontierBacktestRow | None = None
    """Prediction of its dearest run by the cheaper ones; in main tables, None below four runs."""
    answer: QuestionAnswer | None = None
    """To the question that the specs of all entries ask; None for the reference, where they ask none or several, and
    where the reference is not the baseline that they ask it of."""
    whose: Whose | None = None
    """None on a leaderboard that stands by itself."""
    again: LeaderboardEntry | None = None
    """One's own entry of the same runs, where it is published and was trained here too."""

    @property
    def shown_multiplier(self) -> HeadlineMultiplier | None:
        """The one that stands in the tables."""
        return self.own_window or self.multiplier

    @property
    def control_failed(self) -> bool:
        """Whether a control of its scan failed, so that no answer may be relied on."""
        outcomes = self.entry.environment.get("controls", {})
        return any(passed is False for passed in outcomes.values())


@dataclass(frozen=True, slots=True)
class Table:
    """One table of comparable entries, on one cost axis, best first."""

    track: str
    """`controlled` for a family of architectures that differ in one mechanism, else the track of the losses."""
    tier: ComputeTier
    dataset: str
    vocabulary: str
    """What its text is cut into, such as `512 ids`; empty where the entries do not say."""
    corpus_hash: str | None
    seq_len: int | None
    axis: CostAxis
    reference_cost: float
    """Of the reference's dearest run."""
    reference: str
    """What the window is taken from: the baseline where it is among the entries and not on the plateau, else the first
    such by name."""
    window_nats: tuple[float, float]
    """The losses over which multipliers are averaged, the higher first."""
    protocol: str
    """Hash of what all of the table have in common."""
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


def make_standings(
    entries: Sequence[LeaderboardEntry], kept: Kept = anew, *, published: Sequence[LeaderboardEntry] | None = None
) -> list[Standing]:
    """All groups of comparable entries, causal tracks first, on every cost axis that the entries have.

    The first axis that all of a group have is its main one: executed FLOPs as a rule. kept: where what does not hang on
    who else is in a group is kept. published: what stands beside `entries`, which are one's own then.
    """
    standings = []
    for group in grouped(entries, published):
        members = group.members()
        named = {name: member.entry for name, member in members.items()}
        # The same objects for every axis: what was fitted to them is not fitted again.
        records = {name: [replace(one, contender=name) for one in entry.records()] for name, entry in named.items()}
        tables = [_table(named, records, axis, kept) for axis in _AXES]
        found = [_marked(table, members) for table in tables if table is not None]
        if found:
            main = _scrutinised(found[0], records, kept)
            standings.append(Standing(group.name, main, tuple(found[1:])))
    return standings


def _marked(table: Table, members: Mapping[str, Member]) -> Table:
    """`table` with whose each row is."""
    rows = ((row, members[row.name]) for row in table.rows)
    return replace(table, rows=tuple(replace(row, whose=member.whose, again=member.again) for row, member in rows))


def _scrutinised(table: Table, records: _Records, kept: Kept) -> Table:
    """`table` with the audit of each exponent over conventions, and each back-test."""
    shown = {row.name for row in table.rows}
    runs = [record for name, some in records.items() if name in shown for record in some]
    audited = audit_frontiers(runs, table.axis, baseline=table.baseline, window=Window(*table.window_nats))
    summaries = {one.contender: one for one in summarise(audited)}
    tested = {one.name: _back_test(one, kept) for one in table.contenders}
    rows = tuple(replace(row, conventions=summaries.get(row.name), back_test=tested[row.name]) for row in table.rows)
    return replace(table, rows=rows)


def _back_test(one: Contender, kept: Kept) -> FrontierBacktestRow | None:
    hangs_on = ("back-test", one.finished.fingerprint)
    return kept(FrontierBacktestRow | None, hangs_on, lambda: last_error(back_test_frontier(one, floors=("free",))))


def _timed_alike(named: dict[str, LeaderboardEntry]) -> dict[str, LeaderboardEntry]:
    """The entries timed on the machine on which most were: seconds of different machines do not compare."""
    machines = Counter(entry.machines for entry in named.values())
    most = max(machines, key=lambda one: (machines[one], sorted(one)))
    return {name: entry for name, entry in named.items() if entry.machines == most}


def _table(named: dict[str, LeaderboardEntry], records_of: _Records, axis: CostAxis, kept: Kept) -> Table | None:
    if axis is CostAxis.PROCESSOR_SECONDS:
        # Accelerators do not have them, and older entries do not state them.
        named = {name: entry for name, entry in named.items() if any(run.curve.processor_seconds for run in entry.runs)}
    if not named:
        return None
    if axis.measured:
        named = _timed_alike(named)
    records = [record for name in named for record in records_of[name]]
    wanted = Counter(name for entry in named.values() if (name := named_baseline(entry, named)) is not None)
    baseline = wanted.most_common(1)[0][0] if wanted else None
    contenders = study_contenders(records, axis, baseline=baseline, options=_WITHOUT_FLOOR)
    if len(contenders) < len({record.contender for record in records if record.usable}):
        return None
    reference = _reference(contenders, baseline)
    ranking = rank(contenders, reference, _asked_window(named), kept)
    by_name = {one.name: one for one in contenders}
    rows = [
        Row(
            name=one.name,
            entry=named[one.name],
            frontier=one.result,
            loss_nats=loss_at(one.finished, ranking.reference_cost, kept=kept),
            rank=ranking.places.get(one.name),
            unranked=ranking.unranked.get(one.name, ""),
            multiplier=ranking.multipliers.get(one.name),
            own_window=ranking.own_windows.get(one.name),
            audit=_audit(records_of[one.name]),
            answer=_answer(named, by_name[reference], one, ranking, kept),
        )
        for one in sorted(contenders, key=lambda one: _order(one.name, ranking))
    ]
    first = rows[0].entry
    identity = first.runs[0].identity or {}
    data = first.spec.get("data", {})
    dataset = data.get("dataset", {})
    return Table(
        track=track_of(first),
        tier=ComputeTier.of(first.largest_run_flops),
        dataset=str(dataset.get("kind", first.origin)) if isinstance(dataset, dict) else str(dataset),
        vocabulary=_vocabulary(data.get("tokenizer")),
        corpus_hash=first.corpus_hash,
        seq_len=identity.get("dims", {}).get("seq_len"),
        axis=axis,
        reference_cost=ranking.reference_cost,
        reference=reference,
        window_nats=(ranking.window.high_nats, ranking.window.low_nats),
        protocol=protocol_hash(first),
        baseline=baseline,
        bits_per_byte=bits_per_byte_factor(records),
        rows=tuple(rows),
        contenders=tuple(contenders),
    )


def _vocabulary(tokenizer: object) -> str:
    """In words what a tokenizer's settings make of a text."""
    settings = tokenizer if isinstance(tokenizer, Mapping) else {}
    size = settings.get("vocab_size")
    return f"{size:,} ids" if isinstance(size, int) else str(settings.get("kind", ""))


def _reference(contenders: Sequence[Contender], baseline: str | None) -> str:
    """The one that window and multipliers come from: nothing is read over one whose runs end on the plateau."""
    readable = [one.name for one in contenders if not one.finished.refusal] or [one.name for one in contenders]
    return baseline if baseline in readable else min(readable)


def _asked_window(named: dict[str, LeaderboardEntry]) -> Window | None:
    """The window that the specs of all entries fix; None where they fix none, or several."""
    asked = {asked_window(entry.spec) for entry in named.values()}
    return asked.pop() if len(asked) == 1 else None


def _answer(
    named: dict[str, LeaderboardEntry], base: Contender, one: Contender, ranking: Ranking, kept: Kept
) -> QuestionAnswer | None:
    """The answer of `one` to the question of all entries, by its multiplier over the table's window.

    base: the table's reference. None where it is not the baseline that all entries are to be compared with.
    """
    asked = {(asked_question(entry.spec), entry.baseline) for entry in named.values()}
    question, baseline = asked.pop() if len(asked) == 1 else (None, None)
    if question is None or baseline != named[base.name].contender:
        return None
    if one is base or question.axis not in (None, base.finished.axis):
        return None
    place = (ranking.window.high_nats, ranking.window.low_nats, question.margin, question.cost or 0.0)
    return kept(
        QuestionAnswer,
        ("answer", base.finished.fingerprint, one.finished.fingerprint, *place),
        lambda: answer_of(question, ranking.multipliers.get(one.name), read_pair(base, one), (base, one)),
    )


def _order(name: str, ranking: Ranking) -> tuple[int, float]:
    """Ranked ones first, by place and then by multiplier; then the others."""
    found = ranking.own_windows.get(name) or ranking.multipliers.get(name)
    value = found.multiplier.value if found is not None and found.multiplier is not None else 1.0
    return ranking.places.get(name, len(ranking.places) + 1), -value


def _audit(records: Sequence[RunRecord]) -> PrefixAudit | None:
    audited = [record for record in records if record.usable and record.prefix_audit is not None]
    largest = max(audited, key=lambda record: (record.non_embedding_params, -record.seed), default=None)
    return largest.prefix_audit if largest is not None else None
