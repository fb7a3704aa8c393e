"""Whether the nodes that train one scan compute alike: versions of libraries, and the source of archbench and plug-ins.

Nothing is imported for it, so that it takes milliseconds and no plug-in can meddle.
"""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from archbench.errors import PluginError, in_one_line
from archbench.plugin_folders import GROUP, is_package_folder, read_package_folder
from archbench.plugin_sources import file_version, folder_version
from archbench.scans.environment import library_versions

_DIGITS = 12


def node_versions(plugin_files: Sequence[Path] = ()) -> dict[str, str]:
    """What this node would train with: library -> version; plug-in -> hash of its source, or why there is none."""
    versions = library_versions()
    # A driver without an accelerator has another build of torch than its nodes: 2.13.0+cpu, 2.13.0+cu130.
    found = {name: version.partition("+")[0] if name == "torch" else version for name, version in versions.items()}
    for package in ("archbench", *sorted(set(_packages()) - {"archbench"})):
        found[f"source of {package}"] = _source(package)
    for path in plugin_files:
        found[f"plug-in {path}"] = _given(path)
    return found


def difference(here: Mapping[str, str], there: Mapping[str, str], node: str) -> str | None:
    """How `node`, which answered `there`, differs from this one, `here`, in one line; None where it does not."""
    names = [name for name in dict.fromkeys((*here, *there)) if here.get(name) != there.get(name)]
    if not names:
        return None
    told = [f"{name} {there.get(name, 'missing')}, here {here.get(name, 'missing')}" for name in names[:3]]
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    return f"node {node} would train with {'; '.join(told)}{more}; install the same on all nodes, or leave it out"


def _packages() -> Iterator[str]:
    for point in importlib.metadata.entry_points(group=GROUP):
        yield point.module.partition(".")[0]


def _source(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None:
        return "missing"
    place = next(iter(spec.submodule_search_locations or ()), spec.origin)
    return "without files" if place is None else _of_place(Path(place))


def _given(path: Path) -> str:
    try:
        if not is_package_folder(path):
            return file_version(path).removeprefix("sha256:")[:_DIGITS]
        folder = read_package_folder(path)
        tops = {(folder.root(point), target.partition(".")[0]) for point, target in folder.entry_points.items()}
        return "+".join(_of_place(root / top.partition(":")[0]) for root, top in sorted(tops))
    except (OSError, PluginError) as error:
        return f"not readable ({in_one_line(error)})"


def _of_place(place: Path) -> str:
    """The hash of a package's folder, or of a module."""
    if place.is_dir():
        return folder_version(place).removeprefix("sha256:")[:_DIGITS]
    return hashlib.sha256(place.with_suffix(".py").read_bytes()).hexdigest()[:_DIGITS]
