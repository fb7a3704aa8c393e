"""The reference of all commands, from the commands themselves: `python -m archbench.cli.reference > docs/cli.md`."""

from collections.abc import Iterator

import click

from archbench.cli.main import COMMANDS, PROGRAM, CommandLine, cli
from archbench.cli.terminal import echo

COLUMNS = 80

_INTRODUCTION = """# Commands

Generated from the commands: `python -m archbench.cli.reference > docs/cli.md`. Every command says the same with
`--help`. Plug-ins add commands of their own; `archbench --help` lists them.

## What they have in common

| exit code | means |
| --- | --- |
| 0 | all is well |
| 1 | some runs failed or diverged; a page is out of date (`leaderboard --check`); a problem was found (`doctor`) |
| 2 | usage, spec, or data: what was asked for cannot be had |
| 3 | a plug-in or a library that is needed is missing or broken |
| 4 | the run store cannot be read or written |
| 70 | a defect of archbench; `archbench --debug ...` shows the traceback |
| 130 | interrupted; the command says how to go on |

Results go to standard output, everything else to standard error, one line each; several problems of a spec are as many
lines. Colours, live tables and line breaks are for terminals alone; `NO_COLOR=1` leaves the colours out, `TERM=dumb`
the live tables too.

A reading command prints JSON with `--json`; [what it prints](json.md) has a JSON Schema each.

`-o KEY=VALUE` sets one value of a spec on the command line, in the words of the spec: `-o training.batch_tokens=8192`,
`-o 'scan.sizes=[1e4, 2e4]'`, `-o scan.sizes[2]=4e4`, `-o contenders.reformer.architecture.n_hashes=2`. The value is
YAML as in the spec. An empty value or `null` takes the key away. `archbench plan SPEC -o ... --resolved` prints the
spec that comes out. [Specs that extend others](specs.md) hold what many have in common.
"""


def reference() -> str:
    """The page, in Markdown."""
    root = click.Context(cli, info_name=PROGRAM, terminal_width=COLUMNS, max_content_width=COLUMNS)
    assert isinstance(cli, CommandLine)
    parts = [_INTRODUCTION]
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        parts += [f"## {path}\n\n```text\n{text}\n```\n" for path, text in helps(command, name, root)]
    return "\n".join(parts)


def helps(command: click.Command, name: str, parent: click.Context) -> Iterator[tuple[str, str]]:
    """The full name of `command` and its help at 80 columns; then those of its subcommands."""
    context = click.Context(command, info_name=name, parent=parent, terminal_width=COLUMNS, max_content_width=COLUMNS)
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            subcommand = command.get_command(context, inner)
            assert subcommand is not None
            yield from helps(subcommand, inner, context)


if __name__ == "__main__":
    echo(reference(), nl=False)
