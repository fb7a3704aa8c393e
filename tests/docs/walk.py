"""Walks a page of the documentation: carries out the commands of its `console` blocks, one after another.

    python tests/docs/walk.py docs/tutorial.md      writes what they print into the page

They run in a folder of their own that holds a copy of `specs/`, with this Python's programs first on the path.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from doc_blocks import ROOT, Block, blocks_of

COLUMNS = 100
TIMEOUT_SECONDS = 2400.0


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a page, and what it printed."""

    block: Block
    command: str
    shown: str
    """What the page says that it prints."""
    printed: str
    exit_code: int


def steps(block: Block) -> Iterator[tuple[str, str]]:
    """Each command of a `console` block with the lines below it."""
    for part in f"\n{block.text}".split("\n$ ")[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def walk(page: Path, folder: Path) -> Iterator[Step]:
    """Carries out the commands of `page` in `folder`, which must be empty."""
    shutil.copytree(ROOT / "specs", folder / "specs")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": str(COLUMNS),
        "OMP_NUM_THREADS": "1",
        "XDG_STATE_HOME": str(folder / ".state"),
    }
    for block in blocks_of(page):
        if block.language != "console":
            continue
        for command, shown in steps(block):
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", command],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
            yield Step(block, command, shown, done.stdout, done.returncode)


def rewritten(page: Path, walked: list[Step]) -> str:
    """The text of `page` with what its commands printed."""
    text = page.read_text()
    for block in blocks_of(page):
        mine = [step for step in walked if step.block == block]
        if mine:
            new = "".join(f"$ {step.command}\n{step.printed.rstrip()}\n".replace("\n\n```", "\n```") for step in mine)
            text = text.replace(f"```console\n{block.text}```", f"```console\n{new}```", 1)
    return text


def main() -> None:
    """Writes the page anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    page = parser.parse_args().page.resolve()
    with tempfile.TemporaryDirectory() as folder:
        walked = []
        for step in walk(page, Path(folder)):
            print(f"{step.exit_code} {step.command}", flush=True)
            walked.append(step)
    page.write_text(rewritten(page, walked))


if __name__ == "__main__":
    main()
