"""Whether an entry states what its runs noted and its spec asks for, so that nothing unwelcome was left out."""

from collections.abc import Iterator, Mapping

from archbench.data.ngrams import has_lines
from archbench.host import Host
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.entry_run import EntryRun
from archbench.results.runs import RunState
from archbench.spec.identity import RunIdentity

_FIRST_FORMAT_WITH_LINES = 2
"""Of run identities."""


def missing_statements(entry: LeaderboardEntry, host: Host) -> list[str]:
    """What `entry` leaves out: outcomes of controls that its spec asks for, reference lines of runs that are done.

    Lines are asked for of objectives that have them, from identities of format 2 on. Whether a control came out as
    stated cannot be told from an entry, which does not hold its runs.
    """
    return [*_missing_outcomes(entry), *_missing_lines(entry, host)]


def _missing_outcomes(entry: LeaderboardEntry) -> Iterator[str]:
    question = entry.spec.get("question")
    asked = question.get("controls") if isinstance(question, Mapping) else None
    outcomes = entry.environment.get("controls", {})
    for name in map(str, asked or ()):
        if name not in outcomes:
            yield f"its spec asks for the control {name}, and it states no outcome of it"
        elif not isinstance(outcomes[name], bool | None):
            yield f"controls: {name} is {outcomes[name]!r}, expected true, false or null"


def _missing_lines(entry: LeaderboardEntry, host: Host) -> Iterator[str]:
    for run in entry.runs:
        if run.state is RunState.DONE and not run.reference_lines and _has_lines(run, host):
            yield f"run {run.run_id[:12]} states no reference lines, which every finished run of its objective notes"


def _has_lines(run: EntryRun, host: Host) -> bool:
    if run.identity is None:
        return False
    identity = RunIdentity.model_validate(run.identity)
    objective = host.registry.objectives.entries.get(identity.objective["kind"])
    if identity.format < _FIRST_FORMAT_WITH_LINES or objective is None:
        return False
    return has_lines(objective.config, identity.dims.vocab_size)
