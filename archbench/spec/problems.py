"""What pydantic found wrong, in a person's words: file, line, path, what was given, what was expected."""

import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from archbench.contracts.values import TAG_PREFIX, Loc
from archbench.errors import SpecError, closest, nearest
from archbench.spec.retired import RETIRED
from archbench.spec.yaml_loader import YamlFile
from archbench.units import counted

MOST = 20
"""Problems of one part of a spec that are told one by one."""

_EXPECTED = {
    "float_parsing": "a number such as 1e6",
    "float_type": "a number such as 1e6",
    "finite_number": "a finite number such as 1e6",
    "int_parsing": "a whole number such as 128",
    "int_type": "a whole number such as 128",
    "int_parsing_size": "a smaller whole number",
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text; put it in quotes if it is a number",
    "list_type": "a list such as [1, 2]",
    "tuple_type": "a list such as [1, 2]",
    "dict_type": "a mapping of names to values",
    "mapping_type": "a mapping of names to values",
    "model_type": "a mapping of names to values",
    "model_attributes_type": "a mapping of names to values",
    "none_required": "nothing",
}


def spec_error(file: YamlFile, error: ValidationError, model: type[BaseModel], prefix: Loc = ()) -> SpecError:
    """The problems of `error` in the order of the file, one for each place; after `MOST` their number is told.

    `model` is the class whose validation failed, `prefix` where in the file its data stand.
    """
    found: dict[Loc, ErrorDetails] = {}
    for details in error.errors(include_url=False, include_input=True):
        loc = _located(file.data, (*prefix, *details["loc"]), details["type"] in ("missing", "extra_forbidden"))
        found.setdefault(loc, details)
    unknown = {loc: details for loc, details in found.items() if details["type"] == "extra_forbidden"}
    for loc, details in unknown.items():
        # A key that is misspelt is missing as well, which goes without saying.
        meant = closest(str(loc[-1]), known_keys(model, details["loc"][:-1]))
        if meant is not None and found.get((*loc[:-1], meant), details)["type"] == "missing":
            del found[(*loc[:-1], meant)]
    # An unknown key may be the cause where the same mapping lacks one.
    mappings = {loc[:-1] for loc in unknown}
    order = sorted(found, key=lambda loc: (found[loc]["type"] == "missing" and loc[:-1] in mappings, file.place(loc)))
    lines = [str(file.error(loc, _problem(loc, found[loc], model))) for loc in order[:MOST]]
    if more := order[MOST:]:
        lines.append(f"{file.path}: {counted(len(more), 'further problem')}")
    return SpecError(*lines)


def _problem(loc: Loc, details: ErrorDetails, model: type[BaseModel]) -> str:
    retired = RETIRED.get(loc) if details["type"] == "extra_forbidden" else None
    return retired or describe(details, known_keys(model, details["loc"][:-1]))


def describe(details: ErrorDetails, keys: Sequence[str] = ()) -> str:
    """One problem without its place: what was given, what was expected."""
    sort = details["type"]
    if sort == "extra_forbidden":
        return f"unknown key{nearest(str(details['loc'][-1]), keys)}"
    if sort == "missing":
        known = "; `archbench plugins list` names what there is" if details["loc"][-1] == "kind" else ""
        return f"is missing{known}"
    context = details.get("ctx", {})
    if sort in ("value_error", "assertion_error"):
        return " ".join(str(context.get("error", details["msg"])).split())
    given = shown(details["input"])
    if sort == "literal_error":
        expected = str(context.get("expected", "another value"))
        close = nearest(str(details["input"]), expected.replace("'", "").replace(" or ", ", ").split(", "))
        return f"got {given}, expected {expected}{close if 'did you mean' in close else ''}"
    if sort in _EXPECTED:
        return f"got {given}, expected {_EXPECTED[sort]}"
    message = re.sub(r"^\w+ should ", "", " ".join(details["msg"].split()))
    return f"got {given}, which should {message}"


def shown(value: Any) -> str:
    """`value` as JSON, cut short."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def refuse_flags(file: YamlFile, written: Any, validated: Any, loc: Loc) -> None:
    """Raises SpecError where the file says true or false and a number came out: pydantic takes `true` for 1."""
    if isinstance(written, bool):
        if isinstance(validated, int | float) and not isinstance(validated, bool):
            raise file.error(loc, f"got {shown(written)}, expected a number")
    elif isinstance(written, Mapping):
        for key, value in written.items():
            found = validated.get(key) if isinstance(validated, Mapping) else getattr(validated, key, value)
            refuse_flags(file, value, found, (*loc, key))
    elif isinstance(written, list) and isinstance(validated, Sequence):
        for index, (value, found) in enumerate(zip(written, validated, strict=False)):
            refuse_flags(file, value, found, (*loc, index))


def known_keys(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that `model` allows at `loc`."""
    annotations: list[Any] = [model]
    for part in loc:
        if isinstance(part, str) and part.startswith(TAG_PREFIX):
            continue
        annotations = [inner for annotation in annotations for inner in _inside(annotation, part)]
    return [key for annotation in annotations for branch in _branches(annotation) for key in _fields(branch)]


def _fields(annotation: Any) -> list[str]:
    return list(annotation.model_fields) if _is_model(annotation) else []


def _inside(annotation: Any, part: str | int) -> list[Any]:
    inner = []
    for branch in _branches(annotation):
        if _is_model(branch):
            field = branch.model_fields.get(str(part))
            inner += [field.annotation] if field else []
        else:
            inner += list(typing.get_args(branch))[-1:]
    return inner


def _branches(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _branches(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [branch for argument in typing.get_args(annotation) for branch in _branches(argument)]
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _located(data: Any, loc: Loc, ends_outside: bool) -> Loc:
    """`loc` without the names of union branches and other parts that the file does not contain."""
    kept: list[str | int] = []
    last = len(loc) - 1
    for index, part in enumerate(loc):
        holds = isinstance(data, Mapping) and part in data
        if not holds and isinstance(part, str) and part.startswith(TAG_PREFIX):
            continue
        if holds or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            kept.append(part)
            data = data[part]
        elif index == last and ends_outside:
            kept.append(part)
    return tuple(kept)
