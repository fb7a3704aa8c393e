"""The specs that come with archbench, by name: `quickstart`, `gpu/gpt2`.

There is one source, the folder `specs/` of the repository. A wheel holds a copy inside the package; an editable
installation and a checkout read the folder itself.
"""

import difflib
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent
_FOLDERS = (_PACKAGE / "_specs", _PACKAGE.parent / "specs")
"""In a wheel (pyproject.toml puts them there), and in the repository."""
_SUFFIX = ".yaml"


@cache
def specs_folder() -> Path | None:
    """Where the bundled specs are; None where neither a wheel nor a checkout brought any."""
    return next((folder for folder in _FOLDERS if (folder / f"quickstart{_SUFFIX}").is_file()), None)


@cache
def bundled_specs() -> dict[str, Path]:
    """Name -> file of every bundled spec: those at the top first, then folder by folder."""
    folder = specs_folder()
    if folder is None:
        return {}
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob(f"*{_SUFFIX}")}
    return dict(sorted(files.items(), key=lambda item: (item[0].count("/"), item[0])))


def meant_spec(word: Path) -> Path:
    """The file that `word` means: itself where it is a file or named as one, else the bundled spec of that name."""
    return word if names_a_file(word) else bundled_specs().get(word.as_posix(), word)


def names_a_file(word: Path) -> bool:
    """Whether `word` is a file, or is named as the file of a spec is."""
    return word.suffix in (_SUFFIX, ".yml") or word.is_file()


def spec_words(path: Path) -> str:
    """`path` as a person may give it: a bundled spec by its name."""
    return next((name for name, file in bundled_specs().items() if file == path), str(path))


def nearest_bundled(word: Path) -> str:
    """`; did you mean 'x', ...` for the bundled spec that is called most like `word`, else how they are listed."""
    name = word.as_posix().removeprefix("./").removeprefix("specs/").removesuffix(".yml").removesuffix(_SUFFIX)
    close = difflib.get_close_matches(name, bundled_specs(), n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}, which is bundled?"
    return "; give the path of a spec, or the name of one that `archbench specs` lists"
