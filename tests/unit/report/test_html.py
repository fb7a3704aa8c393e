"""The page: Markdown in, one file of HTML out, in which nothing of the text is code and nothing is fetched."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from archbench.report.html.charts import Chart, Line, charts_json
from archbench.report.html.markdown import Names, to_html
from archbench.report.html.page import Page, folder_images, render_page

HOSTILE = "<script>alert(1)</script>"
CHART = Chart(
    "Loss", {"exact": "FLOPs"}, "nats", (Line(f"a{HOSTILE}", f"a{HOSTILE}", "curves", {"exact": [1.0]}, [2.0]),)
)


def html_of(text: str, folder: Path = Path("/nowhere")) -> str:
    return to_html(text, images=folder_images(folder), names=Names()).html


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        f"## {HOSTILE}",
        f"| a |\n| --- |\n| {HOSTILE} |",
        f"![{HOSTILE}](figures/a.svg)",
        f"[x](javascript:alert(1)) {HOSTILE}",
        f"<details><summary>{HOSTILE}</summary>\n\n{HOSTILE}\n\n</details>",
        '<img src=x onerror="alert(1)">',
    ],
)
def test_no_markup_of_the_text_becomes_an_element(text: str) -> None:
    elements = Elements(html_of(text))
    assert not elements.of("script")
    assert not elements.of("img")
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    assert not any((attributes.get("href") or "").startswith("javascript") for attributes in elements.of("a"))


def test_folds_survive_and_unbalanced_ones_stay_text() -> None:
    assert "<details><summary>All &amp; more</summary>" in html_of(
        "<details><summary>All & more</summary>\n\nx\n\n</details>"
    )
    alone = html_of("<details><summary>never closed</summary>\n\ntext")
    assert "<details>" not in alone
    assert "never closed" in alone


def test_headings_skip_no_level_and_have_anchors_of_their_own() -> None:
    rendered = to_html("## One\n\n#### Deep\n\n## One\n", images=lambda _: None, names=Names())
    assert [(one.level, one.anchor) for one in rendered.headings] == [(2, "one"), (3, "deep"), (2, "one-2")]
    assert '<h3 id="deep">' in rendered.html


def test_tables_have_captions_scopes_and_a_box_that_scrolls() -> None:
    page = html_of("## Sizes\n\n| size | N |\n| --- | ---: |\n| 1 | 10 |\n")
    assert "<caption>Table 1: Sizes</caption>" in page
    assert 'role="region" aria-label="Table 1: Sizes" tabindex="0"' in page
    assert '<th scope="col">size</th>' in page
    assert '<th scope="row">1</th>' in page
    assert '<td class="right">10</td>' in page


def test_figures_are_embedded_with_their_description_and_caption(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "loss.svg").write_text('<?xml version="1.0"?>\n<svg xmlns="x"><path d="M0 0"/></svg>')
    page = html_of("![Loss by N](figures/loss.svg)\nFor print: [SVG](figures/loss.svg).", tmp_path)
    (image,) = Elements(page).of("img")
    assert (image["src"] or "").startswith("data:image/svg+xml")
    assert image["alt"] == "Loss by N"
    assert '<figure data-figure="loss">' in page
    assert "<figcaption>For print: " in page


@pytest.mark.parametrize(
    "address", ["https://example.org/a.png", "../outside.png", "/etc/passwd", "figures/missing.svg"]
)
def test_images_from_elsewhere_become_links(address: str, tmp_path: Path) -> None:
    (tmp_path.parent / "outside.png").write_bytes(b"png")
    page = html_of(f"![far]({address})", tmp_path)
    assert not Elements(page).of("img")
    assert "far</a>" in page


def test_a_page_asks_the_network_for_nothing_and_runs_its_own_scripts_only(tmp_path: Path) -> None:
    (tmp_path / "loss.svg").write_text('<svg xmlns="x"/>')
    page = render_page(
        Page(HOSTILE, HOSTILE, "Lead", ["## Part\n\n![x](loss.svg)"], {"loss": CHART}), folder_images(tmp_path)
    )
    elements = Elements(page)
    (policy,) = [one["content"] or "" for one in elements.of("meta") if one.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert policy.count("'sha256-") == 2
    assert not elements.of("link")
    assert not [one for one in elements.of("script") if "src" in one]
    assert [one["src"] for one in elements.of("img") if not (one["src"] or "").startswith("data:")] == []
    assert page.count("alert(1)") == page.count("&lt;script&gt;alert(1)") + page.count("\\u003cscript\\u003ealert(1)")
    assert "sourceMappingURL" not in page


def test_a_page_without_a_chart_has_no_script() -> None:
    page = render_page(Page("t", "", "", ["## Part\n\nText"], {"loss": CHART}), lambda _: None)
    assert not Elements(page).of("script")


def test_numbers_of_charts_are_short_and_lines_are_shared() -> None:
    line = Line("a", "a", "curves", {"exact": [1.23456789e12, float("inf")]}, [2.0, float("nan")])
    content = json.loads(charts_json({one: Chart("t", {"exact": "x"}, "y", (line,)) for one in ("a", "b")}))
    assert [one["x"]["exact"] for one in content["lines"]] == [[1.2346e12, None]]
    assert [chart["lines"] for chart in content["charts"].values()] == [[0], [0]]
    assert not re.search("[<>&]", charts_json({"</script>": CHART}))
