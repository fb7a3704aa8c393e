"""docs/methods.md names the function behind each printed figure: it is there, and no column is without one."""

import ast
import html
import re
from collections.abc import Iterator

import pytest
from doc_blocks import ROOT

from archbench.results.runs import CostAxis

PAGE = (ROOT / "docs" / "methods.md").read_text()
SECTION = PAGE.partition("## Where each printed figure comes from")[2].partition("\n## ")[0]
INSIDE_ANALYSIS = {"frontier", "comparison", "fitting"}


def rows() -> Iterator[tuple[str, str, str]]:
    """Printed column, functions and files of each row of the section's tables."""
    for line in SECTION.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and cells[1] != "function" and set(cells[0]) - set("- "):
            yield cells[0], cells[1], cells[2]


def names_in(file: str) -> set[str]:
    """Functions, classes, methods and constants of a module."""
    tree = ast.parse((ROOT / file).read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return found | {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def files_of(cell: str) -> list[str]:
    """Paths from the root of the repository."""
    paths = re.findall(r"`([\w/]+\.py)`", cell)
    inner = re.findall(r"in `(archbench/\w+/)`", cell)
    return [
        f"archbench/analysis/{path}" if path.split("/")[0] in INSIDE_ANALYSIS
        else f"{inner[0]}{path}" if "/" not in path
        else f"archbench/{path}"
        for path in paths
    ]  # fmt: skip


@pytest.mark.parametrize("page", ["methods", "flops", "conventions"])
def test_pages_on_cost_name_every_axis(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert [axis.value for axis in CostAxis if f"`{axis.value}`" not in text] == []


@pytest.mark.parametrize(("column", "functions", "files"), list(rows()), ids=lambda cell: cell[:40])
def test_the_function_behind_a_column_is_in_the_file_that_is_named(column: str, functions: str, files: str) -> None:
    there = set[str]().union(*(names_in(file) for file in files_of(files)))
    named = set(re.findall(r"`(\w+)`", functions))
    assert named, column
    assert named <= there, f"{column}: {named - there} is not in {files_of(files)}"


def test_every_function_that_the_page_links_is_in_the_file_of_the_link() -> None:
    links = re.findall(r"\[((?:`\w+`(?:, )?)+)\]\(\.\./(archbench/[\w/]+\.py)\)", PAGE)
    missing = [(name, file) for names, file in links for name in re.findall(r"`(\w+)`", names)
               if name not in names_in(file)]  # fmt: skip
    assert len(links) > 8
    assert missing == []


def printed_columns(file: str) -> Iterator[str]:
    """Headers of the tables that a module prints: arguments of `Table`, and lists that are a `header`."""
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        cells: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Table":
            cells = node.args
        elif (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "header"
            and isinstance(node.value, ast.List)
        ):
            cells = node.value.elts
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "markdown_table"
            and isinstance(node.args[0], ast.List)
        ):
            cells = node.args[0].elts
        elif isinstance(node, ast.For) and ast.unparse(node.target) == "header" and isinstance(node.iter, ast.Tuple):
            cells = node.iter.elts
        for cell in cells:
            first = cell.values[0] if isinstance(cell, ast.JoinedStr) else cell
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value.partition(" (")[0].removesuffix(", 95 %")


WHOSE = {
    "contender",
    "cost axis",
    "size",
    "N",
    "seeds",
    "runs",
    "sizes",
    "checked at size",
    "step",
    "from",
    "to",
    "in a spec",
}
"""Columns that say which row it is."""


@pytest.mark.parametrize(
    "file",
    [
        *(f"archbench/builtins/reports/{name}.py" for name in (
            "sections", "question_sections", "audit_sections", "tuning_section"
        )),
        "archbench/studies/decomposition/section.py", "archbench/studies/text.py",
        *(f"archbench/studies/{name}/text.py" for name in ("batch_scan", "isoflop", "transfer")),
        "archbench/cli/compare.py", "archbench/cli/law_text.py", "archbench/cli/fit_allocation.py",
    ],
)  # fmt: skip
def test_every_column_of_reports_and_commands_is_defined(file: str) -> None:
    columns = set(printed_columns(file))
    assert columns
    cells = [html.unescape(cell) for cell, _, _ in rows()]
    defined = {
        part.partition(" (")[0].strip()
        for cell in cells
        for part in [cell, *re.split(";", cell), *re.split("[,;:]", cell)]
    }
    assert sorted(columns - WHOSE - defined) == []


@pytest.mark.parametrize("first", ["rank", r"architecture \| multiplier"])
def test_every_column_of_the_leaderboard_is_defined(first: str) -> None:
    page = (ROOT / "leaderboard" / "README.md").read_text()
    header = re.search(rf"^\| {first} \|.*$", page, re.MULTILINE)
    assert header is not None
    columns = [re.sub(r" \((?!N\)).*\)", "", cell.strip()) for cell in header[0].strip("| ").split("|")]
    defined = {column for column, _, _ in rows()}
    assert set(columns) - {"architecture", "origin"} <= defined
