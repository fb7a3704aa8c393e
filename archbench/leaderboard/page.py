"""The leaderboard's pages: rendered from entries alone, the same bytes from the same entries, whatever is cached."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from archbench.display import markdown_heading
from archbench.durable import write_whole
from archbench.errors import StoreError
from archbench.leaderboard.board import WITHOUT_CACHE, Board, read_board
from archbench.leaderboard.entry import FORMAT, LeaderboardEntry
from archbench.leaderboard.entry_files import misplaced, write_entry
from archbench.leaderboard.evidence import evidence
from archbench.leaderboard.groups import Group, Whose, grouped
from archbench.leaderboard.html import chart_content, evidence_html, leaderboard_html, shown_at_once, standing_html
from archbench.leaderboard.page_cache import PageCache
from archbench.leaderboard.standings import Table, make_standings
from archbench.leaderboard.tables import (
    Link,
    all_columns,
    axes_table,
    experts,
    heading,
    history,
    main_table,
    mixed,
    origins,
)
from archbench.leaderboard.verdicts import sentences_of, verdicts_text
from archbench.report.figures import overview
from archbench.report.plotting import svg_bytes
from archbench.results.kept import Kept

PAGE = "README.md"
HTML_PAGE = "index.html"
FIGURES = "figures"
EVIDENCE = "evidence"
GROUPS = "groups"
"""Folder of the pages of those groups whose chart is not on the first page."""
_MARKDOWN, _HTML = ".md", ".html"
_OF_GROUP = "group"
_ADDRESSES = {_MARKDOWN: ("", _MARKDOWN), _HTML: ("", _HTML), _OF_GROUP: ("../", _HTML)}
"""Kind of page -> the way from it to the leaderboard's folder, and the ending of the evidence that it links to."""
_MOST_DRAWN = 14
"""Contenders in one figure."""

_INTRODUCTION = """Which Transformer architecture gives the lowest loss for its training compute? Each architecture
is trained at several sizes under one protocol; its *frontier* is read from its finished runs.
Architectures rank by the compute that they need for equal loss, over one window of losses. This page is generated:
`archbench leaderboard`."""

_LEGEND = """## How to read it

- **Rank**: one plus the number of architectures that need significantly less compute for equal loss, by a test of every
  pair of the table (Holm). Equal ranks were not told apart. An architecture whose runs do not cover the table's window
  of losses, or whose figure hangs on a single run, has no rank; the reason stands below the table.
- **Compute multiplier**: compute of the reference divided by this architecture's at equal loss, the geometric mean over
  the table's window, the middle half of the losses of the reference's runs; above 1, it needs less. Where it is not
  told apart from equal the interval alone stands here, and the estimate below *every column*. Where runs do not cover
  the table's window, losses stand beside the figure: the middle half of those that both cover, and there is no rank. A
  word such as `hangs_on_one_run` or `extrapolated` stands where no figure may be relied on.
- **Loss**: at the reference compute, that of the reference's dearest run, with its 95 % interval.
- **alpha**: exponent of L(C) = (C_c/C)^alpha of the finished runs, with its 95 % interval: run-to-run noise and lack of
  fit. Larger is better at scale. A word such as `too_few_sizes` stands where no figure may be read.
- **Conventions**: under how many other conventions the same is said of its compute against the baseline's (form of the
  law, floors, cost axis, embeddings counted, learning curves, without the largest or the smallest size). `same under 7
  of 9` means that two of nine readable variants say something else.
- **Back-test**: error of the loss of the dearest run as predicted by the law of the cheaper ones; marked **!** where
  its 95 % interval missed, *no test* where the interval could cover anything.
- **Size tiers**: neighbouring sizes that do not gain over smaller ones; then sizes of which that is not resolved.
- **Prefix audit**: what the largest model gains from later tokens, which a causal model must not see, in nats per
  token. Zero for an honest causal model; marked **!** where its interval lies above zero.
- **Compute tier**: what the largest run takes about a day on: *laptop* up to 1e15 executed FLOPs, *accelerator* up to
  1e19, *cluster* beyond. Entries of different tiers do not share a table.
- **Compute axis**: *executed* FLOPs count what the architecture really runs, attention, hashing and recomputation
  included; *6ND* is Kaplan et al.'s count without embeddings; *device seconds* is measured time, which compares on one
  machine only. A ranking that hangs on the axis shows in the second table."""

_OWN = """This leaderboard is your own. {beside} `archbench leaderboard add SCAN` publishes a scan of yours.

[All that is published]({page}) (entries: {count})."""
_WITH_PUBLISHED = """Published entries of the same protocols stand beside yours, and are part of every test of a table;
*origin* says which are which."""
_WITHOUT_PUBLISHED = "No published entry has a protocol of yours, so that none stands in a table with them."

_EMPTY = """## No entry

There is no entry yet. `archbench run SPEC` measures architectures and adds them to yours; `archbench leaderboard add`
publishes them."""


@dataclass(frozen=True, slots=True)
class _Group:
    """What is shown of one group of comparable entries: a part of a page for each way to link to evidence."""

    name: str
    """The stem of its figure's file."""
    heading: str
    scans: Sequence[str]
    """Of which it holds entries of the leaderboard's own folder, by name."""
    tables: Mapping[str, str]
    """Kind of page (`_ADDRESSES`) -> the main table."""
    columns: Mapping[str, str]
    """Kind of page -> the table of all columns, folded."""
    remarks: str
    """Below the figure: who was drawn, who trained."""
    axes: str
    figure: str
    """SVG."""
    chart: Mapping[str, Any]

    def part(self, kind: str, figure: str, sentences: Mapping[str, str]) -> str:
        """The group under its heading for a page of `kind`, with `figure`, Markdown that shows it or links to it.

        sentences: name of a scan -> its verdict.
        """
        said = verdicts_text(self.scans, sentences)
        blocks = [self.heading, self.tables[kind], said, self.columns[kind], figure, self.remarks, self.axes]
        return "\n\n".join(block for block in blocks if block)


def render(directory: Path, cache: PageCache = WITHOUT_CACHE) -> dict[Path, bytes]:
    """Path (inside `directory`) -> content of every generated file."""
    return _render(directory, read_board(directory, cache), cache)


def _render(directory: Path, board: Board, cache: PageCache) -> dict[Path, bytes]:
    entries = board.entries
    way = _way(directory, board)
    groups = [group for group in grouped(entries, board.published) if group.entries]
    made = [_group(group, _hashes(group, board), way, cache) for group in groups]
    shown = [group for group in made if group is not None]
    files = {directory / FIGURES / f"{group.name}.svg": group.figure.encode() for group in shown}
    for one in board.stored:
        content = cache.get("evidence", [one.sha256], partial(_evidence, one.entry))
        for suffix in (_MARKDOWN, _HTML):
            files[directory / EVIDENCE / evidence_name(one.entry, suffix)] = content[suffix].encode()
    sentences = sentences_of(board, cache)
    parts = [group.part(_MARKDOWN, _image(group.name), sentences) for group in shown]
    lines = ["# Leaderboard", _introduction(board, way, PAGE), *_with_rest(parts, entries, _MARKDOWN)]
    files[directory / PAGE] = ("\n\n".join(lines) + "\n").encode()
    return files | _html_pages(directory, shown, entries, _introduction(board, way, HTML_PAGE), sentences)


def _way(directory: Path, board: Board) -> str | None:
    """From `directory` to the published leaderboard beside it, as an address; None where it stands by itself."""
    return None if board.beside is None else Path(os.path.relpath(board.beside.directory, directory)).as_posix()


def _introduction(board: Board, way: str | None, page: str) -> str:
    if board.beside is None:
        return _INTRODUCTION
    words = _WITH_PUBLISHED if board.beside.stored else _WITHOUT_PUBLISHED
    return f"{_INTRODUCTION}\n\n{_OWN.format(beside=words, count=board.beside.num_entries, page=f'{way}/{page}')}"


def _html_pages(
    directory: Path,
    groups: Sequence[_Group],
    entries: Sequence[LeaderboardEntry],
    introduction: str,
    sentences: Mapping[str, str],
) -> dict[Path, bytes]:
    """The first page, and one for each group whose figure does not fit into it."""
    figures = {group.name: group.figure for group in groups}
    charts = {group.name: group.chart for group in groups}
    at_once = shown_at_once([group.part(_HTML, "", sentences) for group in groups], figures, charts)
    files, parts = {}, []
    for group in groups:
        if group.name in at_once:
            parts.append(group.part(_HTML, _image(group.name), sentences))
            continue
        name = f"{GROUPS}/{group.name}{_HTML}"
        parts.append(group.part(_HTML, f"[Loss against compute, as a chart]({name})", sentences))
        part = group.part(_OF_GROUP, _image(group.name), sentences)
        files[directory / name] = standing_html(group.name, part, group.figure, group.chart).encode()
    rest = _with_rest(parts, entries, _HTML)
    files[directory / HTML_PAGE] = leaderboard_html(introduction, rest, figures, charts).encode()
    return files


def _with_rest(parts: Sequence[str], entries: Sequence[LeaderboardEntry], kind: str) -> list[str]:
    """`parts`, and what stands below them: each begins with a heading."""
    past = history(entries, _link_from(kind, None))
    rest = [*parts, *([past] if past else [])]
    return [*rest, _LEGEND] if parts else [_EMPTY, *rest]


def _hashes(group: Group, board: Board) -> list[str]:
    """What the files of a group's entries hold, one's own before those that are published."""
    found = []
    beside = board.beside.stored if board.beside is not None else ()
    for place, entries, stored in (("", group.entries, board.stored), ("published ", group.published or (), beside)):
        hashes = {one.entry.file_name: one.sha256 for one in stored}
        found += sorted(f"{place}{entry.file_name} {hashes[entry.file_name]}" for entry in entries)
    return found


def _group(group: Group, hashes: Sequence[str], way: str | None, cache: PageCache) -> _Group | None:
    """What is shown of `group`, of entries with these `hashes`; None where they give no table."""

    def made() -> dict[str, Any] | None:
        with cache.shelf("standing", [group.name]) as kept:
            return _group_content(group, way, kept)

    content = cache.get("group", hashes if way is None else [*hashes, way], made)
    return None if content is None else _Group(**content)


def _group_content(group: Group, way: str | None, kept: Kept) -> dict[str, Any] | None:
    """The fields of `_Group`, as JSON data."""
    for standing in make_standings(group.entries, kept, published=group.published):
        main = standing.main
        drawn = _drawn(main)
        few = "" if len(drawn) == len(main.rows) else _few_drawn(main, len(drawn))
        return {
            "name": f"loss_against_compute_{standing.name}",
            "heading": heading(main),
            "scans": list(dict.fromkeys(entry.scan for entry in group.entries)),
            "tables": {kind: main_table(main, _link_from(kind, way)) for kind in _ADDRESSES},
            "columns": {kind: all_columns(main, _link_from(kind, way)) for kind in _ADDRESSES},
            "remarks": "\n\n".join(text for text in (few, origins(main), mixed(main), experts(main)) if text),
            "axes": axes_table(standing.tables) if standing.others else "",
            "figure": svg_bytes(overview([one for one in main.contenders if one.name in drawn])).decode(),
            "chart": chart_content(standing, [row.name for row in main.rows if row.name in drawn]),
        }
    return None


def _drawn(table: Table) -> set[str]:
    """The contenders that a figure shows: more lines than these cannot be told apart."""
    rows = sorted(table.rows, key=lambda row: row.name != table.reference and row.whose is not Whose.OWN)
    return {row.name for row in rows[:_MOST_DRAWN]}


def _few_drawn(table: Table, drawn: int) -> str:
    which = "yours, the best" if any(row.whose is Whose.OWN for row in table.rows) else "the best"
    return f"Drawn are {drawn} of {len(table.rows)}: {which} and the reference; the tables hold all."


def _link_from(kind: str, way: str | None) -> Link:
    """Where a page of `kind` finds the evidence of an entry. way: to the published leaderboard, if one is beside."""
    above, suffix = _ADDRESSES[kind]

    def address(entry: LeaderboardEntry, whose: Whose | None) -> str:
        folder = f"{way}/{EVIDENCE}" if whose in (Whose.PUBLISHED, Whose.BOTH) else EVIDENCE
        return f"{above}{folder}/{evidence_name(entry, suffix)}"

    return address


def _image(name: str) -> str:
    return f"![Loss against compute]({FIGURES}/{name}.svg)"


def evidence_name(entry: LeaderboardEntry, suffix: str = _MARKDOWN) -> str:
    """The name of the page that shows what stands behind `entry`."""
    return f"{Path(entry.file_name).stem}{suffix}"


def _evidence(entry: LeaderboardEntry) -> dict[str, str]:
    """What stands behind `entry`, in both forms."""
    title = markdown_heading(1, f"{entry.contender} of scan {entry.scan}")
    data = f"[The entry](../entries/{entry.file_name}), with every learning curve; [the leaderboard](../{PAGE})."
    return {
        _MARKDOWN: "\n\n".join([title, data, *evidence(entry)]) + "\n",
        _HTML: evidence_html(entry),
    }


def write(directory: Path, cache: PageCache = WITHOUT_CACHE, board: Board | None = None) -> list[Path]:
    """Renders all files into `directory`, of the entries there if no `board` is given, and returns what changed.

    Entries of an older format, or under an older file name, are written anew, what they do not state computed from
    their curves; figures and pages that are no longer made are removed. What `cache` holds is not computed again.
    """
    board = board or read_board(directory, cache)
    old = [one for one in board.stored if not one.is_current]
    changed = [write_entry(directory, one.entry) for one in old]
    files = _render(directory, board, cache)
    try:
        for one in old:
            if one.path.name != one.entry.file_name:
                one.path.unlink()
        for path, content in files.items():
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
                changed.append(path)
        for path in _stale(directory, files):
            path.unlink()
            changed.append(path)
    except OSError as error:
        raise StoreError(f"{directory}: the leaderboard cannot be written: {error.strerror}") from error
    cache.prune()
    return changed


def check(directory: Path, cache: PageCache = WITHOUT_CACHE, board: Board | None = None) -> list[str]:
    """What differs between the files that are there and those that the entries give; empty if nothing does.

    Entries that are left out are part of it.
    """
    board = board or read_board(directory, cache)
    files = _render(directory, board, cache)
    problems = [*board.left_out]
    problems += [f"{one.path}: is of format {one.format}, not {FORMAT}" for one in board.stored if one.format != FORMAT]
    problems += [f"{one.path}: {line}" for one in board.stored for line in misplaced(one.path, one.entry)]
    for path, content in files.items():
        if not path.exists():
            problems.append(f"{path}: is missing")
        elif path.read_bytes() != content:
            problems.append(f"{path}: differs from what the entries give")
    return problems + [f"{path}: belongs to no entry" for path in _stale(directory, files)]


def _stale(directory: Path, files: dict[Path, bytes]) -> list[Path]:
    made = [(FIGURES, "*.svg"), (EVIDENCE, f"*{_MARKDOWN}"), (EVIDENCE, f"*{_HTML}"), (GROUPS, f"*{_HTML}")]
    return sorted(path for folder, names in made for path in (directory / folder).glob(names) if path not in files)
