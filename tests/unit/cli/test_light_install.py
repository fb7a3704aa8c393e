"""A plain `pip install archbench` analyses, and says in one line what training takes.

The commands run in an interpreter that finds the wheel, what it declares and what that needs in turn, and nothing else.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from archbench.extras import REMEDY, TRAINING_LIBRARIES, missing_training_library
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HEAVY = {"torch", "transformers", "deepspeed", "datasets", "copier", "pytest", "reformer-pytorch", "x-transformers"}
MOST_DEPENDENCIES = 12

# Commands are called in one process, in which a library that was imported would be seen.
CALLS = """
import contextlib, io, json, sys
from archbench.cli.main import exit_code_of
answers = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = exit_code_of(arguments, debug=False)
    answers.append([code, out.getvalue(), err.getvalue()])
print(json.dumps([answers, sorted(sys.modules)]))
"""
SLOW = {"scipy.stats", "scipy.interpolate", "scipy.optimize"}
"""Half a second each, of which the commands below need nothing."""


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def installed_along(requirements: list[str]) -> dict[str, importlib.metadata.Distribution]:
    """Name -> every distribution that comes with `requirements`."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(requirements)
    while waiting:
        requirement = Requirement(waiting.pop())
        name = name_of(str(requirement))
        if name in found:
            continue
        found[name] = importlib.metadata.distribution(requirement.name)
        for extra in requirement.extras or {""}:
            waiting += [
                one
                for one in found[name].requires or ()
                if (marker := Requirement(one).marker) is None or marker.evaluate({"extra": extra})
            ]
    return found


def top_level(distribution: importlib.metadata.Distribution) -> Iterator[Path]:
    """What it has in site-packages."""
    names = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    yield from (path for path in (Path(str(distribution.locate_file(name))) for name in names) if path.exists())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site-packages of a plain installation: the wheel unpacked, and links to what comes with it."""
    folder, built = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = built.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    for distribution in installed_along(PROJECT["dependencies"]).values():
        for place in top_level(distribution):
            (folder / place.name).symlink_to(place)
    return folder


class Answers:
    """What commands said in a plain installation: exit code, output, errors."""

    def __init__(self, site: Path, folder: Path, calls: list[str]) -> None:
        command = [sys.executable, "-S", "-c", CALLS, json.dumps([call.split() for call in calls])]
        environment = {"PYTHONPATH": str(site), "HOME": str(folder), "ARCHBENCH_CACHE": str(folder / "cache")}
        self.site, self.folder = site, folder
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said, self.modules = json.loads(done.stdout.splitlines()[-1])
        self.by_call: dict[str, tuple[int, str, str]] = dict(zip(calls, map(tuple, said), strict=True))


QUICKSTART = ROOT / "specs" / "quickstart.yaml"
REFUSED = {
    "run quickstart": "`archbench run` trains models, and torch, ",
    "runs rerun --failed": "`archbench runs rerun` trains models, and torch, ",
    "export 0123": "`archbench export` writes models, and torch, ",
    "plugins check gpt2": "`archbench plugins check` trains models, and torch, ",
    "plugins new my-arch": "`archbench plugins new` renders a template by copier, and copier is not installed: ",
    "data bpe.yaml": "bpe.yaml:14: data: tokenizer 'bpe' takes a library, and tokenizers is not installed: ",
    "data zstd.yaml": "zstd.yaml:14: data: is read by zstandard, which is not installed: ",
    "plan bpe.yaml": "bpe.yaml:14: data: tokenizer 'bpe' takes a library, and tokenizers is not installed: ",
}
ANSWERED = {
    "--version": "",
    "fit runs.csv --params n --tokens d --loss loss": "Chinchilla",
    "import runs.csv --params n --tokens d --loss loss --arch arch --name mine --param-convention total "
    "--track causal --runs imported": "",
    "compare gpt2 llama --scan demo": "llama",
    "report demo": "",
    "forecast --scan demo --contender gpt2 --budget 1e15": "gpt2",
    "leaderboard": "",
    "leaderboard add demo": "entries",
    "leaderboard --check": "",
    "status demo": "demo: ",
    "runs list": "gpt2",
    "plugins list": "architecture reformer",
    "plugins show mamba2": "Mamba-2",
    "plan quickstart": "as data.stated says; the text was not read",
    "plan gpu/reformer": "as data.stated says; the text was not read",
    "plan protocol/ids_512 --resolved": "name: protocol_ids_512",
    "specs": "gpu/reformer",
    "specs copy standard/base mine.yaml": "mine.yaml",
    "plan mine.yaml --resolved": "name: standard",
    "init --architecture llama --minutes 5 --device cpu": "llama_against_gpt2.yaml",
    "plan llama_against_gpt2.yaml": "as data.stated says; the text was not read",
    "init own.yaml --architecture mamba2 --minutes 3 --device cpu --text text": "own.yaml",
    "plan own.yaml": "mamba2",
    "doctor": "pip install 'archbench[train]', to train models",
    "schema": '"title": "archbench spec"',
}


@pytest.fixture(scope="module")
def answers(site: Path, tmp_path_factory: pytest.TempPathFactory, fill: Callable[..., None]) -> Answers:
    folder = tmp_path_factory.mktemp("work")
    law = SyntheticLaw(noise_std=0.003)
    store = RunStore(folder / "runs")
    fill(store, "demo", synthetic_records("gpt2", law) + synthetic_records("llama", SyntheticLaw(A=13), seed=1))
    (folder / "runs.csv").write_text(table())
    spec = QUICKSTART.read_text().replace("{kind: installed_docs}", "{kind: text_files, paths: [text/*]}")
    spec = "\n".join(line for line in spec.splitlines() if not line.startswith("#") and "stated" not in line)
    (folder / "text").mkdir()
    for number in range(40):
        (folder / "text" / f"{number}.txt").write_text(f"{number}: the quick brown fox. " * 80)
    (folder / "bpe.yaml").write_text(spec.replace("{kind: bytes}", "{kind: bpe, vocab_size: 300}"))
    (folder / "zstd.yaml").write_text(spec.replace("text/", "packed/"))
    (folder / "packed").mkdir()
    (folder / "packed" / "a.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    return Answers(site, folder, [*REFUSED, *ANSWERED])


def test_the_wheel_brings_the_published_leaderboard_and_showing_it_writes_nothing(answers: Answers) -> None:
    _, out, err = answers.by_call["leaderboard"]
    assert out == ""
    assert err.startswith("no entry of your own yet (results/leaderboard); ")
    assert err.endswith(f"entries published: {answers.site / 'archbench' / '_leaderboard' / 'README.md'}\n")
    assert err.count("\n") == 1
    assert not (answers.folder / "results").exists()


def test_no_library_that_is_slow_to_import_is_imported_for_nothing(answers: Answers) -> None:
    assert SLOW & set(answers.modules) == set()


def table() -> str:
    rows = ["arch,n,d,loss"]
    for n in (1e7, 3e7, 1e8, 3e8, 1e9):
        rows += [f"gpt,{n:.0f},{t * n:.0f},{1.8 + 480 / n**0.35 + 2085 / (t * n) ** 0.37}" for t in (10, 20, 40, 80)]
    return "\n".join(rows) + "\n"


def test_a_plain_installation_has_few_dependencies_and_none_that_trains() -> None:
    names = {name_of(one) for one in PROJECT["dependencies"]}
    assert len(names) <= MOST_DEPENDENCIES
    along = {name.replace("-", "_") for name in installed_along(PROJECT["dependencies"])}
    assert along & TRAINING_LIBRARIES == set()


def test_the_extra_brings_what_trains_and_test_is_a_superset() -> None:
    extras = PROJECT["optional-dependencies"]
    train = {name_of(one) for one in extras["train"]}
    assert train >= HEAVY
    assert {name.replace("-", "_") for name in train} <= TRAINING_LIBRARIES
    assert "archbench[train]" in extras["test"]


def test_the_wheel_holds_every_spec_of_the_repository_as_it_is(site: Path) -> None:
    source, packed = ROOT / "specs", site / "archbench" / "_specs"
    files = {path.relative_to(source) for path in source.rglob("*.yaml")}
    assert {path.relative_to(packed) for path in packed.rglob("*") if path.is_file()} == files
    assert all((packed / file).read_bytes() == (source / file).read_bytes() for file in files)


def test_no_link_of_the_description_that_an_index_shows_is_relative(site: Path) -> None:
    (metadata,) = site.glob("archbench-*.dist-info/METADATA")
    _, _, description = metadata.read_text(encoding="utf-8").partition("\n\n")
    links = re.findall(r"\]\(([^()\s]+)\)", description)
    assert description.startswith("# archbench")
    assert [link for link in links if not link.startswith(("https://", "http://", "#"))] == []


def test_the_version_that_is_said_is_the_wheels(site: Path, answers: Answers) -> None:
    (metadata,) = site.glob("archbench-*.dist-info")
    code, out, _ = answers.by_call["--version"]
    assert (code, f"archbench-{out.strip()}.dist-info") == (0, metadata.name)


@pytest.mark.parametrize("call", REFUSED)
def test_a_command_that_needs_more_says_so_in_one_line(answers: Answers, call: str) -> None:
    code, out, err = answers.by_call[call]
    assert (code, out) == (3, "")
    last = err.splitlines()[-1]
    assert REFUSED[call] in last
    assert REMEDY in last
    assert last.startswith("archbench: ")


@pytest.mark.parametrize("call", ANSWERED)
def test_a_command_of_analysis_answers_without_what_trains(answers: Answers, call: str) -> None:
    code, out, err = answers.by_call[call]
    assert code == 0, err
    assert ANSWERED[call] in out
    assert "failed" not in err


def test_a_library_of_the_tokenizer_is_asked_for_before_any_text_is_read(answers: Answers) -> None:
    assert "reading the documents" not in answers.by_call["data bpe.yaml"][2]


def test_a_plan_says_that_ids_of_missing_libraries_stand_for_no_run(answers: Answers) -> None:
    _, _, err = answers.by_call["plan gpu/reformer"]
    assert "not installed, so that no run is known to have finished" in err


@pytest.mark.parametrize(
    ("error", "library"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "torch"),
        (ModuleNotFoundError("No module named 'torch.gone'", name="torch.gone"), None),
        (ModuleNotFoundError("No module named 'theirs'", name="theirs"), None),
        (ImportError("cannot import name 'x' from 'torch'", name="torch"), None),
    ],
)
def test_only_a_library_that_is_not_there_at_all_is_taken_for_missing(error: Any, library: str | None) -> None:
    assert missing_training_library(error) == library
