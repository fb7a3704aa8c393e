"""The leaderboard's pages: rendered from entries alone, the same bytes from the same entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archbench.durable import write_whole
from archbench.errors import ArchbenchError, StoreError, in_one_line
from archbench.leaderboard.entry import FORMAT, LeaderboardEntry, misplaced, read_entry, write_entry
from archbench.leaderboard.evidence import evidence
from archbench.leaderboard.forgery import check_figures, upgraded
from archbench.leaderboard.html import evidence_anchor, leaderboard_html
from archbench.leaderboard.standings import Standing, make_standings
from archbench.leaderboard.tables import Link, axes_table, heading, history, main_table, mixed, origins
from archbench.report.figures import overview
from archbench.report.plotting import svg_bytes

PAGE = "README.md"
HTML_PAGE = "index.html"
FIGURES = "figures"
EVIDENCE = "evidence"

_INTRODUCTION = """Which Transformer architecture gives the lowest loss for its training compute? Each architecture
is trained at several sizes under one protocol; its *frontier* is read from its finished runs.
Architectures rank by the compute that they need for equal loss, over one window of losses. This page is generated:
`archbench leaderboard`."""

_LEGEND = """## How to read it

- **Rank**: one plus the number of architectures that need significantly less compute for equal loss, by a test of every
  pair of the table (Holm). Equal ranks were not told apart. An architecture whose runs do not cover the table's window
  of losses, or whose figure hangs on a single run, has no rank; the reason stands below the table.
- **Loss**: at the reference compute, that of the reference's dearest run, with its 95 % interval.
- **alpha**: exponent of L(C) = (C_c/C)^alpha of the finished runs, with its 95 % interval: run-to-run noise and lack of
  fit. Larger is better at scale. A word such as `too_few_sizes` stands where no figure may be read.
- **Multiplier**: compute of the reference divided by this architecture's at equal loss, the geometric mean over the
  table's window, the middle half of the losses of the reference's runs; above 1, it needs less. A word such as
  `hangs_on_one_run` or `extrapolated` stands where no figure may be relied on.
- **Conventions**: whether it *needs less*, *needs more* or is *not told apart*, and under how many other conventions
  that holds (form of the law, floors, cost axis, embeddings counted, learning curves, without the largest or the
  smallest size). `holds 7/9` means that two of nine readable variants say something else.
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

_EMPTY = """## No entry

There is no entry yet. `archbench run SPEC` measures architectures and adds them."""


@dataclass(frozen=True, slots=True)
class Board:
    """The entries of a leaderboard."""

    entries: tuple[LeaderboardEntry, ...]
    left_out: tuple[str, ...]
    """Entries that are on no page, each with its file and the reason, in one line."""


def read_board(directory: Path) -> Board:
    """All entries below `directory`, by file name. One that is malformed, forged or misnamed is left out, and named."""
    entries, left_out = [], []
    for path in sorted((directory / "entries").glob("*.json")):
        try:
            entry = read_entry(path)
            problems = [*misplaced(path, entry), *check_figures(entry)]
        except ArchbenchError as error:
            left_out.append(str(error))
            continue
        except Exception as error:  # whatever a stranger's curves do to the analysis: other entries have their page
            left_out.append(f"{path}: cannot be analysed: {in_one_line(error)}; take it away")
            continue
        if problems:
            left_out.append(f"{path}: {problems[0]}; write it again with `archbench leaderboard add {entry.scan}`")
        else:
            entries.append(entry)
    return Board(tuple(entries), tuple(left_out))


def render(directory: Path) -> dict[Path, bytes]:
    """Path (inside `directory`) -> content of every generated file."""
    return _render(directory, read_board(directory).entries)


def _render(directory: Path, stored: Sequence[LeaderboardEntry]) -> dict[Path, bytes]:
    entries = [upgraded(entry) for entry in stored]
    standings = _by_figure(make_standings(entries))
    figures = {name: svg_bytes(overview(list(one.main.contenders))) for name, one in standings.items()}
    files = {directory / FIGURES / name: content for name, content in figures.items()}
    files |= {directory / EVIDENCE / evidence_name(entry): _evidence_page(entry) for entry in entries}
    parts = _parts(standings, entries, lambda entry: f"{EVIDENCE}/{evidence_name(entry)}")
    files[directory / PAGE] = ("\n\n".join(["# Leaderboard", _INTRODUCTION, *parts]) + "\n").encode()
    parts = _parts(standings, entries, lambda entry: f"#{evidence_anchor(entry)}")
    files[directory / HTML_PAGE] = leaderboard_html(_INTRODUCTION, parts, entries, standings, figures).encode()
    return files


def _parts(standings: Mapping[str, Standing], entries: Sequence[LeaderboardEntry], link: Link) -> list[str]:
    """The page below its introduction; each part begins with a heading."""
    parts = [] if standings else [_EMPTY]
    for name, standing in standings.items():
        main = standing.main
        blocks = [heading(main), main_table(main, link), f"![Loss against compute]({FIGURES}/{name})", origins(main)]
        blocks.append(mixed(main))
        if standing.others:
            blocks.append(axes_table(standing.tables))
        parts.append("\n\n".join(block for block in blocks if block))
    if past := history(entries, link):
        parts.append(past)
    return [*parts, _LEGEND] if standings else parts


def _by_figure(standings: Sequence[Standing]) -> dict[str, Standing]:
    """Name of the figure's file -> the standing that it shows."""
    return {f"loss_against_compute_{standing.name}.svg": standing for standing in standings}


def evidence_name(entry: LeaderboardEntry) -> str:
    """The name of the page that shows what stands behind `entry`."""
    return f"{Path(entry.file_name).stem}.md"


def _evidence_page(entry: LeaderboardEntry) -> bytes:
    title = f"# {entry.contender} of scan {entry.scan}"
    data = f"[The entry](../entries/{entry.file_name}), with every learning curve; [the leaderboard](../{PAGE})."
    return ("\n\n".join([title, data, *evidence(entry)]) + "\n").encode()


def write(directory: Path, board: Board | None = None) -> list[Path]:
    """Renders all files into `directory`, of the entries there if no `board` is given, and returns what changed.

    Entries of an older format are written anew, what they do not state computed from their curves; figures that are no
    longer made are removed.
    """
    entries = (board or read_board(directory)).entries
    changed = [write_entry(directory, upgraded(entry)) for entry in entries if entry.format != FORMAT]
    files = _render(directory, entries)
    try:
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
    return changed


def check(directory: Path, board: Board | None = None) -> list[str]:
    """What differs between the files that are there and those that the entries give; empty if nothing does.

    Entries that are left out are part of it.
    """
    board = board or read_board(directory)
    files = _render(directory, board.entries)
    problems = [*board.left_out]
    problems += [
        f"{directory / 'entries' / entry.file_name}: is of format {entry.format}, not {FORMAT}"
        for entry in board.entries
        if entry.format != FORMAT
    ]
    for path, content in files.items():
        if not path.exists():
            problems.append(f"{path}: is missing")
        elif path.read_bytes() != content:
            problems.append(f"{path}: differs from what the entries give")
    return problems + [f"{path}: belongs to no entry" for path in _stale(directory, files)]


def _stale(directory: Path, files: dict[Path, bytes]) -> list[Path]:
    made = [*(directory / FIGURES).glob("*.svg"), *(directory / EVIDENCE).glob("*.md")]
    return sorted(path for path in made if path not in files)
