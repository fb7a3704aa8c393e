"""`archbench init` writes specs that `archbench plan` takes at once, within the time that was asked for."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from archbench.cli.main import cli
from archbench.errors import ArchbenchError
from archbench.planning.first_scan import MOST_EPOCHS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def written(*arguments: str) -> Path:
    result = invoke("init", *arguments)
    assert result.exit_code == 0, result.output
    return Path(result.stdout.strip())


def planned(file: Path, *arguments: str) -> dict[str, Any]:
    result = invoke("plan", str(file), "--json", *arguments)
    assert result.exit_code == 0, result.output
    plan: dict[str, Any] = json.loads(result.stdout)
    return plan


def refusal(*arguments: str) -> str:
    result = invoke("init", *arguments)
    assert isinstance(result.exception, ArchbenchError)
    return str(result.exception)


def text_of(folder: Path, num_bytes: int) -> Path:
    (folder / "books").mkdir()
    line = "It was the best of times, it was the worst of times. "
    for number in range(20):
        words = f"{number}: {line * (num_bytes // 20 // len(line))}"
        (folder / "books" / f"{number}.txt").write_text(words)
    return folder / "books"


@pytest.mark.parametrize(
    ("flags", "minutes"),
    [
        (("--architecture", "llama", "--device", "cpu"), 10),
        (("--architecture", "mamba2", "--architecture", "transformer_xl", "--device", "cpu"), 60),
        (("--architecture", "albert", "--device", "cpu", "--text", "standard_text"), 30),
        (("--architecture", "modernbert", "--baseline", "roberta", "--device", "cpu", "--text", "wikitext"), 30),
        (("--architecture", "llama", "--device", "cuda", "--text", "owner/name"), 120),
        (("--architecture", "gated_deltanet", "--device", "cuda", "--text", "openwebtext"), 2000),
    ],
)
def test_the_planner_expects_most_of_the_minutes_and_no_more(flags: tuple[str, ...], minutes: float) -> None:
    file = written(*flags, "--minutes", str(minutes))
    plan = planned(file, "--stated")
    # A step of the ladder is 1.28 times the size at most, and costs the square of that.
    assert 0.45 * 60 * minutes < plan["seconds_left"] <= 60 * minutes
    contenders = {run["contender"] for run in plan["runs"]}
    assert contenders == {plan["baseline"], *(flag for flag in flags[1::2] if flag in contenders)}
    sizes = {run["size_index"] for run in plan["runs"]}
    assert len(sizes) >= 4


def test_a_text_of_ones_own_is_read_and_no_run_reads_it_too_often(folder: Path) -> None:
    text_of(folder, 400_000)
    (folder / "specs").mkdir()
    file = written(
        "specs/mine.yaml", "--architecture", "llama", "--minutes", "1000", "--device", "cpu", "--text", "books"
    )
    spec = yaml.safe_load(file.read_text())
    assert spec["data"]["dataset"] == {"kind": "text_files", "paths": [str(folder / "books")]}
    plan = planned(file)
    assert not plan["text_is_stated"]
    assert max(run["epochs"] for run in plan["runs"]) <= 1.1 * MOST_EPOCHS  # two digits of tokens


def test_paths_are_those_of_the_specs_folder(folder: Path) -> None:
    text_of(folder, 400_000)
    file = written("mine.yaml", "--architecture", "llama", "--minutes", "10", "--device", "cpu", "--text", "books")
    assert yaml.safe_load(file.read_text())["data"]["dataset"]["paths"] == ["books"]


def test_a_file_is_overwritten_only_when_told(folder: Path) -> None:
    flags = ("--architecture", "llama", "--minutes", "10", "--device", "cpu")
    file = written(*flags)
    file.write_text("mine")
    assert refusal(*flags) == "llama_against_gpt2.yaml: exists already; name another FILE, or say --overwrite"
    assert file.read_text() == "mine"
    written(*flags, "--overwrite")
    assert "llama" in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--architecture is missing: name what is to be compared, since nobody can be asked here"),
        (("--architecture", "lama"), "architecture 'lama' is not registered; did you mean 'llama'?"),
        (("--architecture", "gpt2", "--baseline", "gpt2"), "'gpt2' is the baseline and what is compared with it"),
        (("--architecture", "modernbert", "--baseline", "gpt2"), "have no attention in common"),
        (("--architecture", "llama", "--text", "instaled_docs"), "did you mean 'installed_docs'?"),
        (("--architecture", "llama", "--text", "./gone/text"), "is no file, no folder and no OWNER/NAME"),
        (("mine", "--architecture", "llama"), "mine: is no name of a spec; call it mine.yaml"),
        (("gone/mine.yaml", "--architecture", "llama", "--device", "cpu"), "gone/mine.yaml: cannot be written"),
        (("--architecture", "llama", "--minutes", "0.1", "--device", "cpu"), "the smallest scan of 2 contenders takes"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    assert words in refusal(*arguments)
    assert list(folder.rglob("*.yaml")) == []


def test_too_little_text_is_told_with_what_it_takes(folder: Path) -> None:
    text_of(folder, 20_000)
    flags = ("--architecture", "llama", "--text", "books")
    assert "a scan on processor cores needs about 55,556" in refusal(*flags, "--device", "cpu")
    assert "a scan on an accelerator needs about" in refusal(*flags, "--device", "cuda")


def test_a_plugin_that_is_not_installed_is_taken_and_named_in_the_next_command(folder: Path) -> None:
    package = Path(__file__).parents[2] / "integration" / "stranger"
    flags = ("--architecture", "average_attention", "--minutes", "10", "--device", "cpu", "--plugin", str(package))
    result = invoke("init", *flags)
    assert result.exit_code == 0, result.output
    command = result.stderr.splitlines()[-1].strip()
    assert command == f"archbench plan average_attention_against_gpt2.yaml --plugin {package}"
    planned(Path("average_attention_against_gpt2.yaml"), "--stated", "--plugin", str(package))


def test_on_a_terminal_it_asks_for_what_no_option_says(folder: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "archbench.cli.main", "init", "--text", "installed_docs"]
    with subprocess.Popen(command, cwd=folder, stdin=slave, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        os.write(master, b"llama\n\n7\ncpu\n")
        assert process.stdout is not None
        assert process.stdout.read() == b"llama_against_gpt2.yaml\n"
        assert process.wait(timeout=60) == 0
        asked = os.read(master, 65536).decode()
    os.close(master)
    for question in (
        "architecture to compare:",
        "baseline [gpt2]:",
        "minutes [60.0]:",
        "device (auto, cpu, cuda) [auto]:",
    ):
        assert question in asked
    assert "text [" not in asked
    assert "sized for 7 minutes on processor cores" in (folder / "llama_against_gpt2.yaml").read_text()
