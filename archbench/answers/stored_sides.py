"""The two sides of a comparison, taken from a run store."""

from collections.abc import Callable, Sequence

from archbench.analysis.comparison.controls import judge_controls
from archbench.analysis.comparison.question import Question, asked_question
from archbench.answers.comparisons import Sides, check_units
from archbench.errors import SpecError, StoreError, nearest
from archbench.results.controls import ControlOutcome
from archbench.results.runs import RunRecord, size_scan_contenders, size_scan_results
from archbench.runs.files import DamagedFile
from archbench.runs.store import RunStore, ScanIndex

Say = Callable[[str], None]


def stored_pair(store: RunStore, a: str, b: str, scan: str | None, say: Say) -> Sides:
    """Baseline `a` and `b`, of one scan or of two on the same text; what cannot be read is told by `say`.

    Raises SpecError where no scan has one of them or several have both, and where their losses do not compare.
    """
    if a == b:
        raise SpecError(f"A and B are both {a!r}; name two contenders")
    records, stored = _find(store, a, b, scan, say)
    check_units(records, a, b, say)
    scans = tuple(sorted(stored))
    if len(scans) > 1:
        return Sides(tuple(records), a, (b,), scans)
    index = store.scan(scans[0])
    question, controls = _question(index, stored[index.name], a)
    others = len(set(size_scan_contenders(index.runs)) - {a, b})
    return Sides(tuple(records), a, (b,), scans, question, controls, others)


def stored_scan(store: RunStore, baseline: str, scan: str, say: Say) -> Sides:
    """`baseline` and all other contenders of one scan. Raises SpecError where the scan has no such baseline."""
    index = store.scan(scan)
    names = size_scan_contenders(index.runs)
    if baseline not in names:
        raise SpecError(f"scan {scan!r} in {store.root} has no contender {baseline!r}{nearest(baseline, names)}")
    stored = _records(store, index, say)
    records = size_scan_results(stored)
    others = tuple(name for name in names if name != baseline)
    for other in others:
        check_units(records, baseline, other, say)
    question, controls = _question(index, stored, baseline)
    return Sides(records, baseline, others, (scan,), question, controls)


def whole_scans(store: RunStore, say: Say) -> list[ScanIndex]:
    """All scans but those whose list is damaged, which are told."""
    found = []
    for name in store.scan_names():
        try:
            found.append(store.scan(name))
        except DamagedFile as error:
            say(f"warning: {error}")
    return found


def _question(
    index: ScanIndex, stored: Sequence[RunRecord], a: str
) -> tuple[Question | None, tuple[ControlOutcome, ...]]:
    """The question that a scan asks, if A is its baseline, and what its controls came to, whoever is."""
    question = asked_question(index.spec)
    if question is None:
        return None, ()
    return question if index.baseline == a else None, tuple(judge_controls(stored, index.spec, index.baseline))


def _find(
    store: RunStore, a: str, b: str, scan: str | None, say: Say
) -> tuple[list[RunRecord], dict[str, tuple[RunRecord, ...]]]:
    """The records of both contenders, and all of the scans that they come from, by name."""
    indices = [store.scan(scan)] if scan else whole_scans(store, say)
    if not indices:
        raise StoreError(f"{store.place}: holds no scan; `archbench run SPEC` makes one")
    holders = {name: [index for index in indices if name in size_scan_contenders(index.runs)] for name in (a, b)}
    known = sorted({one for index in indices for one in size_scan_contenders(index.runs)})
    for name, found in holders.items():
        if not found:
            raise SpecError(f"no scan in {store.root} has a contender {name!r}{nearest(name, known)}")
    both = [index for index in holders[a] if index in holders[b]]
    if len(both) > 1:
        names = ", ".join(index.name for index in both)
        raise SpecError(f"several scans have both {a!r} and {b!r}: {names}; choose one by --scan")
    chosen = {a: both[0], b: both[0]} if both else {name: found[0] for name, found in holders.items()}
    _check_texts(a, b, chosen[a], chosen[b])
    stored = {name: _records(store, index, say) for name, index in {one.name: one for one in chosen.values()}.items()}
    records = [
        record
        for name, index in chosen.items()
        for record in size_scan_results(stored[index.name])
        if record.contender == name
    ]
    return records, stored


def _records(store: RunStore, index: ScanIndex, say: Say) -> tuple[RunRecord, ...]:
    stored, problems = store.records(index)
    for problem in problems:
        say(f"warning: {problem}")
    return stored


def _check_texts(a: str, b: str, first: ScanIndex, second: ScanIndex) -> None:
    """Raises SpecError where two scans are of different texts, or not known to be of one."""
    texts = {_text_of(first), _text_of(second)}
    if len(texts) < 2:
        return
    unnamed = [index.name for index in (first, second) if _imported(index) and not _named_text(index)]
    if unnamed:
        raise SpecError(
            f"{a!r} and {b!r} come from scans {first.name!r} and {second.name!r}, not known to be of the same "
            f"text; if they are, import {' and '.join(map(repr, unnamed))} with --text NAME, one name for both"
        )
    raise SpecError(f"{a!r} and {b!r} were trained on different text or tokenizers: their losses do not compare")


def _text_of(index: ScanIndex) -> str | None:
    """What tells texts apart: the name that an import gave it, else the hash of the corpus or of the file."""
    data = index.environment.get("data")
    return _named_text(index) or (str(data.get("corpus_hash")) if isinstance(data, dict) else None)


def _named_text(index: ScanIndex) -> str | None:
    data = index.environment.get("data")
    return str(data["text"]) if isinstance(data, dict) and data.get("text") else None


def _imported(index: ScanIndex) -> bool:
    return "file_sha256" in index.environment
