"""Frozen values as plain ones, which every command prints with `--json`."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, as they are."""
    return {one.name: getattr(value, one.name) for one in fields(value)}


def finite(value: Any) -> Any:
    """`value` as mappings and lists; a figure that JSON has no word for becomes None."""
    if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
        return None
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: finite(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [finite(item) for item in value]
    return value


def as_json(value: Any) -> dict[str, Any]:
    """What a program that reads the printed JSON of `value`, an object of `archbench.answers.outputs`, gets."""
    content: dict[str, Any] = json.loads(json.dumps(finite(value)))
    return content
