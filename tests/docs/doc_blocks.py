"""What the documentation shows: its code blocks, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    *sorted((ROOT / "docs" / "studies").glob("*.md")),
]
_BLOCK = re.compile(r"^```([\w-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_OPERATORS = {"|", "&&", ";"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block and where it stands."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """`docs/page.md:12`."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """The blocks of all pages in one of `languages`; all blocks without any."""
    found = [block for page in PAGES for block in blocks_of(page)]
    return [block for block in found if not languages or block.language in languages]


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of one page, from its top."""
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        yield Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])


def commands(block: Block) -> list[str]:
    """The commands of a block in `sh`, or behind the `$` of one in `console`, continued lines joined."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def inline_commands(program: str) -> list[tuple[str, str]]:
    """(place, command) of each command of `program` that stands inside a sentence, unless parts of it are left open."""
    found = []
    for page in PAGES:
        for number, line in enumerate(_BLOCK.sub("", page.read_text()).splitlines(), start=1):
            for match in _INLINE.finditer(line):
                text = match[1].replace("\\|", "|")
                if text.startswith(f"{program} ") and not re.search(r"\.\.\.|…|[\[\]] |\[-|/ ", f"{text} "):
                    found.append((f"{page.relative_to(ROOT)}, line {number} without blocks", text))
    return found


def words(command: str) -> list[list[str]]:
    """The words of a command line; one list for each command in it, without comments and redirections."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    parts: list[list[str]] = [[]]
    redirected = False
    for word in lexer:
        if word in _OPERATORS:
            parts.append([])
        elif word.startswith(">") or redirected:
            redirected = word.startswith(">")
        else:
            parts[-1].append(word)
    return [part for part in parts if part]
