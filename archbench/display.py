"""Text of others on a terminal and in Markdown: it says what it says, and does nothing else.

Names, reasons, paths and descriptions come from specs, tables, plug-ins and other people's machines. On a terminal an
escape sequence in them could clear the screen, in Markdown they could be headings, links, images or HTML.
"""

import html
import re
import unicodedata
from collections.abc import Iterable

_SUSPECT = re.compile(r"[^\x20-\x7e\n\t\u200c\u200d]")
"""What is looked at. The last two are invisible, and part of how Persian, Hindi and some emoji are written."""

_CODE = re.compile(r"`(?:[\w .:/+,()=%{}'\"\[\]*-]+|[<>~!])`")
"""A span of code that a line of our own may hold, such as a status."""
_OWN = re.compile(rf"\*\*!\*\*|{_CODE.pattern}")
"""What lines of our own may mark."""
_HTML_AND_EMPHASIS = r"[\\`*$~|#]|<(?=[a-z/!?])|&(?=[#\w]+;)|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\."
"""What Markdown reads as markup anywhere in a line. An underscore inside a word is none."""
_ACTIVE = re.compile(rf"[\[\]]|{_HTML_AND_EMPHASIS}", re.IGNORECASE)
_ACTIVE_IN_LINE = re.compile(rf"\](?=[(\[:])|{_HTML_AND_EMPHASIS}", re.IGNORECASE)
"""In lines of our own, where brackets hold intervals: a link ends by a bracket with something behind it."""
_OPENS_BLOCK = re.compile(r"[-+=>]|\d{1,9}(?=[.)](?:\s|$))")
"""What begins a list or a quotation, or underlines a heading, at the beginning of a line."""
_ENTITIES = {"<": "&lt;", "&": "&amp;", "|": "&#124;"}


def terminal_text(text: str) -> str:
    r"""`text` without power over a terminal: characters that do not print, but for line ends and tabs, as `\x1b`.

    Marks that turn the direction of writing count among them. Letters of every script stay.
    """
    return _SUSPECT.sub(lambda found: _escape(found[0]) if _acts(found[0]) else found[0], text)


def json_text(text: str) -> str:
    """JSON that means the same as the JSON `text`, and has no power over a terminal."""
    return _SUSPECT.sub(lambda found: json_escape(found[0]) if _acts(found[0]) else found[0], text)


def json_escape(letters: str) -> str:
    r"""`letters` as JSON writes them in ASCII: `\u00e9`, two halves where that is not enough."""
    units = letters.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _acts(letter: str) -> bool:
    """Whether it is a control, a format mark, half of a surrogate pair or a line break."""
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escape(letter: str) -> str:
    return letter.encode("unicode-escape").decode("ascii")


class Markdown(str):
    """Text that is meant as Markdown: tables take it as it is."""

    __slots__ = ()


def markdown_text(text: str) -> str:
    """`text` in one line of Markdown that shows it letter by letter, also in a table or at the beginning of a line.

    Plain names, as `gated_deltanet` or `gpt-2`, come out as they are.
    """
    line = " ".join(text.split())
    return _opening_nothing(line, _inactive(line, _ACTIVE))


def markdown_line(text: str) -> str:
    """A line that was put together from words of our own and names of others, which keeps code spans and intervals.

    Those are statuses and figures of ours; a code span in a name shows a name in another font, and nothing else.
    """
    line = " ".join(text.split())
    return _opening_nothing(line, _line(line))


def _line(line: str) -> str:
    shown, end = [], 0
    for own in _OWN.finditer(line):
        shown += [_inactive(line[end : own.start()], _ACTIVE_IN_LINE), own[0]]
        end = own.end()
    return "".join([*shown, _inactive(line[end:], _ACTIVE_IN_LINE)])


def markdown_cell(text: str) -> str:
    """A cell of a table: as `markdown_line`, where nothing opens a block; `Markdown` as it is."""
    if isinstance(text, Markdown):
        return text.replace("|", "\\|")
    return _line(" ".join(text.split()))


def markdown_heading(level: int, text: str) -> str:
    """A heading that says `text`."""
    return f"{'#' * level} {markdown_text(text)}"


def markdown_list(lines: Iterable[str]) -> str:
    """Lines of our own, as `markdown_line` takes them, as a list."""
    return "\n".join(f"- {markdown_line(line)}" for line in lines)


def folded(summary: str, content: str) -> str:
    """Markdown that is shown when a reader opens it."""
    return f"<details><summary>{_in_html(summary)}</summary>\n\n{content}\n\n</details>"


def _in_html(text: str) -> str:
    return html.escape(terminal_text(" ".join(text.split())), quote=False)


def _inactive(line: str, active: re.Pattern[str]) -> str:
    """`line` with what is `active` shown as the letter that it is."""
    return active.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), terminal_text(line))


def _opening_nothing(line: str, shown: str) -> str:
    """`shown`, which is `line` in Markdown, without what would begin a list or underline a heading."""
    start = _OPENS_BLOCK.match(line)
    if start is None:
        return shown
    return f"{start[0]}\\{shown[start.end() :]}" if start[0].isdigit() else f"\\{shown}"


def markdown_code(text: str) -> Markdown:
    """`text` as a span of code; as plain text where it holds what a span might not keep."""
    return Markdown(f"`{text}`" if _CODE.fullmatch(f"`{text}`") else markdown_text(text))


def fenced(text: str, language: str = "") -> str:
    """`text` as a block of code, which no line of it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{terminal_text(text.rstrip())}\n{fence}"
