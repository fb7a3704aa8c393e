"""`archbench text`: what the standard text is made of, and fetching it ahead."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from archbench.builtins.text.standard.archives import Size, archives_of
from archbench.builtins.text.standard.store import fetch, is_there, store_folder
from archbench.cli.common import cache_option, json_option, note, print_json
from archbench.cli.outputs.plans import ArchiveRow, StandardTextOutput
from archbench.cli.terminal import echo
from archbench.units import counted, human_bytes
from archbench.user_folders import cache_folder

F = TypeVar("F", bound=Callable[..., Any])


def _size_option(function: F) -> F:
    return click.option(
        "--size",
        type=click.Choice(get_args(Size)),
        default="full",
        show_default=True,
        help="How many of the archives; each size holds the smaller ones.",
    )(function)


@click.group(invoke_without_command=True)
@click.pass_context
def text(context: click.Context) -> None:
    """List the archives of the standard text, or fetch them ahead."""
    if context.invoked_subcommand is None:
        context.invoke(list_archives, size="full", cache_dir=cache_folder(), as_json=False)


@text.command("list")
@_size_option
@cache_option
@json_option
def list_archives(size: Size, cache_dir: Path, as_json: bool) -> None:
    """List the archives: version, licence, bytes, and whether their text is there."""
    archives, folder = archives_of(size), store_folder(cache_dir)
    rows = [
        ArchiveRow(
            name=one.name,
            version=one.version,
            licence=one.licence,
            archive_sha256=one.sha256,
            archive_bytes=one.archive_bytes,
            text_sha256=one.text_sha256,
            text_bytes=one.text_bytes,
            documents=one.num_documents,
            is_fetched=is_there(one, folder),
        )
        for one in archives
    ]
    if as_json:
        print_json(StandardTextOutput(size, str(folder), rows))
        return
    table = [("archive", "licence", "download", "text", "documents", "")]
    table += [
        (
            f"{row.name} {row.version}",
            row.licence,
            human_bytes(row.archive_bytes),
            human_bytes(row.text_bytes),
            f"{row.documents:,}",
            "fetched" if row.is_fetched else "",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        left = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(line[2:5], widths[2:5], strict=True)]
        echo("  ".join((*left, *right, line[5])).rstrip())
    echo(
        f"{counted(len(rows), 'archive')}: {human_bytes(sum(row.archive_bytes for row in rows))} to download, "
        f"{human_bytes(sum(row.text_bytes for row in rows))} of text; {sum(row.is_fetched for row in rows)} fetched "
        f"to {folder}"
    )


@text.command("fetch")
@_size_option
@cache_option
def fetch_archives(size: Size, cache_dir: Path) -> None:
    """Fetch the text through pip, once, for scans that run without a network.

    pip's settings say where from: PIP_INDEX_URL, PIP_FIND_LINKS, PIP_NO_INDEX, or its configuration file. For another
    machine copy the folder that this prints into the cache folder there. Interrupted, it goes on where it was.
    """
    archives, folder = archives_of(size), store_folder(cache_dir)
    fetch(archives, folder, note)
    words = human_bytes(sum(one.text_bytes for one in archives))
    echo(f"the standard text ({size}, {words}) is in {folder}")
