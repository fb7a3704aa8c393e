"""Every block of code in the documentation is real: read by its own parser, and where it is a command, accepted.

Commands that take seconds are carried out by `test_walks.py`; those that train for minutes, and those that reach out of
the machine, are only parsed, by the command line itself.
"""

import ast
import contextlib
import importlib.util
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from doc_blocks import PAGES, ROOT, Block, blocks, commands, inline_commands, words

from archbench.cli.main import cli
from archbench.host import default_host
from archbench.spec.document import SpecDocument
from archbench.spec.layers import merged
from archbench.spec.load import spec_from_yaml
from archbench.spec.settings import DataSection, TrainingSection
from archbench.spec.yaml_loader import YamlFile, parse_yaml

LANGUAGES = {"sh", "console", "yaml", "python", "diff", "toml", "text"}
FROM_ELSEWHERE = {
    "git",
    "pip",
    "hf",
    "torchrun",
    "cd",
    "apt-get",
    "mkdocs",
    "source",
    "export",
    "ray",
    "kubectl",
    "sky",
}
"""Programs of others: that they take what is shown is theirs to say."""


def place(block: Block) -> str:
    return block.where


def test_every_block_names_its_language() -> None:
    assert [block.where for block in blocks() if block.language not in LANGUAGES] == []


def accept(arguments: list[str]) -> None:
    """Parses `arguments` of archbench as far as a command goes before it does anything.

    Where they name a store by its URL, which would be asked, a folder stands in its place.
    """
    arguments = [re.sub(r"^(s3|gs)://\S+$", "runs", one) for one in arguments]
    context = cli.make_context("archbench", arguments)
    while isinstance(context.command, click.Group) and (rest := [*context._protected_args, *context.args]):
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)


def check(command: str) -> None:
    """Raises where a command line could not begin its work here."""
    for program, *arguments in words(re.sub(r"^(\w+=\S+\s+)+", "", command)):
        match program:
            case "archbench":
                with contextlib.suppress(click.exceptions.Exit):  # --help is answered while it is parsed
                    accept(arguments)
            case "make":
                targets = [argument for argument in arguments if "=" not in argument]
                for target in targets:
                    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
            case "python" if arguments[0] == "-m":
                assert importlib.util.find_spec(arguments[1]) is not None, arguments[1]
            case "python":
                check_script(ROOT / arguments[0], arguments[1:])
            case "bash":
                assert (ROOT / arguments[0]).is_file()
            case _:
                assert program in FROM_ELSEWHERE or shutil.which(program), program


def check_script(script: Path, arguments: list[str]) -> None:
    """Whether the script is there and knows the options that it is given."""
    text = script.read_text()
    for argument in arguments:
        if argument.startswith("--"):
            assert f'"{argument.partition("=")[0]}"' in text, f"{script.name} has no {argument}"


@pytest.mark.parametrize("block", blocks("sh", "console"), ids=place)
def test_every_command_in_a_block_is_accepted(block: Block) -> None:
    lines = commands(block)
    assert lines
    for line in lines:
        check(line)


@pytest.mark.parametrize("program", ["archbench", "python", "make"])
def test_every_command_in_a_sentence_is_accepted(program: str) -> None:
    found = inline_commands(program)
    assert found
    for where, command in found:
        try:
            check(command)
        except (click.MissingParameter, click.exceptions.NoArgsIsHelpError):
            continue  # a sentence may name a command without all that it needs
        except click.BadParameter:
            assert re.search(r"\b[A-Z]{2,}\b", command), f"{where}: `{command}`"  # SHELL, say, stands for a choice
        except (AssertionError, click.ClickException, OSError) as error:
            raise AssertionError(f"{where}: `{command}`: {error}") from error


def whole_spec() -> YamlFile:
    """The spec of the README, which fragments of specs are put into."""
    (first,) = [block for block in blocks("yaml") if block.page.name == "README.md"]
    return parse_yaml(first.text, ROOT / "README.md")


def in_a_spec(fragment: dict[str, Any]) -> dict[str, Any]:
    """The fragment under the keys of a spec that it stands below."""
    for section, model in (("", SpecDocument), ("data", DataSection), ("training", TrainingSection)):
        if fragment.keys() <= model.model_fields.keys() | {"extends"}:
            return {section: fragment} if section else fragment
    raise AssertionError(f"no section of a spec has {', '.join(fragment)}")


@pytest.mark.parametrize("block", blocks("yaml"), ids=place)
def test_every_spec_is_valid_alone_or_as_part_of_the_readmes(block: Block) -> None:
    content = parse_yaml(block.text, block.page)
    data = in_a_spec(content.data)
    data.pop("extends", None)
    if "contenders" in data:
        data["contenders"] = {
            # A published one takes the place of one that the README trains.
            name: {"architecture": None, **value} if "entry" in value else value
            for name, value in data["contenders"].items()
            if value is not None
        }
    file = merged(whole_spec(), YamlFile(block.page, data, content.places))
    # A component of the reader's own, or contenders left out.
    if re.search(r"kind: (my_arch|fill_in_the_middle|context_scan)\b", block.text) or "decompose" in data:
        SpecDocument.model_validate(file.data)
    else:
        spec_from_yaml(file, default_host().registry)


@pytest.mark.parametrize("block", blocks("toml"), ids=place)
def test_every_toml_is_read(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", blocks("python"), ids=place)
def test_every_python_imports_what_there_is(block: Block) -> None:
    """Examples of hooks are carried out by the tests of that page."""
    signature = block.text.startswith("def ") and block.text.count("\n") == 1
    for node in ast.walk(ast.parse(f"{block.text.rstrip()}: ..." if signature else block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "archbench":
            module = importlib.import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name), f"{node.module} has no {name.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target or (not path and anchor):
            continue
        assert (page.parent / path).exists(), f"{page.name}: {target}"
