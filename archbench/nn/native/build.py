"""Builds the native kernels with the C++ compiler of this machine: once per source, compiler and processor.

No torch here: the kernels take plain pointers, so that a build needs two seconds and no headers of torch.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from archbench.errors import DataError
from archbench.user_folders import cache_folder

log = logging.getLogger(__name__)

SOURCES = ("attention.cpp", "convolution.cpp", "elementwise.cpp")
HEADERS = ("vectors.h",)

FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-std=c++17")
"""No -ffast-math: what is not a number must stay none."""

BUILD_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Kernels:
    """The kernels, loaded."""

    shared_object: ctypes.CDLL
    name: str
    """Names source, compiler and processor: equal names mean equal bits."""


@cache
def kernels() -> Kernels | None:
    """The kernels of this machine, built if they are not there yet; None, after one line in the log, if they cannot be.

    `torch`'s own kernels then do the same work more slowly.
    """
    compiler = find_compiler()
    if compiler is None:
        log.info("no C++ compiler (c++, g++ or clang++) here: torch's own kernels are used, which are slower")
        return None
    try:
        path = build(compiler, build_folder())
        return Kernels(ctypes.CDLL(str(path)), path.stem)
    except (OSError, subprocess.SubprocessError) as error:
        detail = " ".join((getattr(error, "stderr", None) or str(error)).split())
        log.warning("%s built no kernels (%s): torch's own are used, which are slower", compiler, detail[:400])
        return None


def find_compiler() -> str | None:
    """The C++ compiler: $CXX, else the first of the usual names."""
    wanted = os.environ.get("CXX")
    names = (wanted,) if wanted else ("c++", "g++", "clang++")
    return next((path for name in names if (path := shutil.which(name))), None)


def build_folder() -> Path:
    """Where built kernels are kept: `native` in $ARCHBENCH_CACHE or in the user's cache folder.

    Raises OSError where there is no such folder.
    """
    try:
        return cache_folder() / "native"
    except DataError as error:
        raise OSError(str(error)) from error


def build(compiler: str, folder: Path) -> Path:
    """The shared library in `folder`; compiled unless it is there. Raises OSError or SubprocessError."""
    here = Path(__file__).parent
    version = _output(compiler, "--version")
    digest = hashlib.sha256("\0".join((version, _processor(), *FLAGS)).encode())
    for name in (*SOURCES, *HEADERS):
        digest.update((here / name).read_bytes())
    path = folder / f"kernels-{digest.hexdigest()[:16]}.so"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    # Under a name of its own first: several workers may build at once.
    handle, building = tempfile.mkstemp(suffix=".so", dir=folder)
    os.close(handle)
    try:
        command = (compiler, *FLAGS, "-shared", "-fPIC", *(str(here / name) for name in SOURCES), "-o", building)
        try:
            _output(*command, "-fopenmp")
        except subprocess.CalledProcessError:
            _output(*command)  # Clang often comes without OpenMP: one thread then
        Path(building).replace(path)
    finally:
        Path(building).unlink(missing_ok=True)
    return path


def _output(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=BUILD_SECONDS)
    return done.stdout


def _processor() -> str:
    """What `-march=native` looks at: a folder of kernels may be shared between machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU part")
    first = {line.partition(":")[0].strip(): line for line in reversed(lines)}
    return "\n".join(first[name] for name in wanted if name in first)
