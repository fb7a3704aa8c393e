"""The leaderboard's pages: rendered from entries alone, the same bytes from the same entries."""

from collections.abc import Sequence
from pathlib import Path

from archbench.analysis.comparison import Conclusion
from archbench.errors import StoreError
from archbench.leaderboard.entry import FORMAT, EntryFigure, LeaderboardEntry, read_entry, upgraded, write_entry
from archbench.leaderboard.standings import Row, Table, make_standings, refuse_forged
from archbench.report.figures import overview
from archbench.report.plotting import AXIS_NAMES, markdown_table, svg_bytes
from archbench.report.words import alpha_text, number, tiers_text, with_interval, without_executed_flops
from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis
from archbench.units import human_count

PAGE = "README.md"
FIGURES = "figures"
OWN_ORIGIN = "archbench"

_TRACK_TITLES = {
    "causal": "Causal language models",
    "masked": "Masked language models",
    "controlled": "One backbone, one mechanism changed",
}

_INTRODUCTION = """# Leaderboard

Which Transformer architecture gives the lowest loss for its training compute? Each architecture is trained at several
sizes under one protocol; its *frontier* is the lower envelope of all its learning curves. Architectures rank by the
loss that their frontiers reach at one reference compute. This page is generated: `archbench leaderboard`."""

_LEGEND = """## How to read it

- **Rank**: by loss at the reference compute, the largest that all entries of the table reach. `1-2` means that the
  95 % intervals of the losses overlap: the data do not tell these places apart.
- **alpha**: exponent of L(C) = (C_c/C)^alpha on the frontier, with its 95 % interval from resampled runs. Larger is
  better at scale. A word such as `too_few_sizes` stands where no figure may be read.
- **Conventions**: whether the exponent is *steeper*, *flatter* or *not told apart* from the baseline's, and under how
  many other conventions that holds (floor, cost axis, embeddings counted, Huber's loss, finished points only, without
  the largest or the smallest size). `holds 7/9` means that two of nine readable variants say something else.
- **Back-test**: error of the loss at the largest size as predicted by the law of the smaller ones; marked **!** where
  its 95 % interval missed.
- **Multiplier**: compute of the baseline divided by this architecture's at the lowest loss that both reach; above 1, it
  needs less.
- **Size tiers**: neighbouring sizes of which the larger ones do not beat the smallest by more than run-to-run noise.
- **Prefix audit**: what the largest model gains from later tokens, which a causal model must not see, in nats per
  token. Zero for an honest causal model; marked **!** where its interval lies above zero.
- **Compute tier**: what the largest run takes about a day on: *laptop* up to 1e15 executed FLOPs, *accelerator* up to
  1e19, *cluster* beyond. Entries of different tiers do not share a table.
- **Compute axis**: *executed* FLOPs count what the architecture really runs, attention, hashing and recomputation
  included; *6ND* is Kaplan et al.'s count without embeddings; *device seconds* is measured time, which compares on one
  machine only. A ranking that hangs on the axis shows in the second table."""

_EMPTY = """There is no entry yet. `archbench run SPEC` measures architectures and adds them."""


def read_entries(directory: Path) -> list[LeaderboardEntry]:
    """All entries below `directory`, by file name. Raises SpecError for one that is malformed or forged."""
    entries = []
    for path in sorted((directory / "entries").glob("*.json")):
        entry = read_entry(path)
        refuse_forged(str(path), entry)
        entries.append(entry)
    return entries


def render(directory: Path) -> dict[Path, bytes]:
    """Path (inside `directory`) -> content of every generated file."""
    return _render(directory, read_entries(directory))


def _render(directory: Path, entries: Sequence[LeaderboardEntry]) -> dict[Path, bytes]:
    standings = make_standings(entries)
    files: dict[Path, bytes] = {}
    parts = [_INTRODUCTION]
    if not standings:
        parts.append(_EMPTY)
    for place, standing in enumerate(standings):
        main = standing.main
        name = f"loss_against_compute_{place + 1}_{main.track}.svg"
        files[directory / FIGURES / name] = svg_bytes(overview(list(main.contenders)))
        parts += [_heading(main), f"![Loss against compute]({FIGURES}/{name})", _table(main)]
        if origins := _origins(main):
            parts.append(origins)
        if standing.others:
            parts.append(_axes_table(standing.tables))
    if history := _history(entries):
        parts.append(history)
    if standings:
        parts.append(_LEGEND)
    files[directory / PAGE] = ("\n\n".join(parts) + "\n").encode()
    return files


def write(directory: Path) -> list[Path]:
    """Renders all files into `directory` and returns what changed.

    Entries of an older format are written anew, what they do not state computed from their curves; figures that are no
    longer made are removed.
    """
    entries = read_entries(directory)
    changed = [write_entry(directory, upgraded(entry)) for entry in entries if entry.format != FORMAT]
    files = _render(directory, entries)
    try:
        for path, content in files.items():
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                changed.append(path)
        for path in _stale(directory, files):
            path.unlink()
            changed.append(path)
    except OSError as error:
        raise StoreError(f"{directory}: the leaderboard cannot be written: {error.strerror}") from error
    return changed


def check(directory: Path) -> list[str]:
    """What differs between the files that are there and those that the entries give; empty if nothing does."""
    entries = read_entries(directory)
    files = _render(directory, entries)
    problems = [
        f"{directory / 'entries' / entry.file_name}: is of format {entry.format}, not {FORMAT}"
        for entry in entries
        if entry.format != FORMAT
    ]
    for path, content in files.items():
        if not path.exists():
            problems.append(f"{path}: is missing")
        elif path.read_bytes() != content:
            problems.append(f"{path}: differs from what the entries give")
    return problems + [f"{path}: belongs to no entry" for path in _stale(directory, files)]


def _stale(directory: Path, files: dict[Path, bytes]) -> list[Path]:
    return sorted(path for path in (directory / FIGURES).glob("*.svg") if path not in files)


def _heading(table: Table) -> str:
    title = _TRACK_TITLES.get(table.track, f"Track {table.track}")
    facts = [f"compute tier: {table.tier.value}"]
    if table.corpus_hash:
        facts.append(f"corpus `{table.corpus_hash[:12]}`")
    if table.seq_len:
        facts.append(f"context {table.seq_len} tokens")
    facts.append(f"reference compute {number(table.reference_cost)} {AXIS_NAMES[table.axis]}")
    if table.baseline:
        facts.append(f"baseline {table.baseline}")
    return f"## {title} on {table.dataset}\n\n{'; '.join(facts)}."


def _origins(table: Table) -> str:
    """Which rows were not trained by archbench, and where they come from; empty if all were."""
    foreign = [f"{row.name} from {row.entry.origin}" for row in table.rows if row.entry.origin != OWN_ORIGIN]
    if not foreign:
        return ""
    uncounted = without_executed_flops(record for row in table.rows for record in row.entry.records())
    mind = f" Executed FLOPs were not counted, 6ND stands in for them: {', '.join(uncounted)}." if uncounted else ""
    return f"Not trained by archbench, their curves taken as given: {'; '.join(foreign)}.{mind}"


def _history(entries: Sequence[LeaderboardEntry]) -> str:
    """What entries stated before they were replaced, latest first; empty where none was."""
    axis = CostAxis.EXACT.value
    changes = [
        (past.until.isoformat(), entry, past, after)
        for entry in entries
        for past, after in zip(entry.history, (*entry.history[1:], entry), strict=False)
    ]
    rows = [
        [
            day,
            f"[{entry.contender} of {entry.scan}](entries/{entry.file_name})",
            f"{past.num_runs} runs, {_stated_alpha(past.figures.get(axis))}",
            _stated_alpha(after.figures.get(axis)),
        ]
        for day, entry, past, after in sorted(changes, key=lambda change: change[0], reverse=True)
    ]
    if not rows:
        return ""
    return "## History\n\n" + markdown_table(["replaced on", "entry", "before: alpha on executed FLOPs", "then"], rows)


def _stated_alpha(figure: EntryFigure | None) -> str:
    if figure is None:
        return "-"
    return number(figure.alpha) if figure.alpha is not None else f"`{figure.law_status.value}`"


def _table(table: Table) -> str:
    unit = "bits per byte" if table.bits_per_byte else "nats per token"
    header = [
        "rank",
        "architecture",
        "sizes (N)",
        f"loss ({unit})",
        "alpha",
        "conventions",
        "back-test",
        "multiplier",
        "size tiers",
    ]
    audited = any(row.audit for row in table.rows)
    if audited:
        header.append("prefix audit (nats)")
    rows = []
    for row in table.rows:
        cells = [
            _rank(row),
            f"[{row.name}](entries/{row.entry.file_name})",
            _sizes(row),
            _loss(row.loss_nats, table.bits_per_byte),
            alpha_text(row.frontier.law),
            _conventions(row, table.baseline),
            _back_test(row),
            _multiplier(row, table.baseline),
            tiers_text(row.frontier),
        ]
        if audited:
            cells.append(_audit(row))
        rows.append(cells)
    return markdown_table(header, rows, right=(3, 4, 6, 7, 9))


def _axes_table(tables: Sequence[Table]) -> str:
    """Rank, exponent and multiplier of each architecture on each cost axis."""
    by_axis = [{row.name: row for row in table.rows} for table in tables]
    header = ["architecture", *(f"{AXIS_NAMES[table.axis]}: rank, alpha, multiplier" for table in tables)]
    rows = []
    for name in (row.name for row in tables[0].rows):
        cells = [name]
        for table, axis in zip(tables, by_axis, strict=True):
            row = axis.get(name)
            cells.append(
                f"{_rank(row)}, {_short_alpha(row)}, {_multiplier(row, table.baseline, short=True)}"
                if row
                else "other machine"
            )
        rows.append(cells)
    return "The same on each compute axis:\n\n" + markdown_table(header, rows)


def _rank(row: Row) -> str:
    first, last = row.rank
    return str(first) if first == last else f"{first}-{last}"


def _sizes(row: Row) -> str:
    params = sorted(size.non_embedding_params for size in row.frontier.sizes)
    if len(params) == 1:
        return f"1 ({human_count(params[0])})"
    return f"{len(params)} ({human_count(params[0])} - {human_count(params[-1])})"


def _loss(loss: Interval, factor: float | None) -> str:
    scale = factor or 1.0
    return with_interval(Interval(loss.value * scale, loss.low * scale, loss.high * scale), 4)


def _short_alpha(row: Row) -> str:
    law = row.frontier.law
    return number(law.params["alpha_C"]) if law.status is FitStatus.OK else f"`{law.status.value}`"


def _multiplier(row: Row, baseline: str | None, *, short: bool = False) -> str:
    if row.name == baseline:
        return "1 (baseline)"
    if row.multiplier is None:
        return "-"
    text = number(row.multiplier.multiplier.value) if short else with_interval(row.multiplier.multiplier)
    return f"{text}x" + (" (extrapolated)" if row.multiplier.extrapolated and not short else "")


def _conventions(row: Row, baseline: str | None) -> str:
    """What is said of the exponent against the baseline's, and under how many conventions it holds."""
    if row.name == baseline:
        return "(baseline)"
    one = row.conventions
    if one is None or one.conclusion is Conclusion.REFUSED:
        return "-"
    return f"{one.conclusion.value}, holds {one.held}/{one.readable}"


def _back_test(row: Row) -> str:
    """Error of the prediction of the largest size by the smaller ones, marked where its interval missed."""
    test = row.back_test
    if test is None:
        return "-"
    if test.predicted is None:
        return f"`{test.status.value}`"
    mark = " **!**" if test.covered is False else ""
    return f"{100 * test.error:+.1f} %{mark}"


def _audit(row: Row) -> str:
    audit = row.audit
    if audit is None:
        return "-"
    mark = " **!**" if audit.low_nats > 0 else ""
    return f"{audit.mean_gain_nats:.2g} [{audit.low_nats:.2g}, {audit.high_nats:.2g}]{mark}"
