"""A report and a leaderboard show names and reasons of others letter by letter: none of them is markup."""

import datetime
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from archbench.analysis.frontier.scan import analyse_scan
from archbench.builtins.reports.run_sections import EnvironmentSection, RunSection
from archbench.builtins.reports.sections import ExponentSection, FrontierSection
from archbench.contracts.report import ScanResults
from archbench.leaderboard import page
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry_files import add_entry
from archbench.report.plotting import plain
from archbench.report.writer import write_report
from archbench.results.runs import RunState
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

EVIL = "evil.example"
BASE = f"# Heading [x](http://{EVIL}) ![i](http://{EVIL}/x.png)"
OTHER = f"<details><summary>a</summary> | <a href=//{EVIL}> $x$ _b"
REASON = f"lost\n\n# Heading\n\n![i](http://{EVIL}/y.png) <img src=//{EVIL}> \x1b[2J"
LAW = SyntheticLaw(noise_std=0.003)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report and a leaderboard of contenders whose names, origin and description are markup."""
    folder = tmp_path_factory.mktemp("names")
    scan = SyntheticScan(seeds=(1, 1, 1, 1, 1))
    records = [*synthetic_records(BASE, LAW, scan), *synthetic_records(OTHER, LAW, scan, seed=1)]
    lost = replace(records[-1], state=RunState.FAILED, reason=REASON, run_id="f" * 64, curve=())
    records = [replace(one, origin=f"[t](http://{EVIL})") for one in (*records, lost)]
    frontiers, comparisons = analyse_scan(records, baseline=BASE)
    spec = {"data": {"dataset": {"kind": f"[k](http://{EVIL})"}}, "text": "```\n# no heading"}
    results = ScanResults(
        f"[scan](http://{EVIL})", f"<img src=//{EVIL}>", BASE, tuple(records), frontiers, comparisons, spec, {}
    )
    sections = [FrontierSection(), ExponentSection(), RunSection(), EnvironmentSection()]
    write_report(results, folder / "report", sections)
    for entry in make_entries(results):
        add_entry(folder / "board", entry, datetime.date(2026, 1, 1))
    page.write(folder / "board")
    return folder


def tokens_of(path: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(path.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


def pages(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.md"))


def test_there_is_a_report_a_board_and_evidence_of_each(folder: Path) -> None:
    assert [path.parent.name for path in pages(folder)] == ["board", "evidence", "evidence", "report"]


def test_no_name_is_a_link_or_an_image(folder: Path) -> None:
    for path in pages(folder):
        targets = [str(one.attrGet("href") or one.attrGet("src") or "") for one in tokens_of(path)]
        assert any(targets)
        assert not [target for target in targets if EVIL in target]


def test_no_name_is_html(folder: Path) -> None:
    for path in pages(folder):
        found = [one.content.strip() for one in tokens_of(path) if one.type.startswith("html")]
        assert set(found) <= {
            "<details><summary>Detail: exponents, trends, tiers, studies</summary>",
            "<details><summary>Every column</summary>",
            "<details><summary>The same on each compute axis</summary>",
            "<details><summary>Environment</summary>",
            "<details><summary>Spec</summary>",
            "</details>",
        }


def test_every_heading_says_one_thing_and_names_stand_in_them_whole(folder: Path) -> None:
    for path in pages(folder):
        tokens = list(tokens_of(path))
        headings = [
            "".join(child.content for child in inline.children or ())
            for opening, inline in pairwise(tokens)
            if opening.type == "heading_open"
        ]
        assert not {"Heading", "no heading"} & set(headings)
        if path.parent.name != "board":
            assert any(BASE in heading or OTHER in heading for heading in headings)


def test_no_page_holds_an_escape(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.suffix in (".md", ".html", ".svg"):
            assert "\x1b" not in path.read_text(encoding="utf-8")


def test_a_figure_shows_dollars_and_underscores_and_shortens_what_is_too_long() -> None:
    assert plain("$x$") == r"\$x\$"
    assert plain("_b") == " _b"
    assert plain("gpt2") == "gpt2"
    assert len(plain("x" * 128)) == 40
