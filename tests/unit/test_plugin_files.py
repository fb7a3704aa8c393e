"""Plug-ins given by path: modules beside them, packages, names that clash, and a version that is their source."""

import importlib.metadata
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from archbench.errors import PluginError
from archbench.host import Host, blamed, load_host
from archbench.plugin_sources import file_version, import_file, module_files, source_sha256
from archbench.spec.versions import component_identity

DATASET = """
from typing import Literal
from archbench.api import DatasetConfig, Document, hookimpl
{imports}

class Mine(DatasetConfig):
    kind: Literal["{kind}"] = "{kind}"
    def documents(self):
        {body}

@hookimpl
def register_datasets():
    return [Mine]
"""


@pytest.fixture(autouse=True)
def forgotten_afterwards(tmp_path: Path) -> Iterator[None]:
    before, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def write(path: Path, kind: str, imports: str = "", body: str = 'yield Document("1", "text")') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DATASET.format(kind=kind, imports=imports, body=body))
    return path


def failures(host: Host) -> list[str]:
    return [failure for info in host.plugins for failure in info.failures]


def test_two_files_of_one_name_stay_apart_and_their_configs_survive_pickling(tmp_path: Path) -> None:
    files = [write(tmp_path / folder / "mine.py", folder) for folder in ("here", "there")]
    host = load_host([], files=files)
    assert failures(host) == []
    for folder in ("here", "there"):
        config = host.registry.datasets[folder].config()
        assert type(pickle.loads(pickle.dumps(config))) is type(config)


def test_a_file_may_import_modules_beside_it_wherever_the_import_stands(tmp_path: Path) -> None:
    (tmp_path / "beside_words.py").write_text("from beside_package.deep import WORD\n")
    (tmp_path / "beside_package").mkdir()
    (tmp_path / "beside_package" / "__init__.py").write_text("")
    (tmp_path / "beside_package" / "deep.py").write_text("from .deeper import WORD\n")
    (tmp_path / "beside_package" / "deeper.py").write_text("WORD = 'found'\n")
    (tmp_path / "unrelated.py").write_text("")
    path = write(
        tmp_path / "mine.py",
        "mine",
        body='from beside_words import WORD; yield Document("1", WORD)',
        imports="import os",
    )
    assert [file.relative_to(tmp_path).as_posix() for file in module_files(path)] == [
        "beside_package/__init__.py",
        "beside_package/deep.py",
        "beside_package/deeper.py",
        "beside_words.py",
        "mine.py",
    ]
    (document,) = load_host([], files=[path]).registry.datasets["mine"].config().documents()
    assert document.text == "found"


def test_a_module_beside_it_whose_name_is_taken_is_refused(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        write(tmp_path / folder / f"{folder}.py", folder, imports="import clashing_words")
        (tmp_path / folder / "clashing_words.py").write_text("")
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "pydantic.py").write_text("")
    third = write(tmp_path / "third" / "third.py", "third", imports="from pydantic import Field")
    host = load_host([], files=[tmp_path / "first" / "first.py", tmp_path / "second" / "second.py", third])
    assert set(host.registry.datasets.entries) == {"first"}
    assert len(failures(host)) == 2
    assert "'clashing_words' beside second.py cannot be imported" in failures(host)[0]
    assert "first/clashing_words.py has that name; rename it" in failures(host)[0]
    assert "'pydantic' beside third.py" in failures(host)[1]


def test_its_version_is_its_source_and_that_of_the_modules_it_imports(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "mine", imports="import beside_numbers")
    beside = tmp_path / "beside_numbers.py"
    beside.write_text("SCALE = 1\n")
    versions = [file_version(path)]
    (tmp_path / "other.py").write_text("")
    assert file_version(path) == versions[0]
    assert file_version(path.rename(tmp_path / "renamed.py")) == versions[0]
    path = (tmp_path / "renamed.py").rename(path)
    beside.write_text("SCALE = 2\n")
    versions.append(file_version(path))
    path.write_text(path.read_text() + "# a comment\n")
    versions.append(file_version(path))
    assert len(set(versions)) == 3
    assert all(version.startswith("sha256:") and len(version) == 23 for version in versions)


def test_a_link_and_a_relative_path_are_the_same_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "real" / "mine.py", "mine", imports="import beside_the_real_one")
    (tmp_path / "real" / "beside_the_real_one.py").write_text("")
    (tmp_path / "link.py").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    hosts = [load_host([], files=[file]) for file in (Path("link.py"), Path("real/../real/mine.py"), path)]
    assert [failures(host) for host in hosts] == [[], [], []]
    assert len({host.registry.datasets["mine"].version for host in hosts}) == 1


def test_a_file_that_is_gone_is_told_where_it_is_missed(tmp_path: Path) -> None:
    host = load_host([], files=[tmp_path / "gone.py"])
    with pytest.raises(
        PluginError, match=r"'mine' is not registered; plug-in '.*gone.py' failed: import: FileNotFound"
    ):
        host.registry.datasets["mine"]


def test_a_file_that_fails_leaves_no_module_behind(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("raise ValueError('out of order')")
    before = set(sys.modules)
    with pytest.raises(ValueError, match="out of order"):
        import_file(path)
    assert set(sys.modules) == before


def test_a_file_is_known_to_run_ids_by_the_hash_of_its_source(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "mine")
    identity = component_identity(load_host([], files=[path]).registry.datasets["mine"])
    assert identity.model_dump() == {"numerics": 1, "distribution": "file", "version": file_version(path)}


def test_the_origin_of_a_file_names_no_folder_and_that_of_a_package_hashes_all_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "mine")
    origin = load_host([], files=[path]).registry.datasets["mine"].origin()
    assert origin["plugin"] == "mine.py"
    assert origin["version"] == f"sha256:{str(origin['source_sha256'])[:16]}"
    assert source_sha256("archbench_gpt2.config") == source_sha256("archbench_gpt2.plugin")
    assert source_sha256("archbench_gpt2.config") != source_sha256("archbench.api")
    assert source_sha256("no_such_module") is None


def write_package(folder: Path, top: str, *kinds: str) -> Path:
    """A package that nobody has installed, with a plug-in for each kind, whose modules import each other relatively."""
    for kind in kinds:
        write(
            folder / "src" / top / f"{kind}.py",
            kind,
            imports="from .words import WORD",
            body='yield Document("1", WORD)',
        )
    (folder / "src" / top / "__init__.py").write_text("")
    (folder / "src" / top / "words.py").write_text(f"WORD = 'of {top}'\n")
    points = "".join(f'{kind} = "{top}.{kind}"\n' for kind in kinds)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{top}-dist"\nversion = "1"\n[project.entry-points.archbench]\n{points}'
    )
    return folder


def test_a_package_is_loaded_from_its_folder_with_all_plugins_that_it_announces(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "package", "folder_words", "first", "second")
    host = load_host([], files=[folder])
    assert failures(host) == []
    assert [info.name for info in host.plugins] == [f"{folder}/first", f"{folder}/second"]
    entry = host.registry.datasets["second"]
    (document,) = entry.config().documents()
    assert document.text == "of folder_words"
    assert type(pickle.loads(pickle.dumps(entry.config()))) is entry.config
    origin = entry.origin()
    assert (origin["plugin"], origin["distribution"]) == ("second", "file")
    assert entry.version == f"sha256:{str(origin['source_sha256'])[:16]}"


def test_a_changed_module_of_a_package_is_another_version_of_it(tmp_path: Path) -> None:
    versions = []
    for number in range(2):
        folder = write_package(tmp_path / str(number), f"folder_version_{number}", "mine")
        (folder / "src" / f"folder_version_{number}" / "words.py").write_text(f"WORD = '{number}'\n")
        versions.append(load_host([], files=[folder]).registry.datasets["mine"].version)
    assert len(set(versions)) == 2


def test_an_installed_distribution_of_the_folders_name_gives_way_to_it(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "package", "folder_installed", "mine")
    info = tmp_path / "site" / "folder_installed_dist-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: folder_installed-dist\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[archbench]\nmine = no_such_module.plugin\n")
    points = importlib.metadata.PathDistribution(info).entry_points
    assert len(load_host(points).plugins) == 1
    host = load_host(points, files=[folder])
    assert failures(host) == []
    assert [info.target for info in host.plugins] == [str(folder)]


def test_a_package_whose_name_is_taken_and_one_that_announces_nothing_are_told(tmp_path: Path) -> None:
    first, second = (write_package(tmp_path / name, "folder_clash", name) for name in ("first", "second"))
    silent = tmp_path / "silent"
    silent.mkdir()
    (silent / "pyproject.toml").write_text('[project]\nname = "silent"\n')
    host = load_host([], files=[first, second, silent])
    assert set(host.registry.datasets.entries) == {"first"}
    taken, nothing = failures(host)
    assert f"'folder_clash' in {second} cannot be imported: {first}" in taken
    assert "announces no plug-in" in nothing


def test_a_folder_is_blamed_for_what_its_code_raises(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "package", "folder_blamed", "mine")
    write(folder / "src" / "folder_blamed" / "mine.py", "mine", body="raise ValueError('out of order')\n        yield")
    config = load_host([], files=[folder]).registry.datasets["mine"].config()
    with pytest.raises(ValueError, match="out of order") as caught:
        list(config.documents())
    assert blamed(caught.value) == str(folder)
