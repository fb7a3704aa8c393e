"""Archives of exact versions through the pip of this Python: its index, mirrors, proxies and folders of archives."""

import os
import re
import subprocess
import sys
from pathlib import Path

from archbench.builtins.text.standard import stand_in_backend
from archbench.builtins.text.standard.archives import Archive
from archbench.errors import DataError

_BACKENDS = (
    "setuptools.build_meta",
    "setuptools.build_meta:__legacy__",
    "flit_core.buildapi",
    "hatchling.build",
    "maturin",
    "mesonpy",
    "pbr.build",
)
"""What the archives name as their build backend; `setuptools` stands for those that name none."""

_ERROR = re.compile(r"^\s*ERROR: (.*)$", re.MULTILINE)
_OTHER_HASH = re.compile(r"^\s*Got\s+([0-9a-f]{64})\s*$", re.MULTILINE)
_MOST_CHARACTERS = 200


def download(archive: Archive, working: Path) -> Path:
    """The archive, whose hash pip has checked, inside the folder `working`, where all that pip writes goes.

    Raises DataError with pip's reason and what to do.
    """
    backends, requirement, destination, temporary = (
        working / name for name in ("backends", "requirement.txt", "archives", "temporary")
    )
    for folder in (destination, temporary):
        folder.mkdir()
    _write_backends(backends)
    requirement.write_text(f"{archive.name}=={archive.version} --hash=sha256:{archive.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--require-hashes", "--requirement", str(requirement)]
    command += ["--dest", str(destination), "--no-deps", "--no-binary", ":all:", "--ignore-requires-python"]
    command += ["--no-build-isolation", "--use-pep517", "--no-cache-dir", "--no-input", "--progress-bar", "off"]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=_environment(backends, temporary)
    )
    found = list(destination.iterdir())
    if done.returncode == 0 and len(found) == 1:
        return found[0]
    raise DataError(_reason(archive, done.stdout + done.stderr))


def _write_backends(folder: Path) -> None:
    content = Path(stand_in_backend.__file__).read_text(encoding="utf-8")
    for backend in _BACKENDS:
        *packages, module = backend.partition(":")[0].split(".")
        package = folder.joinpath(*packages)
        package.mkdir(parents=True, exist_ok=True)
        if packages:
            (package / "__init__.py").touch()
        (package / f"{module}.py").write_text(content, encoding="utf-8")
    # Archives that name no backend have `setuptools.build_meta:__legacy__`, an object inside the module.
    with (folder / "setuptools" / "build_meta.py").open("a", encoding="utf-8") as stream:
        stream.write("\n\nimport sys as _sys\n\n__legacy__ = _sys.modules[__name__]\n")


def _environment(backends: Path, temporary: Path) -> dict[str, str]:
    """The user's environment, and so pip's settings, less what would make pip want or refuse other archives."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PIP_REQUIREMENT", "PIP_NO_DEPS")}
    paths = [str(backends.resolve()), *filter(None, [environment.get("PYTHONPATH")])]
    return {
        "PIP_RETRIES": "2",
        **environment,
        "PIP_CONSTRAINT": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PYTHONPATH": os.pathsep.join(paths),
        # Older versions of Python have a distutils, in whose place setuptools puts its own as Python starts.
        "SETUPTOOLS_USE_DISTUTILS": "stdlib",
        "TMPDIR": str(temporary.resolve()),
    }


def _reason(archive: Archive, output: str) -> str:
    """What pip's `output` says of its failure, in one line without its remedy."""
    what = f"{archive.name} {archive.version}"
    if "No module named pip" in output:
        return f"{what} cannot be downloaded: {sys.executable} has no pip; run `{sys.executable} -m ensurepip`"
    if "DO NOT MATCH THE HASHES" in output:
        other = _OTHER_HASH.search(output)
        got = f"SHA-256 {other[1][:16]}" if other else "another one"
        return (
            f"{what}: the archive that pip found is damaged or not the published one: got {got}, expected "
            f"{archive.sha256[:16]}"
        )
    errors = _ERROR.findall(output) or output.strip().splitlines()[-1:] or ["it said nothing"]
    return f"{what} cannot be downloaded: pip: {' '.join(errors[-1].split())[:_MOST_CHARACTERS]}"
