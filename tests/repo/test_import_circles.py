"""No module needs one that needs it: over all imports, those inside functions and for type checkers included.

The import rules of pyproject.toml hold layers apart; inside a package, and where a checker alone reads an import, they
see no circle.
"""

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[2]


def modules_of(*packages: Path) -> dict[str, Path]:
    """Name of each module in `packages` -> its file; an `__init__` has its package's name."""
    found = {}
    for package in packages:
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path, modules: Collection[str]) -> Iterator[str]:
    """Those of `modules` that the file at `path` imports anywhere.

    `from archbench import api` needs archbench.api; that Python reads the package first closes no circle.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; name the whole package"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else str(node.module) for name in inside]
        yield from (name for name in names if name in modules)


def circles(modules: Mapping[str, Path]) -> list[set[str]]:
    """The modules of each circle: the strongly connected components of more than one."""
    numbers = {name: number for number, name in enumerate(modules)}
    needs = np.zeros((len(modules), len(modules)), bool)
    for name, path in modules.items():
        needs[numbers[name], [numbers[other] for other in imported(path, modules)]] = True
    _, component = connected_components(csr_array(needs), connection="strong")
    groups = [{name for name in modules if component[numbers[name]] == group} for group in range(component.max() + 1)]
    return [group for group in groups if len(group) > 1]


def test_no_import_closes_a_circle() -> None:
    plugins = [path for path in sorted((ROOT / "plugins").iterdir()) if path.is_dir()]
    modules = modules_of(ROOT / "archbench", *plugins)
    assert {"archbench.api", "archbench_gpt2.config"} <= modules.keys()
    assert circles(modules) == []


def test_circles_through_functions_and_through_imports_for_type_checkers_are_found(tmp_path: Path) -> None:
    package = tmp_path / "made"
    package.mkdir()
    sources = {
        "__init__": "",
        "config": "def build():\n    from made.model import Model\n    return Model()\n",
        "model": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from made import widths\n",
        "widths": "import made.config\n",
        "plugin": "from made.config import build\n",
    }
    for name, text in sources.items():
        (package / f"{name}.py").write_text(text)
    assert circles(modules_of(package)) == [{"made.config", "made.model", "made.widths"}]
