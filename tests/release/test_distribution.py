"""What is published: built from the last commit, to the same bytes wherever and whenever, and installed by pip.

`make release-check` runs these; they need git, and an index for what archbench depends on.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

pytestmark = [
    pytest.mark.release,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("git") is None or not (Path(__file__).parents[2] / ".git").exists(), reason="git"),
]

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FALLBACK = Version(PROJECT["tool"]["hatch"]["version"]["fallback-version"])


def output_of(*command: str | Path, cwd: Path = ROOT, umask: int = -1, **variables: str) -> str:
    """What `command` prints, without the last line's end."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, umask=umask, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def clone(folder: Path, *options: str) -> Path:
    """The last commit, checked out in `folder`."""
    output_of("git", "clone", "--quiet", *options, ROOT.as_uri(), folder)
    output_of("git", "checkout", "--quiet", "--detach", output_of("git", "rev-parse", "HEAD"), cwd=folder)
    return folder


def build(source: Path, into: Path, *what: str, umask: int = -1) -> dict[str, bytes]:
    """File name -> content of what is built from `source`, by the build tools that are pinned."""
    command = (sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", into)
    output_of(*command, cwd=source, umask=umask, SOURCE_DATE_EPOCH=output_of("git", "log", "-1", "--format=%ct"))
    return {path.name: path.read_bytes() for path in sorted(into.iterdir())}


def version_of(files: dict[str, bytes]) -> Version:
    """The version in their names, which must be one."""
    wheels = {parse_wheel_filename(name)[1] for name in files if name.endswith(".whl")}
    (version,) = wheels | {parse_sdist_filename(name)[1] for name in files if name.endswith(".tar.gz")}
    return version


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """Source distribution and wheel, the wheel built from the source distribution."""
    folder = tmp_path_factory.mktemp("published")
    return folder / "dist", build(clone(folder / "archbench"), folder / "dist")


def test_all_that_is_published_is_committed() -> None:
    assert output_of("git", "status", "--porcelain") == ""


def test_another_build_elsewhere_gives_equal_bytes(published: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    elsewhere = clone(tmp_path / "of" / "another name")
    for number, path in enumerate(sorted(path for path in elsewhere.rglob("*.py"))):
        os.utime(path, (400_000_000 + number, 400_000_000 + number))
    assert build(elsewhere, tmp_path / "dist", umask=0o077) == published[1]


def test_a_wheel_of_the_checkout_is_that_of_the_source_distribution(
    published: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    (wheel,) = build(clone(tmp_path / "checkout"), tmp_path / "dist", "--wheel").items()
    assert published[1][wheel[0]] == wheel[1]


def test_a_tagged_commit_is_the_release_of_its_tag_and_has_its_section(
    published: tuple[Path, dict[str, bytes]],
) -> None:
    tags = [tag for tag in output_of("git", "tag", "--points-at", "HEAD", "v[0-9]*").splitlines() if tag]
    if not tags:
        pytest.skip("the commit has no tag of a release")
    version = version_of(published[1])
    assert version in {Version(tag) for tag in tags}
    if not version.is_prerelease:
        assert f"\n## {version} - " in (ROOT / "CHANGELOG.md").read_text()


def test_a_commit_behind_a_release_is_on_the_way_to_the_next_one(tmp_path: Path) -> None:
    source = clone(tmp_path / "archbench", "--no-tags")
    identity = ("-c", "user.name=release-check", "-c", "user.email=release-check@localhost")
    output_of("git", "tag", "v7.1.0", cwd=source)
    assert version_of(build(source, tmp_path / "tagged", "--sdist")) == Version("7.1.0")
    output_of("git", "tag", "study-8", cwd=source)
    assert version_of(build(source, tmp_path / "other tag", "--sdist")) == Version("7.1.0")
    output_of("git", *identity, "commit", "--quiet", "--allow-empty", "-m", "one more", cwd=source)
    assert version_of(build(source, tmp_path / "behind", "--sdist")).public == "7.2.0.dev1"
    output_of("git", "checkout", "--quiet", "-b", "7.1", cwd=source)
    assert version_of(build(source, tmp_path / "branch", "--sdist")).public == "7.1.1.dev1"


def test_a_shallow_clone_without_tags_and_a_folder_without_git_are_built(tmp_path: Path) -> None:
    source = clone(tmp_path / "archbench", "--no-tags", "--depth", "1")
    version = version_of(build(source, tmp_path / "shallow", "--sdist"))
    assert version.public == f"{FALLBACK.base_version}.dev1"
    shutil.rmtree(source / ".git")
    assert version_of(build(source, tmp_path / "no git", "--sdist")) == FALLBACK


@pytest.mark.parametrize("suffix", [".whl", ".tar.gz"])
def test_what_pip_installs_says_its_version_and_has_every_plugin(
    published: tuple[Path, dict[str, bytes]], tmp_path: Path, suffix: str
) -> None:
    folder, files = published
    (file,) = [folder / name for name in files if name.endswith(suffix)]
    output_of(sys.executable, "-m", "venv", tmp_path / "venv")
    python, archbench = tmp_path / "venv" / "bin" / "python", tmp_path / "venv" / "bin" / "archbench"
    output_of(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", file, cwd=tmp_path)
    output_of(python, "-m", "pip", "check", cwd=tmp_path)
    assert Version(output_of(archbench, "--version", cwd=tmp_path)) == version_of(files)
    listed = output_of(archbench, "plugins", "list", cwd=tmp_path)
    for plugin in PROJECT["project"]["entry-points"]["archbench"]:
        assert f"\n{plugin}  (archbench {version_of(files)})\n" in f"\n{listed}", listed
    assert "quickstart" in output_of(archbench, "specs", cwd=tmp_path)
