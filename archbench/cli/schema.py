"""`archbench schema`: lets editors complete and check specs."""

from pathlib import Path

import click

from archbench.cli.common import host_with, plugin_option, print_json


@click.command()
@plugin_option
def schema(plugin_files: tuple[Path, ...]) -> None:
    """Print the JSON Schema of specs, with every installed component.

    Save it and begin a spec with `# yaml-language-server: $schema=PATH`.
    """
    from archbench.spec.schema import json_schema

    print_json(json_schema(host_with(plugin_files).registry))
