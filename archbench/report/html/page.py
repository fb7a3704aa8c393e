"""One page that holds all it needs: text, figures, charts, style and script. It asks the network for nothing.

The interface for whoever makes a page: a `Page` of Markdown parts, `folder_images` for the figures that lie beside it,
charts by the name of the figure that they replace, and `render_page`.
"""

import base64
import hashlib
import html
import mimetypes
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from archbench.report.html.charts import Chart, charts_json
from archbench.report.html.markdown import ImageSource, Names, Rendered, to_html

_LIBRARY, _SCRIPT, _TABLES, _STYLE = "chart.umd.min.js", "charts.js", "tables.js", "page.css"
_IMAGES = ("image/svg+xml", "image/png", "image/jpeg", "image/webp", "image/gif")
_XML_START = re.compile(r"\A\s*<\?xml.*?\?>\s*(<!DOCTYPE.*?>\s*)?(?=<svg)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says; all text is Markdown."""

    title: str
    description: str
    lead: str
    """What a reader should take away, set apart at the top."""
    parts: Sequence[str]
    """Each begins with its heading, `## …`."""
    charts: Mapping[str, Chart] = field(default_factory=dict)
    """Name of a figure's file without suffix -> the chart that takes its place where scripts run."""
    sortable: bool = False
    """Whether tables can be sorted and filtered where scripts run."""
    footer: str = ""


def render_page(page: Page, images: ImageSource) -> str:
    """`page` as one HTML document, the same bytes for the same content.

    Whatever its text holds is shown as text. A policy inside the page forbids all requests, and every script but its
    own. Without scripts the figures stand where the charts would.
    """
    names = Names()
    lead = to_html(page.lead, images=images, names=names)
    parts = [to_html(part, images=images, names=names) for part in page.parts]
    used = {name: chart for name, chart in page.charts.items() if any(_shows(part, name) for part in parts)}
    scripts = [_asset(_LIBRARY), _asset(_SCRIPT)] if used else []
    scripts += [_asset(_TABLES)] if page.sortable else []
    charts = charts_json(used) if used else ""
    footer = to_html(page.footer, images=images, names=names).html
    lines = [*_head(page, _policy(scripts)), *_body(page, lead, parts, footer), *_scripts(charts, scripts)]
    return "\n".join(lines)


def _head(page: Page, policy: str) -> Iterator[str]:
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_escaped(policy)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>{_escaped(page.title)}</title>"
    if page.description:
        yield f'<meta name="description" content="{_escaped(page.description)}">'
    yield f"<style>\n{_asset(_STYLE)}\n</style>"
    yield "</head>"


def _body(page: Page, lead: Rendered, parts: Sequence[Rendered], footer: str) -> Iterator[str]:
    """All that is read, from the start of the body on."""
    yield "<body>"
    yield '<a class="skip" href="#content">Skip to content</a>'
    yield "<header>"
    yield f"<h1>{_escaped(page.title)}</h1>"
    if page.description:
        yield f'<p class="description">{_escaped(page.description)}</p>'
    yield "</header>"
    yield from _contents(parts)
    yield '<main id="content" tabindex="-1">'
    if lead.html:
        yield f'<section class="lead">\n{lead.html}\n</section>'
    for part in parts:
        yield f"<section>\n{part.html}\n</section>"
    yield "</main>"
    if footer:
        yield f"<footer>\n{footer}\n</footer>"


def _contents(parts: Sequence[Rendered]) -> Iterator[str]:
    """Links to the headings, where there are several."""
    headings = [heading for part in parts for heading in part.headings if heading.level == 2]
    if len(headings) < 2:
        return
    yield '<nav aria-label="Contents">'
    yield '<details class="contents">'
    yield "<summary>Contents</summary>"
    yield "<ol>"
    for heading in headings:
        yield f'<li><a href="#{_escaped(heading.anchor)}">{_escaped(heading.text)}</a></li>'
    yield "</ol>"
    yield "</details>"
    yield "</nav>"


def _scripts(charts: str, scripts: Sequence[str]) -> Iterator[str]:
    """Data of the charts and the page's own scripts, to the end of the page."""
    if charts:
        yield f'<script type="application/json" id="charts">{charts}</script>'
    for script in scripts:
        yield f"<script>{script}</script>"
    yield "</body>"
    yield "</html>"


def _escaped(text: str) -> str:
    """`text` as the content of an element or of a quoted attribute."""
    return html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


def folder_images(folder: Path) -> ImageSource:
    """Images below `folder` as `data:` addresses; what lies elsewhere, or is no image, is not embedded."""
    root = folder.resolve()

    def address(source: str) -> str | None:
        kind = mimetypes.guess_type(source)[0]
        if "://" in source or kind not in _IMAGES:
            return None
        path = (root / source).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            return None
        return image_address(kind, path.read_bytes())

    return address


def image_address(kind: str, content: bytes) -> str:
    """The `data:` address of an image of the MIME type `kind`."""
    if kind == "image/svg+xml":
        # Percent-encoded text is a quarter smaller than base64.
        text = _XML_START.sub("", content.decode())
        return f"data:{kind};charset=utf-8,{quote(text, safe=_SVG_SAFE)}"
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


_SVG_SAFE = " !$&'()*+,-./:;=?@_~"


def _shows(part: Rendered, figure: str) -> bool:
    return f'data-figure="{figure}"' in part.html


def _policy(scripts: Sequence[str]) -> str:
    """The page's own scripts by their hashes; no request at all, and no other script."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes) or "'none'"
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


@cache
def _asset(name: str) -> str:
    """A file of the page's own, without the line that would make a browser look for its source map."""
    text = (files("archbench.report.html") / "assets" / name).read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("//# sourceMappingURL")) + "\n"
