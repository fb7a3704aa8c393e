"""A plug-in is checked in a process of its own: what it does there is a finding, with the place to mend."""

import sys
import time
from pathlib import Path

import pytest

from archbench.errors import PluginError
from archbench.testing.plugin_check.findings import Finding, FindingsReader, FindingsWriter, Outcome
from archbench.testing.plugin_check.places import PluginPlaces, place
from archbench.testing.plugin_check.supervisor import check_in_child
from archbench.testing.plugin_check.target import find_target

DATASET = """
from typing import Literal
from archbench.api import DatasetConfig, Document, hookimpl


class Mine(DatasetConfig):
    kind: Literal["mine"] = "mine"
    def documents(self):
        yield Document("1", "text")


@hookimpl
def register_datasets():
    {body}
"""


def findings_about(path: Path, scratch: Path, limit_seconds: float = 60.0) -> list[Finding]:
    target = find_target(str(path), scratch / "announced")
    told: list[Finding] = []
    checked = check_in_child(target, limit_seconds=limit_seconds, scratch=scratch, tell=told.append)
    assert list(checked.findings) == told
    return told


@pytest.mark.parametrize(
    ("source", "problem", "where"),
    [
        ("import os\nos._exit(7)\n", "the process ended by itself with exit code 7", ""),
        ("import os, signal\n\nos.kill(os.getpid(), signal.SIGSEGV)\n", "was killed by SIGSEGV", "mine.py:3"),
        ("def broken(:\n    pass\n", "SyntaxError", "mine.py:1"),
        ("import math\n\nmath.sqrt(-1.0)\n", "ValueError", "mine.py:3"),
        ("def load():\n    import no_such_module\n\nload()\n", "no_such_module", "mine.py:2 load"),
        ("import time\ntime.sleep(600)\n", "got no end within 3 s", "mine.py:2"),
        (DATASET.format(body="raise OSError('no key')"), "register_datasets: OSError: no key", "register_datasets"),
        (DATASET.format(body="return [int]"), "expected subclasses of DatasetConfig", "mine.py:12 register_datasets"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_a_finding_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, problem: str, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(source)
    began = time.monotonic()
    found = findings_about(tmp_path / "mine.py", tmp_path / "scratch", 3.0 if "sleep" in source else 60.0)
    (failed,) = [finding for finding in found if finding.outcome is Outcome.FAILED]
    assert problem in failed.problem
    assert where in failed.where
    assert time.monotonic() - began < 60.0


def test_a_plugin_without_architectures_is_loaded_and_that_is_all(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(DATASET.format(body="return [Mine]"))
    found = findings_about(tmp_path / "mine.py", tmp_path / "scratch")
    assert {finding.outcome for finding in found} == {Outcome.PASSED}
    assert "dataset mine" in [finding.problem for finding in found]


def test_a_folder_is_seen_as_if_it_were_installed(tmp_path: Path) -> None:
    (tmp_path / "src" / "folded").mkdir(parents=True)
    (tmp_path / "src" / "folded" / "__init__.py").write_text("")
    (tmp_path / "src" / "folded" / "plugin.py").write_text(DATASET.format(body="return [Mine]"))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "folded-one"\nversion = "0.3"\n[project.entry-points.archbench]\nfolded = "folded.plugin"\n'
    )
    target = find_target(str(tmp_path), tmp_path / "announced")
    assert target.plugins == ("folded",)
    assert "folded-one 0.3" in target.title
    assert findings_about(tmp_path, tmp_path / "scratch")[-1].problem == "dataset mine"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[project", "cannot be read as a package's description"),
        ("[tool.x]\n", "'project' is missing"),
        ('[project]\nname = "a"\n', "announces no plug-in; add"),
        ('[project]\nname = "a"\n[project.entry-points.archbench]\na = "a.plugin"\n', "names the module 'a', which is"),
    ],
)
def test_a_folder_that_announces_nothing_is_told_in_one_line(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(PluginError) as caught:
        find_target(str(tmp_path), tmp_path / "announced")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_is_an_entry_point_or_a_distribution_and_a_wrong_one_has_a_neighbour(tmp_path: Path) -> None:
    assert find_target("gpt2", tmp_path).plugins == ("gpt2",)
    assert {"gpt2", "reformer", "text"} <= set(find_target("archbench", tmp_path).plugins)
    for named, expected in (("reformr", "did you mean 'reformer'?"), ("./gone.py", "no such plug-in file")):
        with pytest.raises(PluginError, match=expected.replace("?", r"\?")):
            find_target(named, tmp_path)


def test_findings_are_read_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "findings"
    with path.open("w") as stream:
        writer, reader = FindingsWriter(stream), FindingsReader(path)
        writer.begin("first")
        assert (reader.new(), reader.current) == ([], "first")
        one = Finding("first", Outcome.FAILED, "expected 1,\ngot 2", "a.py:3 f")
        writer.end(one)
        stream.write('{"begins": "se')
        stream.flush()
        assert (reader.new(), reader.current) == ([one], None)
        stream.write('cond"}\n')
        stream.flush()
        assert (reader.new(), reader.current, reader.finished) == ([], "second", False)
        writer.loaded({"mine": True})
        writer.finish()
        assert (reader.new(), reader.finished, reader.architectures) == ([], True, {"mine": True})
        reader.close()


def test_the_place_of_an_error_is_the_innermost_line_of_the_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = PluginPlaces([Path(__file__)])
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "gone").stat()
    assert f"{Path(__file__).name}:" in places.of_error(caught.value)
    assert PluginPlaces([tmp_path]).of_error(caught.value) == ""
    assert places.of_member(sys.modules[__name__], "findings_about").endswith(" findings_about")
    assert places.of_member(sys.modules[__name__], "Path") == ""
    assert place(str(tmp_path / "a.py"), None, "f") == "a.py:1 f"
