"""Names of runs that histories hold: parts of one run joined, runs of one name told apart."""

from collections.abc import Sequence
from dataclasses import replace

from archbench.contracts.run_reader import RunHistory
from archbench.errors import SpecError


def named_apart(histories: list[RunHistory]) -> list[RunHistory]:
    """Histories with names of their own: parts of one run joined, runs of one name told apart by what their format has.

    Raises SpecError where nothing tells two runs of one name apart.
    """
    parts: dict[tuple[str, str, str], RunHistory] = {}
    for one in histories:
        one = replace(one, run=plain_name(one.run) or one.file.stem)
        key = (one.run, one.run_id, "" if one.run_id else str(one.file))
        if key in parts and not one.run_id:
            raise SpecError(f"{one.file}: two runs are called {one.run!r}; rename one")
        parts[key] = _joined(parts[key], one) if key in parts else one
    by_name: dict[str, list[RunHistory]] = {}
    for one in parts.values():
        by_name.setdefault(one.run, []).append(one)
    return [
        one if len(by_name[one.run]) == 1 else replace(one, run=f"{one.run} ({_mark(one, by_name[one.run])})")
        for one in parts.values()
    ]


def _joined(before: RunHistory, after: RunHistory) -> RunHistory:
    """Two parts of one run as one; what both hold, as two checkpoints do, stands there once."""
    held = {repr(row.values) for row in before.rows}
    further = [row for row in after.rows if repr(row.values) not in held]
    return replace(after, rows=(*before.rows, *further), config={**before.config, **after.config})


def _mark(run: RunHistory, same: Sequence[RunHistory]) -> str:
    """What tells a run from those of the same name: its id where that is short, else the end of its file's path."""
    if run.run_id and "/" not in run.run_id and len({other.run_id for other in same}) == len(same):
        return run.run_id
    for length in range(1, len(run.file.parts) + 1):
        tails = ["/".join(other.file.with_suffix("").parts[-length:]) for other in same]
        if len(set(tails)) == len(same):
            return "/".join(run.file.with_suffix("").parts[-length:])
    files = sorted({str(other.file) for other in same})
    raise SpecError(f"{', '.join(files[:2])}: two runs are called {run.run!r}; rename one")


def plain_name(text: str) -> str:
    """`text` as a name: what cannot be printed is replaced, since names go into files, tables and figures."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text).strip()
