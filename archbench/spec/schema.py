"""The JSON Schema of specs, with every installed component, so that editors complete and check what is written."""

from typing import Any

from archbench.contracts.config import ComponentConfig
from archbench.registry import Catalog, Registry
from archbench.spec.document import SpecDocument
from archbench.spec.layers import EXTENDS

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PARTIAL = "partial:"
"""Begins the names of definitions that hold in specs that extend others."""
WITHOUT_KIND = "without_kind:"
"""Begins the name of the definition of a component whose `kind` need not be said."""
CATALOGS = (
    "architectures", "objectives", "optimizers", "datasets", "tokenizers", "executors", "trackers", "studies",
)  # fmt: skip
"""Of the registry, whose components a spec may name."""
_EXTENDS = {
    "type": "string",
    "description": "Path of a spec, from the folder of this one. Mappings are merged, all else is replaced.",
}


def json_schema(registry: Registry) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a spec under the components of `registry`."""
    schema = SpecDocument.model_json_schema(ref_template="#/$defs/{model}")
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    for attribute in CATALOGS:
        catalog: Catalog[Any] = getattr(registry, attribute)
        for kind, registered in catalog.in_specs.items():
            _add_component(definitions, catalog.noun, kind, registered.config)
        definitions[attribute] = _choice(catalog)
    # Without `kind` an optimizer of the spec is AdamW, one of a contender is of the spec's kind, whichever that is.
    definitions[f"{WITHOUT_KIND}optimizers"] = {
        "type": "object",
        "anyOf": [
            {key: value for key, value in definitions[_definition_name("optimizer", kind)].items() if key != "required"}
            for kind in sorted(registry.optimizers.entries)
        ],
    }
    _fill_slots(schema)
    definitions.pop("Unresolved", None)
    del schema["$defs"], schema["title"]
    extending = _partial(schema)
    extending["properties"][EXTENDS] = _EXTENDS
    return {
        "$schema": _DRAFT,
        "title": "archbench spec",
        "type": "object",
        "if": {"required": [EXTENDS]},
        "then": extending,
        "else": schema,
        "$defs": {**definitions, **{f"{_PARTIAL}{name}": _partial(one) for name, one in definitions.items()}},
    }


def _partial(part: Any) -> Any:
    """What a spec may say that extends another: the same keys, none of which it has to give."""
    if isinstance(part, list):
        return [_partial(item) for item in part]
    if not isinstance(part, dict):
        return part.replace("#/$defs/", f"#/$defs/{_PARTIAL}") if isinstance(part, str) else part
    optional = {key: value for key, value in part.items() if not (key == "required" and isinstance(value, list))}
    if "oneOf" in optional and optional.pop("discriminator", None) is not None:
        # Without its `kind`, what is written may belong to several components.
        optional["anyOf"] = optional.pop("oneOf")
    return {key: _partial(value) for key, value in optional.items()}


def _definition_name(noun: str, kind: str) -> str:
    return f"{noun}:{kind}"


def _add_component(definitions: dict[str, Any], noun: str, kind: str, config: type[ComponentConfig]) -> None:
    name = _definition_name(noun, kind)
    try:
        schema = config.model_json_schema(ref_template=f"#/$defs/{name}:{{model}}")
    except Exception as error:  # a plug-in's model that has no schema still works in a spec
        definitions[name] = {
            "type": "object",
            "properties": {"kind": {"const": kind}},
            "required": ["kind"],
            "description": f"its class has no JSON Schema: {type(error).__name__}",
        }
        return
    for nested, definition in schema.pop("$defs", {}).items():
        definitions[f"{name}:{nested}"] = definition
    for setting in sorted(getattr(config, "forgetting", ())):
        schema["properties"][setting] = {"anyOf": [schema["properties"][setting], {"$ref": "#/$defs/Law"}]}
    schema["required"] = sorted({"kind", *schema.get("required", [])})
    schema["title"] = kind
    if config.summary:
        schema["description"] = config.summary
    definitions[name] = schema


def _choice(catalog: Catalog[Any]) -> dict[str, Any]:
    names = {kind: f"#/$defs/{_definition_name(catalog.noun, kind)}" for kind in sorted(catalog.in_specs)}
    return {
        "type": "object",
        "required": ["kind"],
        "oneOf": [{"$ref": reference} for reference in names.values()],
        "discriminator": {"propertyName": "kind", "mapping": names},
    }


def _fill_slots(schema: Any) -> None:
    """Puts the choice of components wherever a slot is marked."""
    if isinstance(schema, list):
        for item in schema:
            _fill_slots(item)
    elif isinstance(schema, dict):
        catalog, default_kind = schema.pop("x-catalog", None), schema.pop("x-default-kind", None)
        if catalog is not None and default_kind is None:
            schema["$ref"] = f"#/$defs/{catalog}"
        elif catalog is not None:
            schema |= {
                "type": "object",
                "if": {"required": ["kind"]},
                "then": {"$ref": f"#/$defs/{catalog}"},
                "else": {"$ref": f"#/$defs/{WITHOUT_KIND}{catalog}"},
            }
        for value in schema.values():
            _fill_slots(value)
