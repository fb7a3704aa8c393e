"""The files in `files/`, which each tool wrote (make_files.py), and the command that takes them in."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from archbench.cli.main import cli

FILES = Path(__file__).parent / "files"

Import = Callable[..., str]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files, with the databases unpacked."""
    folder = tmp_path_factory.mktemp("logged") / "files"
    shutil.copytree(FILES, folder)
    for packed in folder.rglob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    return folder


@pytest.fixture
def taken(tmp_path: Path) -> Import:
    """Runs `archbench import` on what it is given, into a store in the test's folder; what it told."""

    def run(*arguments: object, convention: str = "total") -> str:
        words = ["--param-convention", convention, "--track", "causal", "--runs", str(tmp_path / "runs")]
        result = CliRunner().invoke(cli, ["import", *map(str, arguments), *words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run
