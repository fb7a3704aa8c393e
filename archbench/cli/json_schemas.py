"""JSON Schemas of what commands print with `--json`, from the classes that they print."""

import importlib
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from archbench.cli.outputs import OUTPUTS

FOLDER = Path("docs") / "schemas"


class _FiniteNumbers(GenerateJsonSchema):
    """Figures that are not numbers are printed as null; nothing is printed that a class does not name."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {"type": ["number", "null"]}

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        content = super().dataclass_schema(schema)
        content["additionalProperties"] = False
        content["required"] = sorted(content.get("properties", {}))
        for field in content.get("properties", {}).values():
            field.pop("default", None)
        return content


def output_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the output called `name`, a key of OUTPUTS."""
    number, target = OUTPUTS[name]
    module, attribute = target.split(":")
    printed: Any = getattr(importlib.import_module(module), attribute)
    adapter: TypeAdapter[Any] = TypeAdapter(list[printed] if number == "list" else printed)
    schema = adapter.json_schema(mode="serialization", schema_generator=_FiniteNumbers)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": f"archbench {name.replace('-', ' ')} --json",
        **schema,
    }


def schema_files(folder: Path) -> dict[Path, bytes]:
    """Path -> content of every file of schemas below `folder`."""
    return {
        folder / f"{name}.json": (json.dumps(output_schema(name), indent=2, ensure_ascii=False) + "\n").encode()
        for name in OUTPUTS
    }
