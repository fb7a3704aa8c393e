"""YAML 1.2 with line numbers: what a spec says, and where it says it.

PyYAML reads YAML 1.1: `1e18` is text there, `yes` is a truth value, and the second of two equal keys wins in silence.
The loader below keeps PyYAML's parser but resolves scalars by the core schema of YAML 1.2 (section 10.3.2), and it
bounds what a file can cost: its size, its nesting and how far aliases expand.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from archbench.bundled_specs import nearest_bundled
from archbench.contracts.values import Loc
from archbench.errors import SpecError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_VALUES = 20_000
"""Values after aliases are expanded: ten nested lists of ten aliases each would be ten billion."""

_TAG = "tag:yaml.org,2002:"
_CORE_SCALARS = (
    ("null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    ("int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), list("-+0123456789")),
    (
        "float",
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
        list("-+.0123456789"),
    ),
)


class CoreLoader(yaml.SafeLoader):
    """PyYAML's scanner and parser with the implicit scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _name, _pattern, _first in _CORE_SCALARS:
    CoreLoader.add_implicit_resolver(_TAG + _name, _pattern, _first)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a value was written. Places sort as a person reads: the command line, the file, what the file extends."""

    depth: int
    """-1 on the command line, 0 in the file itself, n in the n-th file that it extends."""
    line: int
    """From 1, of the value (of a mapping's entry: of its key); 0 where there are no lines."""
    source: str
    """The file, or the option on the command line."""
    folder: Path
    """Where relative paths that stand here start."""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Source:
    """A text of YAML: a file, or a value on the command line."""

    name: str
    folder: Path
    depth: int = 0
    """As of its places."""

    def place(self, line: int) -> Place:
        """Its line `line`, from 1."""
        return Place(self.depth, line if self.depth >= 0 else 0, self.name, self.folder)


@dataclass(frozen=True, slots=True)
class YamlFile:
    """The content of a YAML file whose top level is a mapping, and the place of every value in it."""

    path: Path
    data: dict[str, Any]
    places: Mapping[Loc, Place]

    def place(self, loc: Loc) -> Place:
        """Where `loc` stands, or the nearest thing around it that was written."""
        for length in range(len(loc), -1, -1):
            place = self.places.get(loc[:length])
            if place is not None:
                return place
        return Place(0, 0, str(self.path), self.path.parent)

    def where(self, loc: Loc) -> str:
        """`file:line` of `loc`, or of the nearest thing around it that the file does hold."""
        return str(self.place(loc))

    def error(self, loc: Loc, problem: str) -> SpecError:
        """A SpecError about `loc`: file, line, dotted path and the problem."""
        dotted = dotted_path(loc)
        return SpecError(f"{self.where(loc)}: {dotted}: {problem}" if dotted else f"{self.where(loc)}: {problem}")


def dotted_path(loc: Loc) -> str:
    """`loc` as a person writes it: `scan.sizes[2]`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        name = part if part.isprintable() and len(part) <= 60 else repr(part[:60])
        text += f".{name}" if text else name
    return text


def load_yaml(path: Path, depth: int = 0) -> YamlFile:
    """The YAML mapping in the file `path`. Raises SpecError, in one line, for whatever is wrong with it.

    `depth` is that of its places.
    """
    return parse_yaml(_read_text(path), path, depth)


def parse_yaml(text: str, path: Path, depth: int = 0) -> YamlFile:
    """The YAML mapping in `text`; `path` is what errors name. Raises SpecError."""
    source = Source(str(path), path.parent, depth)
    node = _composed(text, source)
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"):
        raise SpecError(f"{path}: is empty; `archbench schema` describes what a spec holds")
    if not isinstance(node, yaml.MappingNode):
        raise SpecError(f"{path}:{node.start_mark.line + 1}: the top level must be a mapping such as `name: my-scan`")
    builder = _Builder(source)
    data = builder.mapping(node, ())
    return YamlFile(path, data, builder.places)


def parse_value(text: str, source: Source, loc: Loc) -> tuple[Any, dict[Loc, Place]]:
    """The value that `text` says by the same rules, and the places of what is in it, from `loc` on. Raises SpecError.

    Nothing at all is null.
    """
    node = _composed(text, source)
    builder = _Builder(source)
    if node is None:
        return None, {loc: source.place(1)}
    return builder.value(node, loc), builder.places


def _composed(text: str, source: Source) -> yaml.Node | None:
    if len(text) > MAX_BYTES:
        raise SpecError(f"{source.name[:200]}: is larger than {MAX_BYTES // 1024} KiB; a spec is a page of YAML")
    try:
        _check_depth(text, source)
        return yaml.compose(text, Loader=CoreLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = source.place(mark.line + 1) if mark else source.name
        raise SpecError(f"{where}: is not YAML: {_one_line(error.problem or error.context)}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # An escape beyond Unicode leaves PyYAML's scanner as a plain ValueError or OverflowError.
        raise SpecError(f"{source.name}: is not YAML: {_one_line(str(error))}") from error


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise SpecError(f"{path}: is a folder{nearest_bundled(path)}")
        if path.stat().st_size > MAX_BYTES:
            raise SpecError(f"{path}: is larger than {MAX_BYTES // 1024} KiB; a spec is a page of YAML")
        with path.open("rb") as stream:  # a device has no size, and may have no end
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise SpecError(f"{path}: is larger than {MAX_BYTES // 1024} KiB; a spec is a page of YAML")
        return content.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SpecError(f"{path}: no such file{nearest_bundled(path)}") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: is not UTF-8 text (byte {error.start}); save the spec as UTF-8") from error
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL inside the path
        raise SpecError(f"{str(path)!r}: is not a path: {error}") from error


def _check_depth(text: str, source: Source) -> None:
    """Refuses deep nesting before anything recurses over it; PyYAML's parser itself does not recurse."""
    depth = 0
    for event in yaml.parse(text, Loader=CoreLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise SpecError(f"{source.place(line)}: is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Builder:
    """Plain values out of a graph of nodes, with their places."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.places: dict[Loc, Place] = {}
        self.num_values = 0

    def mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        self._check_tag(node, "map", loc)
        self.places.setdefault(loc, self.source.place(node.start_mark.line + 1))
        result: dict[str, Any] = {}
        for key, value_node, line in self._entries(node, loc):
            if key in result:
                raise self._error(line, (*loc, key), "is given twice; keep one of the two")
            self.places[(*loc, key)] = self.source.place(line)
            result[key] = self.value(value_node, (*loc, key))
        return result

    def value(self, node: yaml.Node, loc: Loc) -> Any:
        self.num_values += 1
        line = node.start_mark.line + 1
        if self.num_values > MAX_VALUES:
            raise self._error(line, loc, f"the file holds more than {MAX_VALUES} values once its aliases are expanded")
        if len(loc) > MAX_DEPTH:
            raise self._error(line, (), f"an alias nests deeper than {MAX_DEPTH} levels")
        self.places.setdefault(loc, self.source.place(line))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, loc)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq", loc)
            return [self.value(item, (*loc, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, loc)

    def _entries(self, node: yaml.MappingNode, loc: Loc) -> Iterator[tuple[str, yaml.Node, int]]:
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != f"{_TAG}str":
                shown = key if isinstance(key, str) else "a list or mapping"
                raise self._error(line, loc, f"a key must be text, got {shown}; put it in quotes")
            if key == "<<":
                raise self._error(line, loc, "merge keys (<<) are not part of YAML 1.2; write the keys out")
            self._check_text(key, line, loc)
            yield key, value_node, line

    def _scalar(self, node: yaml.Node, loc: Loc) -> str | int | float | bool | None:
        text: str = node.value
        line = node.start_mark.line + 1
        self._check_text(text, line, loc)
        try:
            match node.tag.removeprefix(_TAG):
                case "str":
                    return text
                case "null":
                    return None
                case "bool":
                    return {"true": True, "false": False}[text.lower()]
                case "int":
                    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
                case "float":
                    return self._float(text, line, loc)
        except (ValueError, KeyError) as error:
            raise self._error(line, loc, f"got {text[:40]!r}, which is not what its tag says") from error
        raise self._error(line, loc, f"the tag {node.tag!r} is not allowed in a spec; leave it out")

    def _float(self, text: str, line: int, loc: Loc) -> float:
        number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if not math.isfinite(number):
            raise self._error(line, loc, f"got {text}, expected a finite number such as 1e6")
        return number

    def _check_tag(self, node: yaml.Node, expected: str, loc: Loc) -> None:
        if node.tag != _TAG + expected:
            line = node.start_mark.line + 1
            raise self._error(line, loc, f"the tag {node.tag!r} is not allowed in a spec; leave it out")

    def _check_text(self, text: str, line: int, loc: Loc) -> None:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise self._error(line, loc, "holds half of a surrogate pair, which is not a character") from error

    def _error(self, line: int, loc: Loc, problem: str) -> SpecError:
        where, dotted = self.source.place(line), dotted_path(loc)
        return SpecError(f"{where}: {dotted}: {problem}" if dotted else f"{where}: {problem}")


def _one_line(message: str | None) -> str:
    return " ".join((message or "unknown problem").split())
