"""`archbench schema`: what specs may say, for editors; what `--json` prints, for programs."""

from pathlib import Path

import click

from archbench.cli.common import PATH, host_with, plugin_option, print_json
from archbench.cli.outputs import OUTPUTS
from archbench.cli.terminal import echo


@click.command()
@click.option(
    "--of",
    "output",
    type=click.Choice(list(OUTPUTS)),
    metavar="COMMAND",
    help="Of what this command prints with --json: status, runs-list, ... (docs/json.md names all).",
)
@click.option("--write", "folder", type=PATH, metavar="DIR", help="Write the schemas of all --json outputs into DIR.")
@plugin_option
def schema(output: str | None, folder: Path | None, plugin_files: tuple[Path, ...]) -> None:
    """Print the JSON Schema of specs, with every installed component, or of a command's --json.

    An editor completes and checks a spec that begins with
    `# yaml-language-server: $schema=PATH`, where PATH is what this printed.

    \b
    Examples:
      archbench schema > spec.schema.json
      archbench schema --of status
    """
    if folder is not None:
        from archbench.cli.json_schemas import schema_files
        from archbench.runs.files import write_atomically

        folder.mkdir(parents=True, exist_ok=True)
        for path, content in schema_files(folder).items():
            write_atomically(path, content)
            echo(str(path))
        return
    if output is not None:
        from archbench.cli.json_schemas import output_schema

        print_json(output_schema(output))
        return
    from archbench.spec.schema import json_schema

    print_json(json_schema(host_with(plugin_files).registry))
