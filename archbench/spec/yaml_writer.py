"""Plain values as YAML 1.2 that archbench reads back as the same values."""

from typing import Any

import yaml

from archbench.spec.yaml_loader import CoreLoader


class _CoreDumper(yaml.SafeDumper):
    """PyYAML's writer, which quotes what YAML 1.2 would take for something else than text."""

    yaml_implicit_resolvers = CoreLoader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        """Values are written out each time: a person reads them."""
        return True


def _text(dumper: _CoreDumper, text: str) -> yaml.ScalarNode:
    """Line ends that are no newline are written by their names: as themselves they would be read as blanks."""
    style = '"' if any(end in text for end in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_CoreDumper.add_representer(str, _text)


def to_yaml(data: Any) -> str:
    """`data` as YAML in the order of its keys."""
    text: str = yaml.dump(data, Dumper=_CoreDumper, sort_keys=False, allow_unicode=True, width=110)
    return text
