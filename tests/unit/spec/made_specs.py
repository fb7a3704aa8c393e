"""Specs from their text, under the components that are really installed, and what is said of one that is wrong."""

from pathlib import Path

import pytest

from archbench.errors import ArchbenchError, SpecError
from archbench.host import default_host
from archbench.spec.load import spec_from_yaml
from archbench.spec.models import Spec
from archbench.spec.yaml_loader import parse_yaml
from archbench.spec.yaml_writer import to_yaml


def changed(text: str, *replacements: tuple[str, str]) -> str:
    """`text` with pieces of it replaced, each of which is there."""
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def spec_of(text: str, path: Path = Path("s.yaml")) -> Spec:
    return spec_from_yaml(parse_yaml(text, path), default_host().registry)


def message_of(text: str, sort: type[ArchbenchError] = SpecError) -> str:
    """The one line that is said of `text`."""
    with pytest.raises(sort) as caught:
        spec_of(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def written_again(spec: Spec) -> Spec:
    """The spec that the resolved form of `spec` gives as YAML."""
    return spec_of(to_yaml(spec.resolved()), Path("r.yaml"))
