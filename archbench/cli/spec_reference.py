"""The reference of specs, from their own classes: `python -m archbench.cli.spec_reference > docs/spec_reference.md`."""

import inspect
import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from archbench.cli.terminal import echo
from archbench.contracts.config import ComponentConfig, ComponentSlot
from archbench.host import default_host
from archbench.registry import Catalog
from archbench.spec.document import SpecDocument
from archbench.spec.field_docs import field_docs
from archbench.spec.schema import CATALOGS
from archbench.spec.settings import Unresolved

_INTRODUCTION = """# What a spec may say

Generated from the classes: `python -m archbench.cli.spec_reference > docs/spec_reference.md`. `archbench schema` prints
the same as a JSON Schema, with which editors complete and check specs, plug-ins of others included;
`archbench plugins show KIND` says more of one component. [Specs can extend each other](specs.md).
"""


def reference() -> str:
    """The page, in Markdown: the sections of a spec, then every bundled component."""
    sections = list(_sections(SpecDocument, "", {}))
    parts = [_INTRODUCTION, "## Sections"]
    parts += [_section(model, place, level=3) for model, place in sections]
    registry = default_host().registry
    shown = dict(sections)
    for attribute in CATALOGS:
        parts += list(_components(getattr(registry, attribute), shown))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _sections(
    model: type[BaseModel], place: str, seen: dict[type[BaseModel], str]
) -> Iterator[tuple[type[BaseModel], str]]:
    """Every model below `model` that is no component, each once, with the place where it stands first."""
    seen[model] = place
    yield model, place
    for name, field in model.model_fields.items():
        below = f"{place}.{name}".lstrip(".")
        for inner in _models(field.annotation):
            if inner not in seen:
                yield from _sections(inner, below, seen)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation; components stand behind a slot and are left out."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not issubclass(annotation, Unresolved):
            yield annotation
        return
    if any(isinstance(one, ComponentSlot) for one in getattr(annotation, "__metadata__", ())):
        return
    for part in get_args(annotation):
        yield from _models(part)


def _components(catalog: Catalog[Any], shown: dict[type[BaseModel], str]) -> Iterator[str]:
    """The components, each followed by the models inside it that no section before it has `shown`."""
    yield f"## `{catalog.noun}`"
    for kind, registered in sorted(catalog.in_specs.items()):
        if registered.own:
            for model, place in _sections(registered.config, "", shown):
                if model is not registered.config and issubclass(model, ComponentConfig):
                    continue
                yield _section(
                    model, f"kind: {kind}" if model is registered.config else f"kind: {kind}: {place}", level=3
                )


def _section(model: type[BaseModel], place: str, *, level: int) -> str:
    summary = getattr(model, "summary", "") or (inspect.getdoc(model) or "").split("\n\n")[0].replace("\n", " ")
    docs = {name: text.replace("|", "\\|") for name, text in field_docs(model).items()}
    schema = model.model_json_schema()
    rows = [
        f"| `{name}` | {_type_text(schema['properties'][name], schema)} | {_default(field)} | {docs.get(name, '')} |"
        for name, field in model.model_fields.items()
        if name in schema["properties"] and (name != "kind" or len(_kinds(model)) > 1)
    ]
    table = ["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows] if rows else ["No settings."]
    return "\n".join([f"{'#' * level} {_title(model, place)}", "", summary, "", *table])


def _title(model: type[BaseModel], place: str) -> str:
    if not place:
        return "The spec"
    kinds = [] if place.startswith("kind") else _kinds(model)
    return f"`{place}` of kind `{kinds[0]}`" if len(kinds) == 1 else f"`{place}`"


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    """The values of the field `kind`, where there is one; a single value tells classes apart, more are a setting."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True) or None
        return "its own defaults" if value is None else f"`{json.dumps(value)}`"
    if value is None or value in ((), {}, ""):
        return "none"
    return f"`{json.dumps(value, default=list)}`"


def _type_text(schema: dict[str, Any], root: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if "x-catalog" in schema:
        return f"one of the {schema['x-catalog']}"
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].rpartition("/")[2]]
        return "a mapping" if target.get("type") == "object" else _type_text(target, root)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            kinds = [_type_text(one, root) for one in schema[key] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        items = schema.get("items") or {}
        return f"a list: {_type_text(items, root)}" if items else "a list"
    if schema.get("type") == "object":
        return "a mapping"
    word = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
    return word.get(schema.get("type", ""), "any") + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "up to", "exclusiveMaximum": "below"}
    told = [f"{word} {schema[key]:g}" for key, word in words.items() if key in schema]
    return f" {' '.join(told)}" if told else ""


if __name__ == "__main__":
    echo(reference(), nl=False)
