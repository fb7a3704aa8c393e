"""The pages of reports and of the leaderboard as a reader has them.

On a phone and a desk, by day and night, with a keyboard, without scripts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from accessibility import ON_EVERY_SCREEN, WIDTHS, Scheme, broken_rules

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@contextmanager
def opened(
    browser: "Browser", path: Path, width: int = 1280, scheme: Scheme = "light", **more: Any
) -> "Iterator[Page]":
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
    page = context.new_page()
    try:
        page.goto(path.as_uri())
        yield page
    finally:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_page_loads_whole_without_a_request_an_error_or_overflow(
    browser: "Browser", any_page: Path, width: int, scheme: Scheme
) -> None:
    said: list[str] = []
    asked: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(any_page.as_uri())
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [any_page.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.title() in ("demo", "archbench leaderboard")
    assert page.locator("canvas").count() >= (6 if page.title() == "demo" else 1)
    blank = """canvas => {
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return !pixels.some(value => value !== 0);
    }"""
    assert not any(
        page.locator("canvas").nth(number).evaluate(blank) for number in range(page.locator("canvas").count())
    )
    context.close()


@ON_EVERY_SCREEN
def test_the_page_breaks_no_rule_of_accessibility(
    browser: "Browser", any_page: Path, width: int, scheme: Scheme
) -> None:
    # The page's own policy would refuse the checker's script.
    with opened(browser, any_page, width, scheme, bypass_csp=True) as page:
        assert broken_rules(page) == []


def test_without_scripts_the_figures_stand_in_place(browser: "Browser", report_page: Path) -> None:
    with opened(browser, report_page, java_script_enabled=False) as page:
        assert page.locator("canvas").count() == 0
        images = page.locator("figure img")
        assert images.count() >= 8
        for number in range(images.count()):
            box = images.nth(number).bounding_box()
            assert box is not None
            assert box["width"] > 200
        assert page.locator("main").inner_text().count("<script>xl</script>") > 3


def test_the_keyboard_reaches_every_choice_and_every_point(browser: "Browser", report_page: Path) -> None:
    with opened(browser, report_page) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        chart = page.locator("figure[data-figure=overview_causal] .chart")
        canvas, hint = chart.locator("canvas"), chart.locator(".hint")
        canvas.focus()
        page.keyboard.press("ArrowRight")
        first = hint.inner_text()
        assert first.startswith("gpt2, envelope; validation loss (nats per predicted token): ")
        page.keyboard.press("ArrowRight")
        assert hint.inner_text() != first
        page.keyboard.press("ArrowDown")
        assert hint.inner_text().startswith("gpt2, law with alpha")
        toggle = chart.get_by_role("checkbox", name="gpt2")
        toggle.focus()
        page.keyboard.press("Space")
        canvas.focus()
        page.keyboard.press("ArrowRight")
        assert not hint.inner_text().startswith("gpt2")


def test_axes_and_scales_can_be_chosen(browser: "Browser", report_page: Path) -> None:
    with opened(browser, report_page) as page:
        chart = page.locator("figure[data-figure=overview_causal] .chart")
        canvas, hint = chart.locator("canvas"), chart.locator(".hint")
        chart.get_by_role("combobox").select_option("device_seconds")
        canvas.focus()
        page.keyboard.press("ArrowRight")
        assert "time in training steps (device seconds): " in hint.inner_text()
        scale = "canvas => Chart.getChart(canvas).scales.x.type"
        assert canvas.evaluate(scale) == "logarithmic"
        chart.get_by_role("checkbox", name="log x").uncheck()
        assert canvas.evaluate(scale) == "linear"
        lines = "canvas => Chart.getChart(canvas).data.datasets.length"
        few = canvas.evaluate(lines)
        chart.get_by_role("checkbox", name="learning curves").check()
        assert canvas.evaluate(lines) > few


def column(page: "Page", number: int) -> list[str]:
    return page.locator("section .table table").first.locator(f"tbody tr :nth-child({number})").all_inner_texts()


def test_rows_of_the_leaderboard_are_sorted_by_click_and_by_key(browser: "Browser", leaderboard_page: Path) -> None:
    with opened(browser, leaderboard_page) as page:
        head = page.locator("section .table table").first.locator("thead th").nth(3)
        assert head.inner_text().startswith("loss")
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        rising = [float(text.split()[0]) for text in column(page, 4)]
        assert rising == sorted(rising)
        head.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == "descending"
        assert [float(text.split()[0]) for text in column(page, 4)] == sorted(rising, reverse=True)


def test_rows_of_the_leaderboard_are_filtered_by_words(browser: "Browser", leaderboard_page: Path) -> None:
    with opened(browser, leaderboard_page) as page:
        page.get_by_role("searchbox").fill("reformer causal")
        rows = page.locator("section .table table").first.locator("tbody tr:visible")
        assert [row.split("\t")[1].strip() for row in rows.all_inner_texts()] == ["reformer"]
        page.get_by_role("searchbox").fill("masked")
        assert rows.count() == 0
        page.get_by_role("searchbox").fill("")
        assert rows.count() == 3


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_what_the_leaderboard_ranks_by_is_on_the_screen_at_every_width(
    browser: "Browser", leaderboard_page: Path, width: int
) -> None:
    with opened(browser, leaderboard_page, width) as page:
        table = page.locator("section .table table").first
        assert table.locator("thead th").nth(2).inner_text().startswith("compute multiplier")
        for place in range(4):
            box = table.locator("thead th").nth(place).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


def test_a_row_opens_every_column_and_its_curves_on_demand(browser: "Browser", leaderboard_page: Path) -> None:
    with opened(browser, leaderboard_page) as page:
        table = page.locator("section .table table").first
        before = page.locator("canvas").count()
        button = table.get_by_role("button", name="curves and evidence of reformer")
        button.focus()
        page.keyboard.press("Enter")
        opened_row = table.locator("tr.opened")
        assert button.get_attribute("aria-expanded") == "true"
        assert "conventions\n" in opened_row.inner_text()
        assert page.locator("canvas").count() == before + 1
        lines = opened_row.locator("canvas").evaluate(
            "canvas => Chart.getChart(canvas).data.datasets.map(d => d.label)"
        )
        assert len([line for line in lines if line.startswith("reformer, size ")]) == 5
        assert all(line.startswith("reformer, ") for line in lines)
        button.click()
        assert opened_row.count() == 0


def test_a_row_of_the_leaderboard_opens_its_evidence(browser: "Browser", leaderboard_page: Path) -> None:
    with opened(browser, leaderboard_page) as page:
        page.locator("section .table table").first.get_by_role("link", name="reformer").click()
        page.wait_for_url("**/evidence/demo--reformer.html")
        text = page.locator("main").inner_text()
        assert "every default filled in" in text
        assert "contender reformer: architecture reformer" in text
        assert page.get_by_role("link", name="The entry").get_attribute("href") == "../entries/demo--reformer.json"
        page.get_by_role("link", name="The leaderboard").click()
        page.wait_for_url("**/index.html")
