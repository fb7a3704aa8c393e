"""Where in a plug-in's own files something stands: for telling its author what to mend."""

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from archbench.plugin_sources import file_of, module_files


class PluginPlaces:
    """Finds `file:line` inside the files and folders of one plug-in."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self.roots = tuple(roots)

    def of_error(self, error: BaseException) -> str:
        """The innermost place of the error's traceback that is the plug-in's own; empty where it never gets there."""
        if isinstance(error, SyntaxError) and error.filename and self.has(error.filename):
            return place(error.filename, error.lineno, "")
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if self.has(frame.filename):
                return place(frame.filename, frame.lineno, frame.name)
        return ""

    def of_member(self, owner: object, name: str) -> str:
        """Where the plug-in defines `owner.name`, or `owner` where it inherits it; empty where neither is its own."""
        for candidate in (getattr(owner, name, None), owner):
            where = _definition(candidate) if callable(candidate) else None
            if where is not None and self.has(where[0]):
                return place(*where, getattr(candidate, "__qualname__", name))
        return ""

    def of_dump(self, dump: str) -> str:
        """The innermost own place in what faulthandler wrote when a process died or was asked where it is."""
        for file, line, name in re.findall(r'File "(.+)", line (\d+) in (.+)', dump):
            if self.has(file):
                return place(file, int(line), name)
        return ""

    def has(self, file: str) -> bool:
        """Whether `file` belongs to the plug-in."""
        path = Path(file).resolve()
        return any(path == root or root in path.parents for root in self.roots)


def roots_of(module_name: str) -> set[Path]:
    """The files or the folder that the source of an imported module is in."""
    if (path := file_of(module_name)) is not None:
        return set(module_files(path))
    file = getattr(sys.modules.get(module_name.partition(".")[0]), "__file__", None)
    if file is None:
        return set()
    home = Path(file).resolve()
    return {home.parent if home.name == "__init__.py" else home}


def place(file: str, line: int | None, name: str) -> str:
    """`src/my_arch/config.py:41 num_params`, the file relative to the current folder where that is shorter."""
    near = os.path.relpath(file)
    return f"{near if len(near) < len(file) else file}:{line or 1} {name}".rstrip()


def _definition(member: Callable[..., Any]) -> tuple[str, int] | None:
    try:
        return inspect.getsourcefile(member) or "", inspect.getsourcelines(member)[1]
    except (OSError, TypeError):
        return None
