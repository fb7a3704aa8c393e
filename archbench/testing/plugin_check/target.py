"""What `archbench plugins check` is given: an installed plug-in, a package's folder, or a single module."""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from archbench.errors import PluginError, nearest
from archbench.hookspecs import PROJECT_NAME
from archbench.plugin_folders import PackageFolder, is_package_folder, read_package_folder


@dataclass(frozen=True, slots=True)
class Target:
    """Plug-ins to check, and how processes get to see them."""

    title: str
    plugins: tuple[str, ...] = ()
    """Names of entry points."""
    files: tuple[Path, ...] = ()
    """Modules given by path."""
    python_path: tuple[Path, ...] = ()
    """Folders that must be on the import path."""


def find_target(named: str, scratch: Path) -> Target:
    """What `named` means: a `.py` file, a folder with a pyproject.toml, an entry point or a distribution.

    A folder is made visible as if it were installed, by metadata in `scratch`; nothing of it is executed here. Raises
    PluginError, in one line, where there is no such thing or it announces no plug-in.
    """
    path = Path(named)
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise PluginError(f"{path}: no such plug-in file; give the path of a Python module")
        return Target(title=str(path), files=(path.resolve(),))
    if is_package_folder(path):
        return _folder(path, scratch)
    return _installed(named)


def _installed(named: str) -> Target:
    entry_points = importlib.metadata.entry_points(group=PROJECT_NAME)
    found = [point for point in entry_points if point.name == named]
    found = found or [point for point in entry_points if point.dist is not None and point.dist.name == named]
    if not found:
        known = {point.name for point in entry_points} | {point.dist.name for point in entry_points if point.dist}
        raise PluginError(
            f"{named!r} is neither an installed plug-in nor a folder with a pyproject.toml nor a .py file"
            f"{nearest(named, known)}"
        )
    dist = found[0].dist
    title = f"{named} ({dist.name} {dist.version})" if dist is not None else named
    return Target(title=title, plugins=tuple(point.name for point in found))


def _folder(folder: Path, scratch: Path) -> Target:
    package = read_package_folder(folder)
    _announce(scratch, package)
    roots = dict.fromkeys(package.root(point) for point in package.entry_points)
    return Target(
        title=f"{folder} ({package.name} {package.version})",
        plugins=tuple(package.entry_points),
        python_path=(scratch, *roots),
    )


def _announce(scratch: Path, package: PackageFolder) -> None:
    """Writes the metadata that an installed distribution has, from which entry points are found."""
    name, version = package.name, package.version
    info = scratch / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = "".join(f"{point} = {target}\n" for point, target in package.entry_points.items())
    (info / "entry_points.txt").write_text(f"[{PROJECT_NAME}]\n{lines}", encoding="utf-8")
