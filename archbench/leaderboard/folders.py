"""Where leaderboards stand: the published one, which git tracks in a clone, and one's own, which it ignores.

`archbench run` writes to one's own and reads what is published; `archbench leaderboard add` publishes. Outside of a
clone the published one is that which came with archbench: a wheel holds a copy, an editable installation has the folder
of its repository.
"""

import shlex
from pathlib import Path

PUBLISHED = Path("leaderboard")
OWN = Path("results") / "leaderboard"
_ENTRIES = "entries"
_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (PUBLISHED, _PACKAGE / "_leaderboard", _PACKAGE.parent / PUBLISHED)
"""Here, in a wheel (pyproject.toml puts it there), and in the repository."""


def published_folder() -> Path | None:
    """The published leaderboard: the one of the working folder, else what came with archbench; None without either."""
    return next((folder for folder in _FOLDERS if entries_folder(folder).is_dir()), None)


def published_beside(directory: Path) -> Path | None:
    """The published leaderboard beside the one in `directory`; None where that is not one's own and stands alone."""
    return published_folder() if directory.absolute() == OWN.absolute() else None


def entries_folder(directory: Path) -> Path:
    """Where the leaderboard in `directory` has its entries."""
    return directory / _ENTRIES


def entry_paths(directory: Path) -> list[Path]:
    """The files of entries below `directory`, by name."""
    return sorted(entries_folder(directory).glob("*.json"))


def board_of(entry: Path) -> Path:
    """The folder of the leaderboard that the file of an entry belongs to; the published one of a file on its own."""
    return entry.parent.parent if entry.parent.name == _ENTRIES else PUBLISHED


def command(directory: Path, *words: str) -> str:
    """`archbench leaderboard` with these words on the leaderboard in `directory`, in backticks, to be pasted."""
    return f"`{shlex.join(['archbench', 'leaderboard', *_naming(directory, words), *words])}`"


def _naming(directory: Path, words: tuple[str, ...]) -> list[str]:
    """The option that names `directory`, where the command does not mean it anyway."""
    meant = PUBLISHED if words else OWN
    return [] if directory == meant else ["--leaderboard", str(directory)]
