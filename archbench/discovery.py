"""Where plug-ins come from: entry points of what is installed, and modules and packages given by path."""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from archbench import hookspecs
from archbench.errors import PluginError, in_one_line
from archbench.plugin_folders import PackageFolder, import_announced, is_package_folder, read_package_folder
from archbench.plugin_sources import FILE_DISTRIBUTION, file_version, import_file, package_version


@dataclass(slots=True)
class PluginInfo:
    """One plug-in: where it comes from, what it registered, and what went wrong."""

    name: str
    target: str
    """The entry point's value, or the file's path."""
    distribution: str
    version: str
    registered: dict[str, list[str]] = field(default_factory=dict)
    """Noun -> names, for example `architecture` -> [`gpt2`]."""
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What it changed and had no business to; it was put back."""

    @property
    def own(self) -> bool:
        """Whether it comes with archbench."""
        return self.distribution == hookspecs.PROJECT_NAME

    def fail(self, where: str, error: BaseException) -> None:
        """Notes that the plug-in failed at `where`; the same failure once."""
        line = f"{where}: {in_one_line(error)}"
        if line not in self.failures:
            self.failures.append(line)

    def note(self, where: str, line: str) -> None:
        """Notes what the plug-in changed at `where`, once."""
        if f"{where}: {line}" not in self.notes:
            self.notes.append(f"{where}: {line}")


def sources(
    entry_points: Iterable[importlib.metadata.EntryPoint], files: Sequence[Path]
) -> Iterator[tuple[PluginInfo, Callable[[], Any]]]:
    """Every plug-in with what imports it, archbench's own first."""
    packages = {path: _announced(path) for path in files if is_package_folder(path)}
    names = {package.name for package in packages.values() if isinstance(package, PackageFolder)}
    for entry_point in sorted(entry_points, key=own_first):
        distribution, version = _origin(entry_point.dist) if entry_point.dist else ("unknown", "unknown")
        if distribution in names:
            continue
        info = PluginInfo(entry_point.name, entry_point.value, distribution, version)
        yield info, entry_point.load
    for path in files:
        package = packages.get(path)
        if not isinstance(package, PackageFolder):
            info = PluginInfo(name=str(path), target=str(path), distribution=FILE_DISTRIBUTION, version="unknown")
            yield info, partial(_load_file, info, path) if package is None else partial(_raise, package)
            continue
        for point in package.entry_points:
            name = str(path) if len(package.entry_points) == 1 else f"{path}/{point}"
            info = PluginInfo(name=name, target=str(path), distribution=FILE_DISTRIBUTION, version="unknown")
            yield info, partial(_load_announced, info, package, point)


def _announced(folder: Path) -> PackageFolder | PluginError:
    """What `folder` announces, or why nothing can be: whoever misses its plug-ins is told."""
    try:
        return read_package_folder(folder)
    except PluginError as error:
        return error


def _raise(error: Exception) -> None:
    raise error


def own_first(entry_point: importlib.metadata.EntryPoint) -> tuple[bool, str, str]:
    """archbench's own plug-ins come first, so that no other package takes their names."""
    distribution = _origin(entry_point.dist)[0] if entry_point.dist else ""
    return distribution != hookspecs.PROJECT_NAME, distribution, entry_point.name


@lru_cache(maxsize=64)
def _origin(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Name and version of what is installed: without a cache its metadata is parsed for each of its entry points."""
    return distribution.name, distribution.version


def _load_file(info: PluginInfo, path: Path) -> Any:
    info.version = file_version(path)
    return import_file(path)


def _load_announced(info: PluginInfo, package: PackageFolder, point: str) -> Any:
    loaded = import_announced(package, point)
    info.version = package_version(getattr(loaded, "__name__", None) or type(loaded).__module__)
    return loaded
