"""`archbench plugins new`: a package that works at once, or one line that says why not."""

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path
from threading import Event

import pytest
import yaml
from packaging.requirements import Requirement

from archbench.cli.main import main
from archbench.cli.plugins_new import lowest_version, render
from archbench.host import load_host
from archbench.results.runs import RunState
from archbench.testing.small_runs import plan_small_run, small_corpus
from archbench.training.run_attempt import attempt_run

ROOT = Path(__file__).parents[3]


def code_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ending:
        main(list(arguments))
    assert isinstance(ending.value.code, int)
    return ending.value.code


@pytest.mark.parametrize("name", ["my-arch", "my_arch", "x2"])
def test_the_package_is_whole_and_says_what_to_do_next(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert code_of("plugins", "new", name) == 0
    module, kebab = name.replace("-", "_"), name.replace("_", "-")
    folder = tmp_path / kebab
    output = capsys.readouterr().out
    assert f"src/{module}/model.py   <- your idea goes here" in output
    assert f"archbench run {kebab}/specs/{kebab}.yaml" in output
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {
        ".github/workflows/ci.yaml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        f"specs/{kebab}.yaml",
        f"src/{module}/__init__.py",
        f"src/{module}/config.py",
        f"src/{module}/model.py",
        f"src/{module}/plugin.py",
        f"tests/test_{module}.py",
    }
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "{{" not in text
            assert "{%" not in text
            assert text.endswith("\n")
        if path.suffix == ".py":
            ast.parse(path.read_text())
    assert (folder / "src" / module / "model.py").read_text().count("YOUR IDEA") == 1
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == kebab
    assert project["entry-points"]["archbench"] == {module: f"{module}.plugin"}
    (needed,) = map(Requirement, project["dependencies"])
    assert (needed.name, needed.extras) == ("archbench", {"train"})
    assert needed.specifier.contains(version("archbench"))


@pytest.mark.parametrize(
    ("installed", "lowest"),
    [
        ("0.2.0", "0.2.0"),
        ("0.2.1rc1", "0.2.1rc1"),
        ("0.3.0.dev1+g074487c", "0.3.0.dev0"),
        ("0.3.0.dev871+g9b51cae35.d20261130", "0.3.0.dev0"),
    ],
)
def test_a_package_made_with_one_commit_takes_every_commit_on_the_way_to_the_same_release(
    installed: str, lowest: str
) -> None:
    assert lowest_version(installed) == lowest
    assert Requirement(f"archbench>={lowest}").specifier.contains(installed)


def test_its_spec_has_the_protocol_of_the_bundled_specs(tmp_path: Path) -> None:
    render("my_arch", tmp_path / "my-arch")
    mine = yaml.safe_load((tmp_path / "my-arch" / "specs" / "my-arch.yaml").read_text())
    bundled = yaml.safe_load((ROOT / "specs" / "gpt2.yaml").read_text())
    assert mine["contenders"]["my_arch"] == {"architecture": {"kind": "my_arch"}}
    for key in set(bundled) - {"name", "description", "contenders"}:
        assert mine[key] == bundled[key]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("My-Arch", "expected lower-case words"),
        ("my arch", "expected lower-case words"),
        ("-arch", "expected lower-case words"),
        ("my--arch", "expected lower-case words"),
        ("../arch", "expected lower-case words"),
        ("2x", "expected lower-case words"),
        ("größer", "expected lower-case words"),
        ("a" * 51, "expected lower-case words"),
        ("lambda", "a word of Python"),
        ("architecture", "of archbench"),
        ("gpt2", "an architecture of plug-in 'gpt2'"),
        ("transformer-xl", "an architecture of plug-in 'transformer_xl'"),
        ("objectives", "a plug-in that is installed"),
        ("json", "there is a Python module 'json' already"),
        ("there", "exists already; choose another name"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_one_line(
    name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert code_of("plugins", "new", "--", name) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_one_file_leaves_its_costs_to_the_counter_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert code_of("plugins", "new", "my-arch", "--minimal") == 0
    told = capsys.readouterr().out
    assert "archbench plugins check ./my_arch.py --no-train" in told
    text = (tmp_path / "my_arch.py").read_text()
    assert sum(bool(line.strip()) for line in text.splitlines()) <= 30
    assert "num_params" not in text
    assert "flops" not in text.lower()
    registry = load_host(files=[tmp_path / "my_arch.py"]).registry
    corpus = small_corpus(tmp_path / "corpus", registry)
    directory = plan_small_run(tmp_path / "runs", corpus, registry, architecture={"kind": "my_arch"})
    outcome = attempt_run(directory, registry, lambda report: None, Event())
    assert outcome is not None
    assert outcome.state is RunState.DONE, outcome.reason
    assert outcome.curve[-1].validation_loss_nats < outcome.curve[0].validation_loss_nats - 0.1


def test_one_file_is_written_over_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_arch.py").write_text("mine\n")
    assert code_of("plugins", "new", "my-arch", "--minimal") == 2
    assert code_of("plugins", "new", "my-arch", "--minimal", "--into", "nowhere") == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "my_arch.py: exists already; choose another name" in first
    assert "nowhere/my_arch.py: cannot be written: No such file or directory" in second
    assert (tmp_path / "my_arch.py").read_text() == "mine\n"
