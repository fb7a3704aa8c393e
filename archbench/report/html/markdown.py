"""Markdown of a report as HTML: one content, two renderings.

Markup of the text is never trusted: `<script>` in a contender's name or in a stranger's section comes out as text. The
one piece of HTML that reports use, a folded `<details><summary>…</summary>`, is known by its shape and made anew.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

ImageSource = Callable[[str], str | None]
"""Address of an image as the Markdown says it -> a `data:` address, or None for one that is not embedded."""

_FOLD = re.compile(r"<details><summary>(.*)</summary>", re.DOTALL)
_UNFOLD = "</details>"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of the text."""

    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A piece of a page."""

    html: str
    """Markup of our own making: what the text held of it is escaped."""
    headings: tuple[Heading, ...]


@dataclass(slots=True)
class Names:
    """What must be unique in a page: anchors of headings and numbers of tables."""

    anchors: set[str] = field(default_factory=set)
    tables: int = 0

    def anchor(self, text: str) -> str:
        """An anchor for a heading `text`: lower case, digits and dashes."""
        stem = "-".join(re.findall(r"\w+", text.lower())) or "part"
        found, number = stem, 1
        while found in self.anchors:
            number += 1
            found = f"{stem}-{number}"
        self.anchors.add(found)
        return found


def to_html(text: str, *, images: ImageSource, names: Names, above: int = 1) -> Rendered:
    """`text` as HTML, with its headings.

    Headings come no deeper than one level below the one before them, the first no deeper than one below `above`. A
    paragraph that begins with an image becomes a figure, the rest of it its caption. Tables scroll in a box of their
    own and carry a caption for readers who do not see them. Images come from `images`; others become links.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    for rule in (_fence, _image, _table_open, _table_close):
        reader.add_render_rule(rule.__name__.strip("_"), rule)
    tokens = reader.parse(text)
    _fold(tokens)
    headings = list(_number_headings(tokens, names, above))
    _figures(tokens)
    _cells(tokens)
    _captions(tokens, names)
    return Rendered(reader.renderer.render(tokens, reader.options, {"images": images}), tuple(headings))


def _fold(tokens: list[Token]) -> None:
    """Paragraphs that open and close a fold become its tags, where both are there."""
    opened: list[int] = []
    for index in range(1, len(tokens)):
        if tokens[index].type != "inline" or tokens[index - 1].type != "paragraph_open":
            continue
        content = tokens[index].content.strip()
        if _FOLD.fullmatch(content):
            opened.append(index)
        elif content == _UNFOLD and opened:
            start = opened.pop()
            found = _FOLD.fullmatch(tokens[start].content.strip())
            assert found is not None, "only what matched was kept"
            _replace(tokens, start, f"<details><summary>{html.escape(found[1])}</summary>\n")
            _replace(tokens, index, f"{_UNFOLD}\n")


def _replace(tokens: list[Token], index: int, content: str) -> None:
    """The paragraph about `index` by one piece of HTML; the list keeps its length."""
    for near in (index - 1, index + 1):
        tokens[near] = Token("html_block", "", 0, content="")
    tokens[index] = Token("html_block", "", 0, content=content)


def _number_headings(tokens: Sequence[Token], names: Names, above: int) -> Iterator[Heading]:
    level = above
    for index, (opening, inline) in enumerate(pairwise(tokens)):
        if opening.type != "heading_open":
            continue
        level = min(max(int(opening.tag[1:]), above + 1), level + 1)
        heading = Heading(level, _plain(inline), names.anchor(_plain(inline)))
        closing = tokens[index + 2]
        opening.tag = closing.tag = f"h{level}"
        opening.attrSet("id", heading.anchor)
        yield heading


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def _figures(tokens: Sequence[Token]) -> None:
    """Paragraphs that begin with an image become figures; `data-figure` names the file without its suffix."""
    for opening, inline, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type != "paragraph_open" or not inline.children or inline.children[0].type != "image":
            continue
        image, rest = inline.children[0], inline.children[1:]
        opening.tag = closing.tag = "figure"
        opening.attrSet("data-figure", PurePosixPath(str(image.attrGet("src"))).stem)
        if rest and rest[0].type == "softbreak":
            rest = rest[1:]
        caption = [_raw("<figcaption>"), *rest, _raw("</figcaption>")] if rest else []
        inline.children = [image, *caption]


def _raw(content: str) -> Token:
    return Token("html_inline", "", 0, content=content)


def _cells(tokens: Sequence[Token]) -> None:
    """Heads of columns and of rows are named as such; figures align to the right by a class."""
    first = False
    for token in tokens:
        if token.type == "tr_open":
            first = True
        if token.type not in ("th_open", "td_open", "td_close"):
            continue
        if token.attrGet("style") == "text-align:right":
            token.attrs = {"class": "right"}
        if token.type == "th_open":
            token.attrSet("scope", "col")
        elif first:
            token.tag = "th"
            if token.type == "td_open":
                token.attrSet("scope", "row")
            else:
                first = False


def _captions(tokens: Sequence[Token], names: Names) -> None:
    """Every table is named by its number and the heading above it."""
    heading = ""
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = _plain(tokens[index + 1])
        elif token.type == "table_open":
            names.tables += 1
            token.meta["caption"] = f"Table {names.tables}" + (f": {heading}" if heading else "")


def _table_open(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Mapping[str, Any]) -> str:
    caption = escapeHtml(tokens[index].meta["caption"])
    return f'<div class="table" role="region" aria-label="{caption}" tabindex="0"><table><caption>{caption}</caption>\n'


def _table_close(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Mapping[str, Any]) -> str:
    return "</table></div>\n"


def _fence(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Mapping[str, Any]) -> str:
    # What scrolls must be reached by the keyboard.
    return f'<pre tabindex="0"><code>{escapeHtml(tokens[index].content)}</code></pre>\n'


def _image(_: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Mapping[str, Any]) -> str:
    token = tokens[index]
    address, alt = str(token.attrGet("src")), escapeHtml(_plain(token) or token.content)
    embedded = env["images"](address)
    if embedded is None:
        return f'<a href="{escapeHtml(address)}">{alt or escapeHtml(address)}</a>'
    return f'<img src="{escapeHtml(embedded)}" alt="{alt}">'
