"""A package given by its folder: what its pyproject.toml announces, and how that is imported without installing it."""

import importlib
import importlib.metadata
import importlib.util
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archbench.errors import PluginError

GROUP = "archbench"
"""Of the entry points that are plug-ins; also archbench's own distribution."""
_imported: dict[str, str] = {}
"""Top-level package -> the folder that it was imported from in this process."""


@dataclass(frozen=True, slots=True)
class PackageFolder:
    """A package with a pyproject.toml, installed or not."""

    folder: Path
    name: str
    """Of its distribution."""
    version: str
    entry_points: Mapping[str, str]
    """Name of each plug-in -> `module` or `module:attribute`."""

    def root(self, point: str) -> Path:
        """The folder from which the module behind a plug-in is imported. Raises PluginError where there is none."""
        top = _top(self.entry_points[point])
        for root in (self.folder / "src", self.folder):
            if (root / top / "__init__.py").is_file() or (root / f"{top}.py").is_file():
                return root.resolve()
        raise PluginError(
            f"{self.folder / 'pyproject.toml'}: names the module {top!r}, which is neither in {self.folder / 'src'} "
            f"nor in {self.folder}"
        )


def is_package_folder(path: Path) -> bool:
    """Whether `path` is a folder with a pyproject.toml."""
    return (path / "pyproject.toml").is_file()


def read_package_folder(folder: Path) -> PackageFolder:
    """What `folder` announces; nothing of it is executed. Raises PluginError, in one line, where it is no plug-in."""
    file = folder / "pyproject.toml"
    try:
        project: Mapping[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        name, version = str(project["name"]), str(project.get("version", "0"))
        announced: Mapping[str, str] = project.get("entry-points", {}).get(GROUP, {})
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise PluginError(f"{file}: cannot be read as a package's description: {reason}") from error
    if not announced:
        raise PluginError(
            f"{file}: announces no plug-in; add [project.entry-points.{GROUP}] with a line such as "
            'my_arch = "my_arch.plugin"'
        )
    return PackageFolder(folder, name, version, announced)


def import_announced(package: PackageFolder, point: str) -> Any:
    """What the entry point `point` of `package` names, imported from its folder.

    Raises ImportError where another module has its name, and whatever the package itself raises.
    """
    root, top = package.root(point), _top(package.entry_points[point])
    if str(root) not in sys.path:
        # Behind all else: a folder must not take the place of an installed module for the whole process.
        sys.path.append(str(root))
    importlib.invalidate_caches()
    known = importlib.util.find_spec(top)
    if known is None or known.origin is None or not Path(known.origin).resolve().is_relative_to(root):
        other = known.origin if known is not None and known.origin is not None else "another module"
        raise ImportError(
            f"{top!r} in {package.folder} cannot be imported: {other} has that name; uninstall or rename it"
        )
    _imported[top] = str(package.folder)
    return importlib.metadata.EntryPoint(point, package.entry_points[point], GROUP).load()


def imported_packages() -> dict[str, str]:
    """Top-level package -> its folder as it was given, of those that this process imported from folders."""
    return dict(_imported)


def _top(target: str) -> str:
    return target.partition(":")[0].partition(".")[0].strip()
