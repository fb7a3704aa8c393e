"""What a page is held to whoever reads it: rules of accessibility, on a phone and on a desk, in light and in dark."""

from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTHS = {"phone": 375, "desktop": 1280}
Scheme = Literal["light", "dark"]
ON_EVERY_SCREEN = pytest.mark.parametrize(
    ("width", "scheme"),
    [
        pytest.param(WIDTHS["phone"], "light", id="phone-light"),
        pytest.param(WIDTHS["desktop"], "dark", id="desktop-dark"),
        pytest.param(WIDTHS["phone"], "dark", id="phone-dark", marks=pytest.mark.thorough),
        pytest.param(WIDTHS["desktop"], "light", id="desktop-light", marks=pytest.mark.thorough),
    ],
)
_LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def broken_rules(page: "Page") -> list[Any]:
    """Rule, element and what is wrong with it, all that is folded opened; the page must not forbid scripts (CSP)."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    found = axe.Axe().run(page, options={"runOnly": {"type": "tag", "values": _LEVELS}})
    assert len(found.response["passes"]) > 20
    return [
        (one["id"], node["target"], node.get("failureSummary"))
        for one in found.response["violations"]
        for node in one["nodes"]
    ]
