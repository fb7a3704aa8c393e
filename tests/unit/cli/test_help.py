"""Every command's help reads well at 80 columns, and the reference in the docs is what the commands say."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from archbench.cli.main import COMMANDS, cli
from archbench.cli.reference import COLUMNS, helps, reference

ROOT = Path(__file__).parents[3]

ROOT_CONTEXT = click.Context(cli, info_name="archbench", terminal_width=COLUMNS, max_content_width=COLUMNS)


def every_command() -> Iterator[tuple[str, click.Command, str]]:
    for name in COMMANDS:
        command = cli.get_command(ROOT_CONTEXT, name)
        assert command is not None
        for path, text in helps(command, name, ROOT_CONTEXT):
            inner: click.Command = command
            for part in path.split()[2:]:
                assert isinstance(inner, click.Group)
                found = inner.get_command(click.Context(inner), part)
                assert found is not None
                inner = found
            yield path, inner, text


EVERY = list(every_command())
IDS = [path for path, _, _ in EVERY]


@pytest.mark.parametrize(("path", "command", "text"), EVERY, ids=IDS)
def test_no_line_of_a_help_is_wider_than_80_columns(path: str, command: click.Command, text: str) -> None:
    wide = [line for line in text.splitlines() if len(line) > COLUMNS]
    assert not wide, path


@pytest.mark.parametrize(("path", "command", "text"), EVERY, ids=IDS)
def test_every_command_and_option_says_what_it_is_for(path: str, command: click.Command, text: str) -> None:
    assert command.help
    first = command.help.splitlines()[0]
    assert first.endswith((".", ":")), (path, first)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, (path, parameter.opts)
            assert parameter.help.endswith((".", ")", "]")), (path, parameter.opts)
            assert len(parameter.help) < 160, (path, parameter.opts)


@pytest.mark.parametrize(("path", "command", "text"), EVERY, ids=IDS)
def test_examples_are_commands_that_parse(path: str, command: click.Command, text: str) -> None:
    for line in re.findall(r"^ {4,}(archbench [^>\\\n]+)$", text, flags=re.MULTILINE):
        words = line.split()[1:]
        assert words[0] in COMMANDS, line
        named = cli.get_command(ROOT_CONTEXT, words[0])
        rest = words[1:]
        while isinstance(named, click.Group) and rest:
            named, rest = named.get_command(click.Context(named), rest[0]), rest[1:]
        assert named is not None, line
        flags = {flag for parameter in named.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.split("=")[0] for word in rest if word.startswith("-")} <= flags, line


def test_the_reference_in_the_docs_is_what_the_commands_say() -> None:
    again = "python -m archbench.cli.reference > docs/cli.md"
    assert (ROOT / "docs" / "cli.md").read_text() == reference(), f"write it anew: {again}"


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"archbench {name}" not in text] == []
