"""The repository keeps its own promises: entry points, public names, hooks."""

import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import archbench.api
from archbench import hookspecs

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOOKS = sorted(name for name, item in vars(hookspecs).items() if hasattr(item, "archbench_spec"))


def bundled_sources() -> str:
    """The text of every bundled plug-in module, archbench's own ones included."""
    folders = [ROOT / "plugins", ROOT / "archbench" / "builtins", ROOT / "archbench" / "studies"]
    return "\n".join(path.read_text() for folder in folders for path in sorted(folder.rglob("plugin.py")))


def test_every_plugin_folder_has_an_entry_point_and_the_reverse() -> None:
    folders = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").is_file()}
    targets = PROJECT["project"]["entry-points"]["archbench"].values()
    assert folders == {target.split(".")[0] for target in targets if not target.startswith("archbench.")}


@pytest.mark.parametrize("target", PROJECT["project"]["entry-points"]["archbench"].values())
def test_every_entry_point_names_a_module_that_imports(target: str) -> None:
    assert importlib.import_module(target)


def test_the_import_rules_name_every_plugin_package() -> None:
    folders = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").is_file()}
    assert folders <= set(PROJECT["tool"]["importlinter"]["root_packages"])
    assert folders <= set(PROJECT["tool"]["mypy"]["packages"])


def test_the_public_names_are_sorted_and_there() -> None:
    names = archbench.api.__all__
    assert len(names) == len(set(names))
    assert all(hasattr(archbench.api, name) for name in names)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_used_by_a_bundled_plugin(hook: str) -> None:
    assert inspect.getdoc(getattr(hookspecs, hook))
    assert f"`{hook}(" in (ROOT / "docs" / "plugins.md").read_text(), f"docs/plugins.md does not name {hook}"
    assert re.search(rf"@hookimpl\S*\ndef {hook}\(", bundled_sources()), f"no bundled plug-in implements {hook}"


def test_importing_what_plugins_and_readers_need_loads_no_torch() -> None:
    modules = [
        "archbench.api",
        "archbench.host",
        "archbench.runs.directory",
        *PROJECT["project"]["entry-points"]["archbench"].values(),
    ]
    code = f"import sys, importlib; [importlib.import_module(m) for m in {modules!r}]; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "False"


def test_the_constraints_pin_every_direct_dependency_exactly() -> None:
    pinned = {
        re.split("==", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *(one for extra in extras for one in extra)]
    names = {re.split(r"[<>=\[]", requirement)[0].lower() for requirement in wanted}
    assert names - pinned == {"archbench"}, "which stands in an extra for another of its own"


def test_every_page_of_the_documentation_is_linked_from_the_first_one_and_every_report_from_its_page() -> None:
    docs = ROOT / "docs"
    first, studies = (docs / "index.md").read_text(), (docs / "studies" / "README.md").read_text()
    assert "(docs/index.md)" in (ROOT / "README.md").read_text()
    reports = {path.relative_to(docs / "studies").as_posix() for path in docs.glob("studies/*/report.md")}
    assert not [report for report in reports if f"({report})" not in studies]
    pages = (
        path.relative_to(docs).as_posix() for path in docs.rglob("*.md") if path.name not in ("report.md", "index.md")
    )
    assert not [page for page in pages if not page.startswith("decisions/") and f"({page})" not in first]
