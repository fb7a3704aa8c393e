"""`archbench plugins new`: a package of one's own, with an architecture that works at once."""

import importlib.metadata
import importlib.util
import keyword
import re
from pathlib import Path
from string import Template

import click

from archbench.cli.common import PATH
from archbench.cli.terminal import echo
from archbench.errors import SpecError
from archbench.extras import require
from archbench.host import default_host

TEMPLATE = Path(__file__).parent / "plugin_template"
ONE_FILE = TEMPLATE / "one_file.py.txt"

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_MAX_LETTERS = 50
_USED_BY_THE_TEMPLATE = ("architecture",)
"""Names whose classes would be called like those that the template imports."""


@click.command("new")
@click.argument("name")
@click.option(
    "--into", "parent", type=PATH, default=Path(), metavar="FOLDER", help="Where the package's folder goes; here."
)
@click.option(
    "--minimal", is_flag=True, help="One file, which writes a network and leaves parameters and FLOPs to the counter."
)
def new_plugin(name: str, parent: Path, minimal: bool) -> None:
    """Start a package NAME whose architecture works at once.

    NAME is lower-case words joined by - or _, such as my-arch. The package holds a small decoder with one marked place
    to replace, its conformance tests, a spec against GPT-2 and a CI file. With --minimal it is one module.
    """
    module = _checked_module(name)
    if minimal:
        _write_one_file(module, parent / f"{module}.py")
        return
    folder = parent / module.replace("_", "-")
    if folder.exists() or folder.is_symlink():
        raise SpecError(f"{folder}: exists already; choose another name, or --into another folder")
    written = render(module, folder)
    echo(f"{folder}: {len(written)} files")
    marked = f"src/{module}/model.py"
    for path in written:
        echo(f"  {path}{'   <- your idea goes here, at the marked place' if path == marked else ''}")
    echo("next:")
    echo(f"  archbench plugins check {folder} --no-train")
    echo(f"  pip install -e {folder}")
    echo(f"  archbench run {folder / 'specs' / f'{folder.name}.yaml'}")


def _write_one_file(module: str, file: Path) -> None:
    """Raises SpecError where there is such a file, or none can be written."""
    words = module.split("_")
    text = Template(ONE_FILE.read_text()).substitute(
        name="-".join(words), module=module, class_name="".join(word.capitalize() for word in words)
    )
    try:
        with file.open("x") as new:
            new.write(text)
    except FileExistsError:
        raise SpecError(f"{file}: exists already; choose another name, or --into another folder") from None
    except OSError as error:
        raise SpecError(f"{file}: cannot be written: {error.strerror or error}; choose another --into") from error
    echo(f"{file}   <- your idea goes here, at the marked place")
    echo("next:")
    echo(f"  archbench plugins check {file if file.is_absolute() else f'./{file}'} --no-train")
    echo(f"  archbench run quickstart --plugin {file} -o contenders.{module}.architecture.kind={module}")


def render(module: str, folder: Path) -> list[str]:
    """Writes the package `module` into `folder`; the files, relative to it. Raises SpecError where that fails."""
    require("`archbench plugins new` renders a template by copier", "copier")
    # Imported here: no other command needs it, and it takes longer than they do.
    import copier

    data = {
        "name": module.replace("_", "-"),
        "module": module,
        "archbench_version": lowest_version(importlib.metadata.version("archbench")),
    }
    try:
        copier.run_copy(str(TEMPLATE), folder, data=data, defaults=True, quiet=True)
    except OSError as error:
        raise SpecError(f"{folder}: cannot be written: {error.strerror or error}; choose another --into") from error
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def lowest_version(version: str) -> str:
    """What a package that was made with archbench `version` asks for at least.

    Commits on the way to one release are counted anew in a shallow clone, and no index holds them, so that they count
    as one: `0.2.0.dev871+g9b51cae` asks for `0.2.0.dev0`.
    """
    return re.sub(r"\.dev\d+.*", ".dev0", version)


def _checked_module(name: str) -> str:
    """The import name of the package `name`. Raises SpecError for a name that cannot be one, or that is taken."""
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or len(name) > _MAX_LETTERS:
        raise SpecError(
            f"NAME: got {name!r}, expected lower-case words of letters and digits, joined by - or _, such as my-arch"
        )
    if keyword.iskeyword(module) or module in _USED_BY_THE_TEMPLATE:
        raise SpecError(f"NAME: got {name!r}, which is a word of Python or of archbench; choose another, my-{name} say")
    host = default_host()
    registered = host.registry.architectures.entries.get(module)
    if registered is not None or host.info(module) is not None:
        by = f"an architecture of plug-in {registered.plugin!r}" if registered else "a plug-in that is installed"
        raise SpecError(f"NAME: got {name!r}, which is {by} (`archbench plugins show {module}`); choose another")
    if importlib.util.find_spec(module) is not None:
        raise SpecError(f"NAME: got {name!r}, but there is a Python module {module!r} already; choose another")
    return module
