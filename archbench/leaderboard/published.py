"""Contenders that are published entries: read, held against the protocol of a plan, and laid beside its runs.

Their curves stand in the place of runs that would have been trained here, so that they must be what training here would
have given: the same rules, computed by the same numerics. Whatever differs is told before anything is trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archbench.errors import ArchbenchError, nearest
from archbench.host import Host
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.entry_files import read_sealed_entry
from archbench.leaderboard.folders import entries_folder, entry_paths, published_beside
from archbench.leaderboard.protocol import rules, rules_of_entry
from archbench.numerics import NUMERICS
from archbench.results.arithmetic import ARITHMETIC
from archbench.results.published import ENTRIES, Publication, marked
from archbench.results.runs import CONTROL, SIZE_SCAN, RunRecord
from archbench.runs.imported import imported_run_id
from archbench.runs.replacing import first_difference
from archbench.runs.store import IndexedRun
from archbench.scans.planned_run import PlannedRun
from archbench.scans.planner import ScanPlan
from archbench.scans.stated_texts import is_stated
from archbench.spec.identity import ComponentIdentity, Role, RunIdentity
from archbench.spec.models import Spec
from archbench.spec.published import PublishedContender
from archbench.spec.versions import component_identity

_ORIGIN = ("plugin", "distribution", "version", "source_sha256", "paper", "implementation", "family")
"""What an entry says of its architecture's plug-in, as text."""


@dataclass(frozen=True, slots=True)
class PublishedEntry:
    """An entry that a spec names, as it was read."""

    contender: PublishedContender
    path: Path
    entry: LeaderboardEntry
    digest: str
    hidden: Path | None = None
    """One's own entry of that name, which was not taken."""

    def error(self, spec: Spec, problem: str) -> ArchbenchError:
        """An error about it, at its place in the spec."""
        return spec.error(self.contender.loc, f"{self.path}: {problem}{f'; {self.other}' if self.other else ''}")

    @property
    def other(self) -> str:
        """How one's own entry of the same name is taken; empty where there is none."""
        if self.hidden is None:
            return ""
        return f"to take your own, {self.hidden}, give its path from the folder of the spec"


def read_published(spec: Spec, leaderboard_dir: Path) -> tuple[PublishedEntry, ...]:
    """The entries that `spec` names, by their files or by name: what is published goes before one's own of that name.

    Raises SpecError, at their places in the spec, where there is none, where one is not what was written, and where
    its runs say nothing of how they were made.
    """
    found = []
    for contender in spec.published.values():
        path, *others = _paths(spec, contender, leaderboard_dir)
        try:
            entry, digest = read_sealed_entry(path)
        except ArchbenchError as error:
            said = str(error).removeprefix(f"{path}: ")
            raise spec.error(contender.loc, f"{path}: {said}; or take it anew from where it was published") from error
        one = PublishedEntry(contender, path, entry, digest, hidden=others[0] if others else None)
        if problem := _unknown_protocol(entry):
            raise one.error(spec, f"{problem}; train its architecture here, or take an entry of this version")
        found.append(one)
    return tuple(found)


def _paths(spec: Spec, contender: PublishedContender, leaderboard_dir: Path) -> list[Path]:
    """The file of an entry, and after it one's own that a published one hides. Raises SpecError where there is none."""
    if contender.is_file:
        path = Path(contender.entry)
        if path.is_file():
            return [path]
        raise spec.error(contender.loc, f"{path}: there is no such file; give its path from the folder of the spec")
    beside = published_beside(leaderboard_dir)
    boards = [leaderboard_dir] if beside is None else [beside, leaderboard_dir]
    paths = [entries_folder(board) / f"{contender.entry}.json" for board in boards]
    if found := [path for path in paths if path.is_file()]:
        return found
    close = nearest(contender.entry, {one.stem for board in boards for one in entry_paths(board)})
    meant = close if "did you mean" in close else "; name its --leaderboard, or the path of its file"
    others = "".join(f", nor in {path.parent}" for path in paths[1:])
    raise spec.error(contender.loc, f"{paths[0]}: there is no such entry{others}{meant}")


def _unknown_protocol(entry: LeaderboardEntry) -> str:
    """Why nothing tells by which rules its runs were made; empty where their identities do."""
    if any(run.identity is None for run in entry.runs):
        return f"its runs come from {entry.origin}, and no rules are known that they were trained by"
    formats = {int((run.identity or {}).get("format", 1)) for run in entry.runs}
    if formats != {2}:
        return "its runs have identities of format 1, an older version's, which do not say what computed them"
    return ""


def with_published(spec: Spec, plan: ScanPlan, entries: Sequence[PublishedEntry], host: Host) -> ScanPlan:
    """`plan` with the runs of `entries` in its index, in the order of the spec's contenders.

    Raises SpecError where an entry is of another protocol than all that is trained, or was computed by other numerics.
    """
    records: list[RunRecord] = []
    notes: list[str] = []
    for one in entries:
        _check_protocol(spec, plan, one, host)
        _check_chain(spec, one)
        records += published_records(one, spec.scan.sizes)
        notes += _notes(spec, plan, one)
    rank = {name: number for number, name in enumerate(spec.names)}
    runs = [*plan.index.runs, *map(_indexed, records)]
    runs.sort(key=lambda run: rank[run.contender] if _is_of_sizes(run) else len(rank))
    environment = {
        **plan.index.environment,
        "plugins": {**plan.index.environment["plugins"], **{one.contender.name: _origin(one.entry) for one in entries}},
        ENTRIES: {one.contender.name: _described(one) for one in entries},
    }
    index = plan.index.model_copy(
        update={"runs": tuple(runs), "environment": environment, "warnings": (*plan.index.warnings, *notes)}
    )
    return replace(plan, index=index, published=tuple(records))


def published_records(one: PublishedEntry, sizes: Sequence[float]) -> list[RunRecord]:
    """The entry's runs under the contender's name, each under the id of all that it says.

    Runs of sizes that the spec has as well stand on the spec's rungs. The run's own id is that of a run that may be
    trained in the same store, to other last digits on another machine: it is kept beside the new one.
    """
    rungs = _rungs(one.entry, sizes)
    found = []
    for run, record in zip(one.entry.runs, one.entry.records(), strict=True):
        details: dict[str, Any] = {"identity": run.identity, "timings": dict(run.hardware)}
        if run.arithmetic:
            details[ARITHMETIC] = dict(run.arithmetic)
        named = replace(
            record,
            contender=one.contender.name,
            size_index=rungs.get(run.size_index, run.size_index),
            details=details,
        )
        published = marked(named, Publication(one.path.stem, one.digest, run.run_id))
        found.append(replace(published, run_id=imported_run_id(published)))
    return found


def _rungs(entry: LeaderboardEntry, sizes: Sequence[float]) -> dict[int, int]:
    """Rung of the entry -> rung of the spec, where the spec's ladder has all of the entry's sizes; else nothing."""
    scan = entry.spec.get("scan")
    theirs = scan.get("sizes") if isinstance(scan, dict) else None
    if not isinstance(theirs, list) or not all(size in sizes for size in theirs):
        return {}
    return {number: list(sizes).index(size) for number, size in enumerate(theirs)}


def _indexed(record: RunRecord) -> IndexedRun:
    return IndexedRun(contender=record.contender, size_index=record.size_index, seed=record.seed, run_id=record.run_id)


def _is_of_sizes(run: IndexedRun | PlannedRun) -> bool:
    return run.study == SIZE_SCAN and run.role != CONTROL


def _described(one: PublishedEntry) -> dict[str, Any]:
    """What a scan's list says of an entry."""
    entry = one.entry
    return {
        "entry": one.path.stem,
        "digest": one.digest,
        "scan": entry.scan,
        "contender": entry.contender,
        "added": entry.added.isoformat() if entry.added else None,
    }


def _origin(entry: LeaderboardEntry) -> dict[str, Any]:
    """What the entry says of its architecture's plug-in, as the plan says it of those that are trained."""
    said = entry.environment.get("plugins", {}).get(entry.contender, {})
    texts = {key: said[key] for key in _ORIGIN if isinstance(said.get(key), str)}
    return {
        **texts,
        **({"as_published": True} if entry.as_published else {}),
        **({"not_kept": list(entry.not_kept)} if entry.not_kept else {}),
    }


def _check_protocol(spec: Spec, plan: ScanPlan, one: PublishedEntry, host: Host) -> None:
    """Whether a contender that is trained makes an entry of the same protocol, computed by the same numerics."""
    tracks = {contender.name: contender.objective.track for contender in spec.contenders}
    alike = [name for name, track in tracks.items() if track == one.entry.track]
    if not alike:
        name, track = next(iter(tracks.items()))
        raise one.error(
            spec, f"is of track {one.entry.track}, {name!r} of {track}: their losses do not compare; choose another"
        )
    planned = {run.contender: run for run in reversed(plan.runs) if _is_of_sizes(run)}
    differences = {name: _other_rule(spec, plan, one.entry, planned[name]) for name in alike}
    fitting = next((name for name, difference in differences.items() if not difference), None)
    if fitting is None:
        name, difference = next(iter(differences.items()))
        raise one.error(
            spec, f"is of another protocol than {name!r}: {difference}; choose one of this spec's, or change it"
        )
    if problem := next(_other_numerics(one.entry, planned[fitting].plan.identity, host), ""):
        raise one.error(spec, f"{problem}; train its architecture here instead")


def _other_rule(spec: Spec, plan: ScanPlan, entry: LeaderboardEntry, run: PlannedRun) -> str:
    """The first rule of the protocol that differs, with both values; empty where none does."""
    identity = run.plan.identity.model_dump(mode="json")
    corpus_hash = run.plan.identity.data.corpus_hash
    theirs, ours = rules_of_entry(entry), rules(plan.index.spec, run.contender, corpus_hash, identity)
    if is_stated(corpus_hash):  # the text was not read, which the plan says
        theirs, ours = ({**these, "corpus": None} for these in (theirs, ours))
    return first_difference(theirs, ours) or ""


def _other_numerics(entry: LeaderboardEntry, ours: RunIdentity, host: Host) -> Iterator[str]:
    """What computed the entry's runs otherwise than this version computes.

    Objective and optimizer are part of every comparison, and so is a library that both sides use. The architecture is
    held against the one that is installed here; libraries that it alone uses are part of what it is.
    """
    for run in entry.runs:
        theirs = RunIdentity.model_validate(run.identity)
        if theirs.numerics != NUMERICS:
            yield f"was computed by numerics {theirs.numerics} of archbench, this version has {NUMERICS}"
        for role, said, here in _components(theirs, ours, host):
            if said != here:
                yield f"its {role} computed by {said.in_words()}, the one here by {here.in_words()}"
        for name in sorted(theirs.libraries.keys() & ours.libraries.keys()):
            if theirs.libraries[name] != ours.libraries[name]:
                yield f"was computed with {name} {theirs.libraries[name]}, here is {ours.libraries[name]}"


def _components(
    theirs: RunIdentity, ours: RunIdentity, host: Host
) -> Iterator[tuple[Role, ComponentIdentity, ComponentIdentity]]:
    """What both sides have of one kind: its role, how the entry's computed, and how the one here does.

    Of an architecture the number alone counts: versions of a stranger's one may be what is compared.
    """
    kinds: dict[Role, tuple[Any, Any]] = {
        "objective": (theirs.objective.get("kind"), ours.objective.get("kind")),
        "optimizer": (theirs.training.optimizer.get("kind"), ours.training.optimizer.get("kind")),
    }
    for role, (said, here) in kinds.items():
        if said == here and role in theirs.components and role in ours.components:
            yield role, theirs.components[role], ours.components[role]
    installed = host.registry.architectures.entries.get(str(theirs.architecture.get("kind")))
    stated = theirs.components.get("architecture")
    if installed is None or stated is None:
        return
    own = component_identity(installed)
    if own.distribution == stated.distribution:
        yield "architecture", stated.model_copy(update={"version": own.version}), own


def _check_chain(spec: Spec, one: PublishedEntry) -> None:
    """Whether the steps of `decompose` to and from an entry can be told: equal tracks, and rungs that both have."""
    if one.contender.name not in spec.decompose:
        return
    others = {contender.objective.track for contender in spec.contenders if contender.name in spec.decompose}
    if others - {one.entry.track}:
        raise one.error(
            spec, f"is of track {one.entry.track}, others of `decompose` are of {', '.join(sorted(others))}"
        )
    if not _rungs(one.entry, spec.scan.sizes):
        raise one.error(
            spec, "has sizes that scan.sizes has not, and `decompose` compares size by size; leave it out there"
        )


def _notes(spec: Spec, plan: ScanPlan, one: PublishedEntry) -> Iterator[str]:
    """What a reader of the results should know of the entry."""
    name = one.contender.name
    if one.other:
        yield f"{name}: the entry was taken that is published, {one.path}; {one.other}"
    outcomes = one.entry.environment.get("controls")
    failed = [control for control, passed in outcomes.items() if passed is False] if isinstance(outcomes, dict) else []
    if failed:
        yield f"{name}: of the scan that published it a control failed: {', '.join(failed)}"
    if is_stated(plan.corpora[spec.data.name].corpus_hash):
        yield f"{name}: whether it was trained on this text is not known, for the text was not read"
    at = spec.question.at if spec.question else None
    if at is not None and getattr(at, "axis", "").endswith("_seconds"):
        yield (
            f"{name}: the question is asked in seconds, which are compared with a published entry's only where runs "
            "are trained on its machine"
        )
