"""A spec out of layers: the files that it extends, the file itself, and what the command line overrides.

Mappings are merged key by key, everything else is replaced. A mapping whose `kind` differs is another component and
replaces the one below it; null takes away what a layer below says. Each value keeps the place where it was written.
Another `execution.executor.kind` on the command line is another executor, too: a spec moves from one to another by it.
"""

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archbench.contracts.values import Loc
from archbench.errors import SpecError
from archbench.spec.problems import shown
from archbench.spec.yaml_loader import Place, Source, YamlFile, dotted_path, load_yaml, parse_value

EXTENDS = "extends"
_SUFFIXES = {".json", ".yaml", ".yml"}
MAX_FILES = 16
"""In a chain of specs that extend each other."""

_EXECUTOR: Loc = ("execution", "executor")

_FORMS = frozenset({"power_law", "tune"})
"""What a setting may be in place of a number, written as a mapping with this key."""


def read_spec(path: Path, overrides: Sequence[str] = ()) -> YamlFile:
    """The spec in `path` merged with what it extends, and with `overrides` of the form KEY=VALUE, in their order.

    Raises SpecError, in one line that names file and line, or the override.
    """
    file = _with_bases(load_yaml(path), (path.resolve(),))
    for text in overrides:
        file = _overridden(file, text)
    return file


def merged(base: YamlFile, top: YamlFile) -> YamlFile:
    """`top` over `base`: where both are mappings key by key, else what `top` says. Places are those of the values."""
    places: dict[Loc, Place] = {}
    data = _merged(base.data, top.data, (), base, top, places)
    return YamlFile(top.path, data, places)


def _with_bases(file: YamlFile, chain: tuple[Path, ...]) -> YamlFile:
    """`file` merged with all that it extends; `chain` is the files from the first one to it."""
    if EXTENDS not in file.data:
        return file
    named = file.data[EXTENDS]
    if not isinstance(named, str) or not named:
        raise file.error((EXTENDS,), f"got {shown(named)}, expected the path of a spec such as base.yaml")
    path = file.path.parent / Path(named).expanduser()
    resolved = path.resolve()
    if resolved in chain:
        way = " -> ".join(one.name for one in (*chain[chain.index(resolved) :], resolved))
        raise file.error((EXTENDS,), f"goes round in a circle: {way}; leave one of them out")
    if len(chain) == MAX_FILES:
        raise file.error((EXTENDS,), f"is the {MAX_FILES}th in a chain; join some of the files")
    if not path.is_file():
        raise file.error((EXTENDS,), f"there is no file {path}; paths start at the folder of the spec")
    if not {path.suffix.lower(), resolved.suffix.lower()} <= _SUFFIXES:
        # What is wrong in a spec is quoted; a file that is none may hold what nobody wants to see quoted.
        raise file.error((EXTENDS,), f"{path} is not named as a spec is; expected {', '.join(sorted(_SUFFIXES))}")
    base = _with_bases(load_yaml(path, depth=len(chain)), (*chain, resolved))
    own = {key: value for key, value in file.data.items() if key != EXTENDS}
    return merged(base, YamlFile(file.path, own, file.places))


def _merged(
    under: dict[str, Any], over: dict[str, Any], loc: Loc, base: YamlFile, top: YamlFile, places: dict[Loc, Place]
) -> dict[str, Any]:
    places[loc] = top.place(loc)
    result: dict[str, Any] = {}
    for key in dict.fromkeys([*under, *over]):
        inner = (*loc, key)
        if key not in over:
            result[key] = _taken(under[key], inner, base, places)
        elif key in under and over[key] is None:
            continue
        elif _same_thing(under.get(key), over[key]):
            result[key] = _merged(under[key], over[key], inner, base, top, places)
        else:
            result[key] = _taken(over[key], inner, top, places)
    return result


def _same_thing(under: Any, over: Any) -> bool:
    """Whether both are mappings that say something about one thing, not about two components or forms of a value."""
    if not isinstance(under, dict) or not isinstance(over, dict) or _FORMS & under.keys() != _FORMS & over.keys():
        return False
    return "kind" not in under or "kind" not in over or under["kind"] == over["kind"]


def _taken(value: Any, loc: Loc, file: YamlFile, places: dict[Loc, Place]) -> Any:
    """`value` as `file` has it at `loc`, its places noted."""
    places[loc] = file.place(loc)
    if isinstance(value, dict):
        return {key: _taken(item, (*loc, key), file, places) for key, item in value.items()}
    if isinstance(value, list):
        return [_taken(item, (*loc, index), file, places) for index, item in enumerate(value)]
    return value


def _overridden(file: YamlFile, text: str) -> YamlFile:
    """`file` with the one value that `text` sets."""
    # Relative paths start at the spec, as in the spec itself.
    source = Source(f"-o {text}", file.path.parent, depth=-1)
    dotted, sign, written = text.partition("=")
    if not sign or not dotted.strip():
        raise SpecError(f"{source.name}: expected KEY=VALUE, for example -o training.batch_tokens=8192")
    data = copy.deepcopy(file.data)
    places = dict(file.places)
    if dotted.strip().startswith("execution.executor."):
        _make_room_for_settings(data)
    holder, loc = _holder(data, dotted.strip(), source, places)
    key = loc[-1]
    value, written_places = parse_value(written.strip(), source, loc)
    if loc == (*_EXECUTOR, "kind") and holder.get("kind") != value:
        _forget_settings(holder, places)
    places = {other: place for other, place in places.items() if other[: len(loc)] != loc} | written_places
    places[loc] = source.place(1)
    if value is None and isinstance(holder, dict) and key in holder:
        del holder[key]
    else:
        holder[key] = value
    return YamlFile(file.path, data, places)


def _make_room_for_settings(data: dict[str, Any]) -> None:
    """Where the choice of the executor is left to plug-ins, settings on the command line make it."""
    execution = data.get("execution")
    if isinstance(execution, dict) and execution.get("executor") == "auto":
        execution["executor"] = {}


def _forget_settings(executor: dict[str, Any], places: dict[Loc, Place]) -> None:
    """Takes away what files say of another kind of executor; what the command line says of it is meant for this one."""
    for key in [key for key in executor if key != "kind" and places[(*_EXECUTOR, key)].depth >= 0]:
        del executor[key]


def _holder(data: dict[str, Any], dotted: str, source: Source, places: dict[Loc, Place]) -> tuple[Any, Loc]:
    """The mapping or list that holds what `dotted` names, made where it is missing, and the whole place."""
    here: Any = data
    loc: Loc = ()
    rest = dotted
    while True:
        key, rest = _next_part(here, rest)
        _check_part(here, key, loc, source)
        if not rest:
            return here, (*loc, key)
        loc = (*loc, key)
        if isinstance(here, dict) and here.get(key) is None:
            here[key] = {}
            places[loc] = source.place(1)
        here = here[key]


def _next_part(here: Any, rest: str) -> tuple[str | int, str]:
    """The first key or index of a dotted path, and what follows it. Names that hold dots are known by the spec."""
    if index := re.match(r"\[(\d+)\]", rest):
        return int(index[1]), rest[index.end() :].removeprefix(".")
    known = here if isinstance(here, dict) else {}
    fitting = [key for key in known if rest == key or rest.startswith((f"{key}.", f"{key}["))]
    key = max(fitting, key=len) if fitting else re.split(r"[.\[]", rest, maxsplit=1)[0]
    return key, rest[len(key) :].removeprefix(".")


def _check_part(here: Any, key: str | int, loc: Loc, source: Source) -> None:
    where = dotted_path(loc)
    if isinstance(here, list):
        if not isinstance(key, int) or key >= len(here):
            raise SpecError(f"{source.name}: {where} is a list of {len(here)}; name one as {where}[0], or all")
    elif not isinstance(here, dict):
        raise SpecError(f"{source.name}: {where} is {shown(here)}, which holds nothing by a name; give it whole")
    elif not isinstance(key, str) or not key:
        raise SpecError(f"{source.name}: expected a key such as training.batch_tokens")
