"""Which files of a folder, or of a pattern, are texts: the others are noted with the reason why they are not read."""

import glob
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from archbench.builtins.text.compressed import COMPRESSIONS, one_line
from archbench.contracts.data import ReadingLog
from archbench.errors import DataError

TEXT_SUFFIXES = (".txt", ".md", ".rst", ".text")
JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIX = ".parquet"

HIDDEN = "hidden: the name begins with a dot"
ABOUT = "about the folder, no text of it; name the file in paths to read it"
UNKNOWN = "no format that text_files reads"
TWICE = "compressed twice; decompress once"
LINKED = "links to folders are not followed; name them in paths"

_ABOUT_NAMES = re.compile(
    r"(readme|licen[sc]e|(?-i:COPYING|NOTICE|CHANGELOG|AUTHORS|CONTRIBUTING|CODE_OF_CONDUCT|CITATION|SECURITY))"
    r"([-_. ].*)?",
    re.IGNORECASE,
)
_ABOUT_FILES = {"dataset_info.json", "dataset_infos.json"}
_GLOB_CHARACTERS = re.compile(r"[*?\[]")
_KERNEL_FOLDERS = (Path("/proc"), Path("/sys"))


def format_of(path: Path) -> str | None:
    """`text`, `jsonl` or `parquet` by the name of a file, compressed or not; None for what is not read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    if not suffixes:
        return None
    if suffixes[-1] in TEXT_SUFFIXES:
        return "text"
    if suffixes[-1] in JSONL_SUFFIXES:
        return "jsonl"
    return "parquet" if suffixes[-1] == PARQUET_SUFFIX else None


def ending(path: Path) -> str:
    """The last suffix of a file's name with a compression behind it: `.jsonl.gz`; `files without ending`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if not suffixes:
        return "files without ending"
    return "".join(suffixes[-2:] if suffixes[-1] in COMPRESSIONS else suffixes[-1:])


def files_of_folder(root: Path, log: ReadingLog) -> list[Path]:
    """The texts below `root`, in the order of their paths. Raises DataError where it cannot be searched in full."""
    return sorted(path for path in _walked(root, log) if _is_text(path, log))


def files_of_pattern(root: Path, rest: str, pattern: str, log: ReadingLog) -> list[Path]:
    """The files below `root` that the glob `rest` of `pattern` matches, in the order of their paths.

    What is hidden, or about the folder, is read only where the pattern says its name; files of other formats are left
    out where the pattern says no ending. Raises DataError for what is no pattern.
    """
    parts = Path(rest).parts
    last = parts[-1]
    says_hidden = any(part.startswith(".") for part in parts)
    says_name = _GLOB_CHARACTERS.split(last)[0] != ""
    says_ending = "." in last
    # On Python before 3.13 a final ** means folders alone.
    found = _matching(root, f"{rest}/*" if last == "**" else rest, pattern)
    chosen = []
    for path in found:
        if path.is_dir():
            continue
        reason = None if says_hidden else _hidden_below(root, path)
        if reason is None and not says_name and _is_about(path):
            reason = ABOUT
        if reason is None and not says_ending and format_of(path) is None:
            reason = _unknown(path)
        if _is_wanted(path, reason, log):
            chosen.append(path)
    return chosen


def split_pattern(pattern: str, located: Callable[[str], Path]) -> tuple[str, str]:
    """The part of a glob pattern before the first part that is no folder's name as it stands, and the rest."""
    parts = Path(pattern).parts
    literal = 0
    while not glob.has_magic(parts[literal]) or located(str(Path(*parts[: literal + 1]))).is_dir():
        literal += 1
    return str(Path(*parts[:literal])), str(Path(*parts[literal:]))


def refuse_kernel_folder(pattern: str, path: Path) -> None:
    """Raises DataError for the folders in which the kernel shows itself: they hold no text, and change as one looks."""
    resolved = Path(os.path.realpath(path))
    if any(resolved.is_relative_to(folder) for folder in _KERNEL_FOLDERS):
        raise DataError(f"{pattern}: the files there are made by the kernel, not stored; give a folder of texts")


def kind_of_special_file(path: Path) -> str:
    """What `path` is in words, for something that is there but is neither a file nor a folder."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return "a link that leads nowhere"
    for test, words in ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket")):
        if test(mode):
            return words
    return "a device"


def _walked(root: Path, log: ReadingLog) -> Iterator[Path]:
    """Everything below `root` but folders; hidden ones and linked ones are not entered."""

    def refuse(error: OSError) -> None:
        raise DataError(
            f"{error.filename}: cannot be searched: {one_line(error)}; make it readable, or name what is to be read"
        ) from error

    for folder, folders, names in os.walk(root, onerror=refuse):
        entered = []
        for name in sorted(folders):
            path = Path(folder, name)
            if name.startswith("."):
                log.leave_out("folders", HIDDEN, str(path))
            elif path.is_symlink():
                log.leave_out("folders", LINKED, str(path))
            else:
                entered.append(name)
        folders[:] = entered
        yield from (Path(folder, name) for name in sorted(names))


def _is_text(path: Path, log: ReadingLog) -> bool:
    """Whether the file `path`, found in a folder and not named, is to be read."""
    reason = _hidden(path)
    if reason is None:
        reason = _unknown(path) if format_of(path) is None else ABOUT if _is_about(path) else None
    return _is_wanted(path, reason, log)


def _hidden(path: Path) -> str | None:
    return HIDDEN if path.name.startswith(".") else None


def _hidden_below(root: Path, path: Path) -> str | None:
    return HIDDEN if any(part.startswith(".") for part in path.relative_to(root).parts) else None


def _unknown(path: Path) -> str:
    """Why a file of no known format is not read."""
    last_two = [suffix.lower() for suffix in path.suffixes[-2:]]
    return TWICE if len(last_two) == 2 and set(last_two) <= set(COMPRESSIONS) else UNKNOWN


def _is_about(path: Path) -> bool:
    by_name = format_of(path) == "text" and _ABOUT_NAMES.fullmatch(path.name) is not None
    return by_name or path.name in _ABOUT_FILES


def _is_wanted(path: Path, reason_against: str | None, log: ReadingLog) -> bool:
    """Whether nothing speaks against `path` and it is a file; what speaks against it is noted."""
    if reason_against is not None:
        log.leave_out(ending(path), reason_against, str(path))
        return False
    try:
        if path.is_file():
            return True
        log.leave_out(ending(path), kind_of_special_file(path), str(path))
    except OSError as error:
        log.leave_out(ending(path), f"cannot be looked at: {error.strerror}", str(path))
    return False


def _matching(root: Path, rest: str, pattern: str) -> list[Path]:
    try:
        return sorted(root.glob(rest))
    except (ValueError, NotImplementedError, RecursionError, re.error) as error:
        raise DataError(f"{pattern}: is not a glob pattern: {one_line(error)}") from error
