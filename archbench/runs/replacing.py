"""Whether a scan may take the place of another one of its name: where nothing is lost by it, or where it was told to.

The same spec goes on, and so does one that has gained sizes, seeds or contenders: their runs are the stored ones, and
more. A list from which finished runs would fall out is another scan under the same name.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from archbench.errors import SpecError
from archbench.names import check_name, free_name
from archbench.results.runs import RunState
from archbench.runs.files import DamagedFile
from archbench.runs.store import RunStore, ScanIndex
from archbench.units import counted

Restate = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""A stored spec as this version would store it: with the defaults of settings that have been added since."""

_WITHOUT_RESULTS = ("description", "execution")
"""Sections of a spec that change no number."""
_NAMED = 4
"""Contenders that a message names."""


def check_names(index: ScanIndex, *, scan: str, contender: str) -> None:
    """Raises SpecError for a name that breaks the rule of names; `scan` and `contender` say where it was given."""
    check_name(index.name, scan)
    for name in dict.fromkeys(run.contender for run in index.runs):
        check_name(name, contender)


def require_free(
    store: RunStore, index: ScanIndex, *, rename: Callable[[str], str], restate: Restate = lambda spec: spec
) -> None:
    """Raises SpecError where saving `index` would drop finished runs of another scan of its name.

    `rename` gives the words that choose a name on the command line. A damaged list is no obstacle: it is written anew.
    """
    names = store.scan_names()
    if index.name not in names:
        return
    try:
        stored = store.scan(index.name)
    except DamagedFile:
        return
    lost = _lost_runs(store, stored, index)
    if not lost or same_spec(stored.spec, index.spec, restate):
        return
    what = words_of(run.contender for run in stored.runs)
    origin = stored.environment.get("origin")
    made = f"imported from {origin}" if origin else "trained by archbench"
    raise SpecError(
        f"{store.root}: holds a scan {index.name!r} already: {counted(len(stored.runs), 'run')} of {what}, {made}; "
        f"{lost} finished ones are not in this one{difference(stored.spec, index.spec, restate)}; "
        f"say {rename(free_name(index.name, names))} to keep both, or --replace"
    )


def same_spec(stored: Mapping[str, Any], given: Mapping[str, Any], restate: Restate = lambda spec: spec) -> bool:
    """Whether two resolved specs ask for the same numbers. Scans that were imported have none, and no two agree."""
    if not stored or not given:
        return False
    return _first_difference(stored, given, ()) is None or _first_difference(restate(stored), given, ()) is None


def difference(stored: Mapping[str, Any], given: Mapping[str, Any], restate: Restate = lambda spec: spec) -> str:
    """` (training.learning_rate is 0.003 there, 0.001 here)`; empty where one of them has no spec."""
    found = _first_difference(restate(stored), given, ()) if stored and given else None
    return f" ({found})" if found else ""


def first_difference(stored: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """`scan.tokens is 1000 there, 2000 here`: the first place where two mappings differ; None where they do not."""
    return _first_difference(stored, given, ())


def words_of(contenders: Iterable[str]) -> str:
    """The names of `contenders`, each once; the number of those beyond a few."""
    names = list(dict.fromkeys(contenders))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _lost_runs(store: RunStore, stored: ScanIndex, index: ScanIndex) -> int:
    """How many runs of `stored` have a result and are not in `index`."""
    kept = {(run.contender, run.study, run.role, run.run_id) for run in index.runs}
    gone = [run for run in stored.runs if (run.contender, run.study, run.role, run.run_id) not in kept]
    return sum(store.status(run.run_id).state in (RunState.DONE, RunState.DIVERGED) for run in gone)


def _first_difference(stored: Any, given: Any, loc: tuple[str, ...]) -> str | None:
    """The first place where two resolved specs differ, in words; None where they do not."""
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        for key in dict.fromkeys([*given, *stored]):
            if not loc and key in _WITHOUT_RESULTS:
                continue
            found = _first_difference(stored.get(key), given.get(key), (*loc, str(key)))
            if found is not None:
                return found
        return None
    if stored == given:
        return None
    return f"{'.'.join(loc)} is {_shown(stored)} there, {_shown(given)} here"


def _shown(value: Any) -> str:
    """A value of a spec in a message."""
    if value is None:
        return "absent"
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
