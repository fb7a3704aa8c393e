"""Text that every installation of archbench has: the documentation and the code of the packages it depends on."""

import ast
import gc
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import sys
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, PositiveInt

from archbench.contracts.data import DatasetConfig, Document
from archbench.errors import DataError
from archbench.extras import REMEDY

SCIENTIFIC = ("matplotlib", "networkx", "numpy", "pandas", "scipy", "sympy")
"""Packages of libraries for computation; networkx and sympy come with torch."""
LEARNING = ("datasets", "huggingface_hub", "torch", "transformers")

_SKIPPED_FOLDERS = frozenset({"tests", "test", "testing", "_testing"})
_SKIPPED_FILES = frozenset({"version.py", "_version.py", "__config__.py", "conftest.py"})
"""Files that differ between builds of one version, and test set-up."""

_BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
"""Fields of syntax tree nodes that hold statements."""

_Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class _InstalledConfig(DatasetConfig):
    """Modules of installed packages, found without importing them; a document's id is the module's path.

    The same versions give the same text on every machine, but for modules that a Python too old cannot parse: these
    are left out. Test folders are left out too.
    """

    extraction_version: ClassVar[int]
    """Rises when the same sources give other text."""

    packages: tuple[str, ...] = Field(min_length=1)
    """Import names of installed packages."""
    limit_bytes: PositiveInt | None = None
    """Stops when about this many UTF-8 bytes are reached, for quick trials; modules come in a fixed random order."""

    def documents(self) -> Iterator[Document]:
        """One document per module, in the order of the hashes of their ids. Raises DataError for a missing package."""
        modules = {
            f"{package}/{path.relative_to(root).as_posix()}": path
            for package in self.packages
            for root in [_package_folder(package)]
            for path in root.rglob("*.py")
            if path.name not in _SKIPPED_FILES and not _SKIPPED_FOLDERS.intersection(path.relative_to(root).parts)
        }
        modules = {name: path for name, path in modules.items() if self._is_wanted(name)}
        seen: set[bytes] = set()
        total = 0
        for name in sorted(modules, key=lambda name: hashlib.sha256(name.encode()).digest()):
            parsed = _parsed(modules[name])
            text = self._text(*parsed, seen) if parsed else ""
            if not text:
                continue
            yield Document(id=name, text=text)
            total += len(text.encode())
            if self.limit_bytes is not None and total >= self.limit_bytes:
                return

    def cache_key(self) -> str:
        """Versions of the packages and of Python."""
        versions = {package: _version(package) for package in self.packages}
        return json.dumps([self.extraction_version, sys.version_info[:2], versions], sort_keys=True)

    def _is_wanted(self, name: str) -> bool:
        """Whether the module of the id `name` is read at all."""
        return True

    @abstractmethod
    def _text(self, source: str, tree: ast.Module, seen: set[bytes]) -> str:
        """The text of one module; `seen` holds hashes of text that stood in earlier ones."""


class InstalledDocsConfig(_InstalledConfig):
    """Dataset `installed_docs`: docstrings of installed packages, each where it first occurs."""

    kind: Literal["installed_docs"] = "installed_docs"
    summary: ClassVar[str] = "English prose: docstrings of the installed scientific packages, about 30 MB"

    extraction_version: ClassVar[int] = 1

    packages: tuple[str, ...] = Field(default=(*SCIENTIFIC, *LEARNING), min_length=1)

    def _text(self, source: str, tree: ast.Module, seen: set[bytes]) -> str:
        kept = []
        for node in _documented_nodes(tree):
            docstring = (ast.get_docstring(node) or "").strip()
            digest = hashlib.sha256(docstring.encode("utf-8", "replace")).digest()[:16]
            if docstring and digest not in seen:
                seen.add(digest)
                kept.append(docstring)
        return "\n\n".join(kept) + "\n" if kept else ""


class InstalledCodeConfig(_InstalledConfig):
    """Dataset `installed_code`: Python source of installed packages, without docstrings and comments.

    Modules that people did not write as programs are left out: generated ones, benchmarks, and those of which more
    than half are strings and numbers (tables of constants, documentation that is attached by calls).
    """

    kind: Literal["installed_code"] = "installed_code"
    summary: ClassVar[str] = "Python source of the installed scientific packages, about 24 MB"
    extraction_version: ClassVar[int] = 2

    packages: tuple[str, ...] = Field(default=SCIENTIFIC, min_length=1)

    def _text(self, source: str, tree: ast.Module, seen: set[bytes]) -> str:
        if _GENERATED.search(source[:_HEADER_CHARACTERS]):
            return ""
        text = code_alone(source, tree)
        literals = sum(len(match[0]) for match in _LITERAL.finditer(text))
        return text if literals <= _MOST_LITERALS * len(text) else ""

    def _is_wanted(self, name: str) -> bool:
        return "/benchmarks/" not in name


def code_alone(source: str, tree: ast.Module) -> str:
    """`source`, whose syntax tree is `tree`, without docstrings, comments and blank lines.

    A docstring that is all of a body, or shares its line with code, becomes `...`.
    """
    lines = source.encode().split(b"\n")
    for node in _documented_nodes(tree):
        if ast.get_docstring(node, clean=False) is None:
            continue
        statement = node.body[0]
        first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
        before = lines[first][: statement.col_offset]
        after = lines[last][statement.end_col_offset :]
        alone = not before.strip() and not after.strip() and (len(node.body) > 1 or isinstance(node, ast.Module))
        lines[first] = before.rstrip() + after if alone else before + b"..." + after
        for number in range(first + 1, last + 1):
            lines[number] = b""
    uncommented = _STRING_OR_COMMENT.sub(_keep_string, b"\n".join(lines).decode() + "\n")
    return _STRING_OR_BLANK.sub(_keep_string, uncommented).lstrip("\n")


_STRING = r'''(?P<string>"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')'''
_STRING_OR_COMMENT = re.compile(_STRING + r"|[ \t\f]*\#[^\n]*", re.DOTALL)
"""Strings are matched so that a number sign inside one is no comment. Ten times as fast as the module `tokenize`."""
_LITERAL = re.compile(_STRING + r"|\b\d[\w.]*", re.DOTALL)
_MOST_LITERALS = 0.5
"""Share of strings and numbers, by characters, above which a module is data."""
_GENERATED = re.compile(r"^\s*#.*(?:\bgenerated (?:by|from)\b|\bauto-?generated\b|\bdo not edit\b)", re.I | re.M)
_HEADER_CHARACTERS = 1000
_STRING_OR_BLANK = re.compile(_STRING + r"|(?:[ \t\f]*\n)+", re.DOTALL)


def _keep_string(match: re.Match[str]) -> str:
    if match["string"] is not None:
        return match[0]
    return "\n" if match[0].endswith("\n") else ""


def _documented_nodes(
    tree: ast.Module,
) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """All nodes that may carry a docstring, in the order of the source. Expressions hold none and are not walked."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _Documented):
            yield node
        inner = [child for name in _BLOCKS for child in _statements(node, name)]
        pending.extend(reversed(inner))


def _statements(node: ast.AST, field: str) -> list[ast.AST]:
    value = getattr(node, field, None)
    return value if isinstance(value, list) else []


def _parsed(path: Path) -> tuple[str, ast.Module] | None:
    """Source and syntax tree; None for what this Python cannot parse, such as templates and newer syntax."""
    try:
        source = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        with _quiet_parser():
            return source, ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


@contextmanager
def _quiet_parser() -> Iterator[None]:
    """No warnings about invalid escapes in other people's code, and no garbage collection, which takes a fifth."""
    collected = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if collected:
            gc.enable()


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise DataError(
            f"data.dataset.packages: {package!r} is not an installed package; "
            "install it, or name others that are installed"
        )
    return Path(folders[0])


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise DataError(
            f"data.dataset.packages: no distribution is called {package!r}, so its version is unknown; "
            f"name packages whose import name is that of their distribution{_brought(package)}"
        ) from error


def _brought(package: str) -> str:
    """How one of the usual packages comes to be installed, as the end of a sentence."""
    return f", or have it along with what trains: {REMEDY}" if package in (*SCIENTIFIC, *LEARNING) else ""
