"""The leaderboard's tables, as Markdown."""

from collections.abc import Callable, Iterator, Sequence

from archbench.analysis.comparison.compare import CostConclusion
from archbench.display import Markdown, folded, markdown_heading, markdown_line, markdown_list, markdown_text
from archbench.leaderboard.entry import EntryFigure, LeaderboardEntry
from archbench.leaderboard.evidence import OWN_ORIGIN
from archbench.leaderboard.groups import Whose
from archbench.leaderboard.standings import Row, Table
from archbench.report.plotting import AXIS_NAMES, markdown_table
from archbench.report.words import alpha_text, known, number, tiers_text, with_interval
from archbench.results.arithmetic import mixed_arithmetic
from archbench.results.executed_flops import without_executed_flops
from archbench.results.experts import convention_beside_dense
from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis
from archbench.units import human_count

Link = Callable[[LeaderboardEntry, Whose | None], str]
"""The address at which a page shows what stands behind an entry, which is whose."""

EVERY_COLUMN = "Every column"
"""Summary of the fold with the table of all figures."""
_LEVEL = 0.05
_TRACK_TITLES = {
    "causal": "Causal language models",
    "masked": "Masked language models",
    "controlled": "One backbone, one mechanism changed",
}


def heading(table: Table) -> str:
    """Title of a group of comparable entries."""
    title = _TRACK_TITLES.get(table.track, f"Track {table.track}")
    text = f"{table.dataset} in {table.vocabulary}" if table.vocabulary else table.dataset
    return markdown_heading(2, f"{title} on {text}, {table.tier.value} tier")


def compared_under(table: Table) -> str:
    """Under what the entries of a group compare."""
    high, low = (number(loss, 4) for loss in table.window_nats)
    facts = [f"multipliers over {markdown_text(table.reference)}, at losses of {high} to {low} nats"]
    facts.append(f"reference compute {number(table.reference_cost)} {AXIS_NAMES[table.axis]}")
    if table.corpus_hash:
        facts.append(f"corpus `{table.corpus_hash[:12]}`")
    if table.seq_len:
        facts.append(f"context {table.seq_len} tokens")
    facts.append(f"protocol `{table.protocol}`")
    return f"What is the same for all: {'; '.join(facts)}."


def origins(table: Table) -> str:
    """Which rows were not trained by archbench, and where they come from; empty if all were."""
    foreign = [f"{row.name} from {row.entry.origin}" for row in table.rows if row.entry.origin != OWN_ORIGIN]
    if not foreign:
        return ""
    uncounted = without_executed_flops(record for row in table.rows for record in row.entry.records())
    mind = f" Executed FLOPs were not counted, 6ND stands in for them: {', '.join(uncounted)}." if uncounted else ""
    return markdown_line(f"Not trained by archbench, their curves taken as given: {'; '.join(foreign)}.{mind}")


def mixed(table: Table) -> str:
    """How the runs of a table differ in what computed them; empty if they do not."""
    words = mixed_arithmetic(record for row in table.rows for record in row.entry.records())
    return markdown_line(f"Mind: {words}.") if words else ""


def experts(table: Table) -> str:
    """What N and FLOPs count where mixtures of experts stand in a table; empty where none does."""
    words = convention_beside_dense(record for row in table.rows for record in row.entry.records())
    return markdown_line(f"Mind: {words}.") if words else ""


def history(entries: Sequence[LeaderboardEntry], link: Link) -> str:
    """What entries stated before they were replaced, latest first; empty where none was."""
    axis = CostAxis.EXACT
    changes = []
    for entry in entries:
        figures = [*(past.figures for past in entry.history), entry.figures]
        changes += [(past, entry, after.get(axis)) for past, after in zip(entry.history, figures[1:], strict=True)]
    rows = [
        [
            past.until.isoformat(),
            _linked(f"{entry.contender} of {entry.scan}", link(entry, None)),
            f"{past.num_runs} runs, {_stated_alpha(past.figures.get(axis))}",
            _stated_alpha(after),
        ]
        for past, entry, after in sorted(changes, key=lambda change: change[0].until, reverse=True)
    ]
    if not rows:
        return ""
    return "## History\n\n" + markdown_table(["replaced on", "entry", "before: alpha on executed FLOPs", "then"], rows)


def _stated_alpha(figure: EntryFigure | None) -> str:
    if figure is None:
        return "-"
    return number(figure.alpha) if figure.alpha is not None else f"`{figure.law_status.value}`"


def main_table(table: Table, link: Link) -> str:
    """One row for each entry, best first: what it ranks by, and the loss; below it, who has no place and why."""
    asked = next((row.answer for row in table.rows if row.answer is not None), None)
    header = ["rank", "architecture", "compute multiplier", f"loss ({_loss_unit(table)})"]
    header += [f"better by {number(asked.margin)}?"] if asked is not None else []
    rows = [
        [
            _rank(row),
            _linked(row.name, link(row.entry, row.whose)),
            _told_multiplier(row, table),
            _loss(row.loss_nats, table.bits_per_byte),
            *([_answer(row)] if asked is not None else []),
        ]
        for row in table.rows
    ]
    listed = "\n".join([*_without_place(table), *_trained_again(table, link)])
    parts = (markdown_table(header, rows, right=(2, 3)), compared_under(table), listed)
    return "\n\n".join(part for part in parts if part)


def _loss_unit(table: Table) -> str:
    return "bits per byte" if table.bits_per_byte else "nats per token"


def _without_place(table: Table) -> list[str]:
    """Who has no place, those with the same reason in one line."""
    named: dict[str, list[str]] = {}
    for row in table.rows:
        if row.unranked:
            reason = row.unranked.replace(f"the runs of {row.name} do", "their runs do")
            named.setdefault(reason, []).append(row.name)
    return [
        markdown_list([f"{', '.join(names)} {'have' if len(names) > 1 else 'has'} no place: {reason}."])
        for reason, names in named.items()
    ]


def all_columns(table: Table, link: Link) -> str:
    """Every figure of each entry, folded."""
    header = ["architecture", "multiplier", "alpha", "sizes (N)", "conventions", "back-test", "size tiers", "origin"]
    audited = any(row.audit for row in table.rows)
    header += ["prefix audit (nats)"] if audited else []
    rows = [
        [
            _linked(row.name, link(row.entry, row.whose)),
            _multiplier(row, table.reference),
            alpha_text(row.frontier.law),
            _sizes(row),
            _conventions(row, table.baseline),
            _back_test(row),
            tiers_text(row.frontier),
            _origin(row),
            *([_audit(row)] if audited else []),
        ]
        for row in table.rows
    ]
    return folded(EVERY_COLUMN, markdown_table(header, rows, right=(1, 2, 5, 8)))


def _told_multiplier(row: Row, table: Table) -> str:
    """The multiplier; where equal is not ruled out its interval alone, which an estimate beside it would belie."""
    found = row.shown_multiplier
    if found is None or found.multiplier is None or found.status is not FitStatus.OK or _is_told_apart(row):
        return _multiplier(row, table.reference)
    if not known(found.multiplier):
        return f"not told apart, interval unknown{_own_window(row)}"
    return f"not told apart, {number(found.multiplier.low)} to {number(found.multiplier.high)}x{_own_window(row)}"


def _is_told_apart(row: Row) -> bool:
    """Whether its compute is told apart from the baseline's, by the same test as in *conventions*."""
    if row.own_window is None and row.conventions is not None:
        return row.conventions.conclusion is not CostConclusion.NOT_TOLD_APART
    found = row.shown_multiplier
    return found is not None and found.p_value is not None and found.p_value < _LEVEL


def _trained_again(table: Table, link: Link) -> Iterator[str]:
    """Of each published row whose runs were trained here too, whether that gave the same losses."""
    for row in table.rows:
        if row.again is None:
            continue
        most = _largest_difference(row.entry, row.again)
        same = "to the same final losses" if most == 0 else f"to final losses that differ by up to {number(most)} nats"
        said = markdown_list([f"{row.name} was trained here too, {same}; the table holds what was published."])
        yield f"{said} {_linked('Yours', link(row.again, Whose.OWN))}."


def _largest_difference(entry: LeaderboardEntry, again: LeaderboardEntry) -> float:
    """Of the final losses of the runs that ended in both, in nats."""
    losses = {run.run_id: run.final_loss_nats for run in entry.runs}
    pairs = ((losses[run.run_id], run.final_loss_nats) for run in again.runs)
    return max((abs(one - other) for one, other in pairs if one is not None and other is not None), default=0.0)


def _linked(text: str, address: str) -> Markdown:
    return Markdown(f"[{markdown_text(text)}]({address})")


def axes_table(tables: Sequence[Table]) -> str:
    """Rank, exponent and multiplier of each architecture on each cost axis."""
    by_axis = [{row.name: row for row in table.rows} for table in tables]
    header = ["architecture", *(f"{AXIS_NAMES[table.axis]}: rank, alpha, multiplier" for table in tables)]
    rows = []
    for name in (row.name for row in tables[0].rows):
        cells = [name]
        for table, axis in zip(tables, by_axis, strict=True):
            row = axis.get(name)
            cells.append(
                f"{_rank(row)}, {_short_alpha(row)}, {_multiplier(row, table.reference, short=True)}"
                if row
                else _untimed(table.axis)
            )
        rows.append(cells)
    listed = markdown_table(header, rows)
    times = _TIMES if any(table.axis is CostAxis.PROCESSOR_SECONDS for table in tables) else ""
    return folded("The same on each compute axis", listed + times)


_TIMES = (
    "\n\nThe wall-clock multiplier on CPUs is that on processor seconds: all threads together, which other work on the "
    "machine hardly changes. Device seconds are the time that passed."
)


def _untimed(axis: CostAxis) -> str:
    """Why an entry has no row on `axis`."""
    return "not timed, or other machine" if axis is CostAxis.PROCESSOR_SECONDS else "other machine"


def _origin(row: Row) -> str:
    """Who trained it and when, and whose it is where there are published ones beside one's own."""
    trained = " ".join(part for part in (row.entry.origin, str(row.entry.added or "")) if part)
    return trained if row.whose is None else f"{row.whose.value}: {trained}"


def _rank(row: Row) -> str:
    return str(row.rank) if row.rank is not None else "-"


def _sizes(row: Row) -> str:
    params = sorted(size.non_embedding_params for size in row.frontier.sizes)
    if len(params) == 1:
        return f"1 ({human_count(params[0])})"
    return f"{len(params)} ({human_count(params[0])}–{human_count(params[-1])})"


def _loss(loss: Interval | None, factor: float | None) -> str:
    if loss is None:
        return "not reached"
    scale = factor or 1.0
    return with_interval(Interval(loss.value * scale, loss.low * scale, loss.high * scale), 4)


def _short_alpha(row: Row) -> str:
    law = row.frontier.law
    return number(law.params["alpha_C"]) if law.status is FitStatus.OK else f"`{law.status.value}`"


def _multiplier(row: Row, reference: str, *, short: bool = False) -> str:
    if row.name == reference:
        return "1 (reference)"
    found = row.shown_multiplier
    if found is None:
        return "-"
    if found.status is not FitStatus.OK or found.multiplier is None:
        return f"`{found.status.value}`"
    return f"{number(found.multiplier.value) if short else with_interval(found.multiplier)}x{_own_window(row)}"


def _own_window(row: Row) -> str:
    """At which losses, where they are not the table's."""
    if row.own_window is None or row.own_window.window_nats is None:
        return ""
    high, low = row.own_window.window_nats
    return f" at {number(high)} to {number(low)} nats"


def _conventions(row: Row, baseline: str | None) -> str:
    """Under how many other conventions the same is said of its cost against the baseline's."""
    if row.name == baseline:
        return "(baseline)"
    one = row.conventions
    if one is None or one.conclusion is CostConclusion.REFUSED:
        return "-"
    return f"same under {one.held} of {one.readable}"


def _back_test(row: Row) -> str:
    """Error of the prediction of the dearest run by the cheaper ones, marked where its interval missed."""
    test = row.back_test
    if test is None:
        return "-"
    if test.predicted is None:
        return f"`{test.status.value}`"
    mark = " **!**" if test.covered is False else " (no test)" if test.covered is None else ""
    return f"{100 * test.error:+.1f} %{mark}"


def _answer(row: Row) -> str:
    """The answer to the question of all entries, marked where a control of its scan failed."""
    if row.answer is None:
        return "-"
    return f"{row.answer.answer.value}{' (a control failed)' if row.control_failed else ''}"


def _audit(row: Row) -> str:
    audit = row.audit
    if audit is None:
        return "-"
    mark = " **!**" if audit.low_nats > 0 else ""
    return f"{audit.mean_gain_nats:.2g} [{audit.low_nats:.2g}, {audit.high_nats:.2g}]{mark}"
