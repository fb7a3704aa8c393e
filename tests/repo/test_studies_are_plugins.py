"""Outside the folders of studies nothing knows a kind of study: no table, no branch, no import of its results."""

import ast
from collections.abc import Iterator
from pathlib import Path

from archbench.host import default_host

PACKAGE = Path(__file__).parents[2] / "archbench"
KINDS = set(default_host().registry.studies.entries)
FOLDERS = {path.name for path in (PACKAGE / "studies").iterdir() if (path / "config.py").is_file()}
OF_ONE_KIND = {
    "answers/outputs/analysis.py": "the output of `forecast --transfer`",
    "cli/forecast_transfer.py": "the command `forecast --transfer`",
    "testing/synthetic_studies.py": "made-up runs of the bundled kinds",
    "testing/synthetic_transfer.py": "made-up runs of transfer",
}
"""Modules that are about one kind and say so."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith("studies/") and name not in OF_ONE_KIND:
            yield name, ast.parse(path.read_text())


def test_there_are_kinds_to_look_for() -> None:
    assert {"data_scan", "grid", "isoflop", "batch_scan", "learning_curves", "transfer", "size_scan"} <= KINDS
    assert {"subsets", "isoflop", "batch_scan", "learning_curves", "transfer", "size_scan"} <= FOLDERS


def test_no_module_names_a_kind_of_study() -> None:
    # Sections of reports have kinds as well, and a word may be of the language.
    telling = KINDS - set(default_host().registry.report_sections.entries) - {"grid", "noise_scale"}
    named = {
        f"{name}: {node.value!r}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in telling
    }
    assert not named


def test_no_module_imports_one_kind_of_study() -> None:
    importing = {
        f"{name}: {node.module}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module is not None
        and any(node.module.startswith(f"archbench.studies.{folder}") for folder in FOLDERS)
    }
    assert not importing


def test_no_module_branches_on_the_kind_of_a_study() -> None:
    """Neither `match` on its class nor a comparison of its kind: `study.kind == ...`, `section["kind"] in ...`."""
    words = KINDS
    branching = {
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(side, ast.Constant) and side.value in words for side in [node.left, *node.comparators])
    }
    assert not branching


def test_no_kind_imports_another_but_for_what_it_shares() -> None:
    """One kind takes from another what that one shares with all: nothing else of it."""
    taken = {
        f"{path.parent.name}/{path.name}: {node.module}"
        for path in sorted((PACKAGE / "studies").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and node.module is not None
        and any(node.module.startswith(f"archbench.studies.{folder}.") for folder in FOLDERS - {path.parent.name})
        and path.name != "plugin.py"
    }
    assert taken == {
        "learning_curves/analysis.py: archbench.studies.batch_scan.analysis",
        "learning_curves/config.py: archbench.studies.batch_scan.contenders",
    }
