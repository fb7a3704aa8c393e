"""Whether an entry may be taken in: schema, hashes, figures, and runs that follow from its spec."""

from dataclasses import dataclass
from pathlib import Path

from archbench.errors import ArchbenchError, in_one_line
from archbench.host import Host
from archbench.leaderboard.completeness import missing_statements
from archbench.leaderboard.entry_files import misplaced, read_entry
from archbench.leaderboard.forgery import check_figures
from archbench.leaderboard.replan import replan


@dataclass(frozen=True, slots=True)
class Checked:
    """What checking one entry showed."""

    path: Path
    problems: tuple[str, ...]
    """Each in one line that names what differs; empty where the entry may be taken in."""
    unchecked: tuple[str, ...] = ()
    """What could not be checked here, and why."""


def check_submission(path: Path, host: Host) -> Checked:
    """Checks the entry in `path`: schema; run ids and curves against their hashes; its figures against its curves; its
    runs, their sizes and their FLOPs against its spec, planned anew; that it leaves out no outcome of a control and no
    reference lines.

    What this cannot show is that the runs were really trained: whoever makes up a curve can make up its hash. The spec
    is there for anybody to train again, and the same spec gives the same curve on the same stack.
    """
    try:
        entry = read_entry(path)
        replanned = replan(entry, host)
        missing = missing_statements(entry, host)
        problems = [*misplaced(path, entry), *check_figures(entry), *missing, *replanned.problems]
    except ArchbenchError as error:
        return Checked(path, (str(error).removeprefix(f"{path}: "),))
    except Exception as error:  # whatever a stranger's entry does to analysis and planning: it is what gets refused
        return Checked(path, (f"cannot be checked: {in_one_line(error)}",))
    return Checked(path, tuple(problems), () if replanned.unchecked is None else (f"run ids: {replanned.unchecked}",))
