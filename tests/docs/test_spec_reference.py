from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from archbench.cli.spec_reference import reference
from archbench.host import default_host
from archbench.spec.field_docs import field_docs

PAGE = Path(__file__).parents[2] / "docs" / "spec_reference.md"


def test_the_reference_of_specs_is_what_the_classes_say() -> None:
    assert PAGE.read_text() == reference(), (
        "write it anew: python -m archbench.cli.spec_reference > docs/spec_reference.md"
    )


@pytest.mark.parametrize(
    "catalog", ["architectures", "objectives", "optimizers", "datasets", "tokenizers", "executors", "trackers"]
)
def test_every_bundled_component_and_its_settings_are_in_the_reference(catalog: str) -> None:
    text = PAGE.read_text()
    for kind, registered in getattr(default_host().registry, catalog).entries.items():
        section = text.split(f"### `kind: {kind}`\n")[1].split("\n### ")[0]
        for name in registered.config.model_fields:
            assert name == "kind" or f"| `{name}` |" in section


class Base(BaseModel):
    inherited: int = 1
    """Of the base."""
    said_anew: int = 2
    """By the base."""


class Derived(Base):
    said_anew: int = 3
    """By the class
    itself."""
    bare: int = Field(4)


def test_the_text_below_a_field_is_found_and_a_subclass_has_the_last_word() -> None:
    assert field_docs(Derived) == {"inherited": "Of the base.", "said_anew": "By the class itself."}


def test_a_class_without_source_has_no_texts() -> None:
    namespace: dict[str, type[BaseModel]] = {"BaseModel": BaseModel}
    exec("class Made(BaseModel):\n    field: int = 1\n    'Nobody can read this.'\n", namespace)
    assert field_docs(namespace["Made"]) == {}
