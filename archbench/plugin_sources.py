"""The source code of plug-ins: modules given by path, the files that belong to them, and what identifies their text."""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType

FILE_DISTRIBUTION = "file"
"""Distribution that a plug-in given by path is said to come from."""

FILE_MODULE = "archbench_plugin_file_"
"""What the names of modules that are given by path begin with."""

_SOURCE_SUFFIXES = frozenset({".py", ".c", ".cc", ".cpp", ".cu", ".h", ".hpp"})
_VERSION_DIGITS = 16
_NOT_BESIDE = sys.stdlib_module_names | {"archbench"}
"""Names that are never taken for a module beside a plug-in's file."""


def import_file(path: Path) -> ModuleType:
    """The module in `path`, executed anew, under a name that no other file has.

    Modules beside it can be imported by their names, as from a script; installed ones of the same name come first.
    Raises ImportError where such a name is taken, and whatever the module itself raises.
    """
    path = path.resolve()
    place = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    stem = "".join(letter if letter.isalnum() else "_" for letter in path.stem)
    name = f"{FILE_MODULE}{stem}_{place}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    _offer_neighbours(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def file_of(module_name: str) -> Path | None:
    """The file of a module that `import_file` made; None for any other, which can be imported by its name."""
    module = sys.modules.get(module_name)
    if not module_name.startswith(FILE_MODULE) or module is None or module.__file__ is None:
        return None
    return Path(module.__file__)


def file_version(path: Path) -> str:
    """What stands for the version of a plug-in given by path: the hash of its text and of the modules beside it.

    Any changed byte is another version, also in a comment. Raises OSError where the file cannot be read.
    """
    return f"sha256:{_file_sha256(path.resolve())[:_VERSION_DIGITS]}"


def package_version(module_name: str) -> str:
    """What stands for the version of a package given by its folder: the hash of all its source files.

    module_name: of any of its modules; the package is imported. Raises ImportError where it has no source.
    """
    digest = _package_sha256(module_name.partition(".")[0])
    if digest is None:
        raise ImportError(f"{module_name}: has no source files")
    return f"sha256:{digest[:_VERSION_DIGITS]}"


def folder_version(folder: Path) -> str:
    """As `package_version`, of the package in `folder`, which is not imported."""
    return f"sha256:{_sha256(_sources_in(folder))[:_VERSION_DIGITS]}"


def source_sha256(module_name: str) -> str | None:
    """SHA-256 of the source text that the imported module belongs to, in hex; None where there is no text to read.

    For a plug-in given by path: of the file and the modules beside it that it imports. Otherwise of all source files
    of the top-level package, names included.
    """
    path = file_of(module_name)
    try:
        return _package_sha256(module_name.partition(".")[0]) if path is None else _file_sha256(path)
    except OSError:
        return None


def module_files(path: Path) -> list[Path]:
    """`path` and the modules beside it that it imports, also inside functions and through one another; sorted."""
    found = {path}
    waiting = [path]
    while waiting:
        for file in _imported_neighbours(waiting.pop(), path.parent):
            if file not in found:
                found.add(file)
                waiting.append(file)
    return sorted(found)


def _offer_neighbours(path: Path) -> None:
    """Lets `path` import the modules beside it. Raises ImportError for one whose name stands for another module."""
    folder = path.parent
    files = [file for file in module_files(path) if file != path]
    if not files:
        return
    if str(folder) not in sys.path:
        # Behind all else: a file called like an installed module must not take its place for the whole process.
        sys.path.append(str(folder))
    importlib.invalidate_caches()
    for name in sorted({file.relative_to(folder).parts[0].removesuffix(".py") for file in files}):
        beside = {folder / f"{name}.py", folder / name / "__init__.py"}
        known = importlib.util.find_spec(name)
        if known is None or known.origin is None or Path(known.origin).resolve() not in beside:
            other = known.origin if known is not None and known.origin is not None else "another module"
            raise ImportError(f"{name!r} beside {path.name} cannot be imported: {other} has that name; rename it")


def _imported_neighbours(path: Path, folder: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # whoever imports it is told
    for start, dotted in _imports(tree, path, folder):
        yield from (file for file in _modules(start, dotted) if file.is_relative_to(folder))


def _imports(tree: ast.Module, path: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """Folder and dotted name of each module that may be meant by an import in `path`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((folder, alias.name) for alias in node.names if not _elsewhere(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.level:
            start = path.parents[min(node.level, len(path.parents)) - 1]
            yield from ((start, ".".join(filter(None, (node.module, alias.name)))) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not _elsewhere(node.module):
            yield from ((folder, f"{node.module}.{alias.name}") for alias in node.names)


def _elsewhere(dotted: str) -> bool:
    return dotted.partition(".")[0] in _NOT_BESIDE


def _modules(start: Path, dotted: str) -> Iterator[Path]:
    """The files below `start` that importing `dotted` executes; its last part may be a name in a module."""
    parts = dotted.split(".")
    for depth in range(1, len(parts) + 1):
        place = start.joinpath(*parts[:depth])
        yield from (file for file in (place.with_name(f"{place.name}.py"), place / "__init__.py") if file.is_file())


def _file_sha256(path: Path) -> str:
    # Without the file's own name: a run is identified by what it computes.
    return _sha256({"" if one == path else one.relative_to(path.parent).as_posix(): one for one in module_files(path)})


@lru_cache(maxsize=64)
def _package_sha256(name: str) -> str | None:
    module = sys.modules.get(name)
    if module is None or module.__file__ is None:
        return None
    file = Path(module.__file__)
    if file.name != "__init__.py":
        return _sha256({file.name: file})
    return _sha256(_sources_in(file.parent))


def _sources_in(folder: Path) -> dict[str, Path]:
    files = (path for path in folder.rglob("*") if path.suffix in _SOURCE_SUFFIXES and path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}


def _sha256(files: Mapping[str, Path]) -> str:
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
