"""From `plugins new` to an installed package that keeps its promises, and to findings when it does not."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.thorough


def run(command: Sequence[str], cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_STATE_HOME": str(cwd / "state")}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def check(named: str, cwd: Path, path: Path | None = None) -> tuple[int, list[dict[str, Any]]]:
    done = run(["archbench.cli.main", "plugins", "check", named, "--no-train", "--json"], cwd, path)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["findings"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `archbench plugins new my-arch` was run."""
    folder = tmp_path_factory.mktemp("workplace")
    made = run(["archbench.cli.main", "plugins", "new", "my-arch"], folder)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.slow
def test_a_new_package_installs_passes_its_own_tests_and_the_check(workplace: Path) -> None:
    site = workplace / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--target", str(site)]
    installed = run(["pip", "install", *options, str(workplace / "my-arch")], workplace)
    assert installed.returncode == 0, installed.stderr
    tested = run(["pytest", "-q", "-p", "no:cacheprovider", str(workplace / "my-arch")], workplace, site)
    assert tested.returncode == 0, tested.stdout
    code, findings = check("my_arch", workplace, site)
    assert [finding for finding in findings if finding["outcome"] == "failed"] == []
    assert code == 0
    rungs = [finding["problem"] for finding in findings if ": ladder at " in finding["check"]]
    assert len(rungs) == 6
    assert all("FLOPs a token" in problem and "6N" in problem for problem in rungs)
    options = ["--no-cache", "--select", "E,F,B,D1", "--ignore", "D107", "--line-length", "120"]
    linted = run(["ruff", "check", *options, "my-arch"], workplace)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.slow
def test_a_new_plugin_of_one_file_passes_the_check(workplace: Path) -> None:
    made = run(["archbench.cli.main", "plugins", "new", "one-file", "--minimal"], workplace)
    assert made.returncode == 0, made.stderr
    code, findings = check("./one_file.py", workplace)
    assert [finding for finding in findings if finding["outcome"] == "failed"] == []
    assert code == 0
    assert sum(": ladder at " in finding["check"] for finding in findings) == 6


@pytest.mark.thorough
@pytest.mark.slow
def test_a_package_that_says_something_wrong_is_told_what_and_where_without_being_installed(workplace: Path) -> None:
    config = workplace / "my-arch" / "src" / "my_arch" / "config.py"
    sound = config.read_text()
    config.write_text(sound.replace("2 * d_model * d_ff + d_ff + d_model", "2 * d_model * d_ff"))
    code, findings = check("./my-arch", workplace)
    config.write_text(sound)
    assert code == 3
    failed = {finding["check"]: finding for finding in findings if finding["outcome"] == "failed"}
    wrong = failed["my_arch: analytic parameters equal the built modules (causal)"]
    assert "num_params says (embedding, non-embedding)" in wrong["problem"]
    line = 1 + sound[: sound.index("    def num_params")].count("\n")
    assert wrong["where"] == f"my-arch/src/my_arch/config.py:{line} MyArchConfig.num_params"
    assert "my_arch: ladder at 10k parameters" in failed
    assert "my_arch: causality by gradient (causal)" not in failed


@pytest.mark.thorough
@pytest.mark.slow
def test_an_architecture_that_ends_the_process_is_a_finding_and_the_other_checks_are_made(workplace: Path) -> None:
    (workplace / "hostile.py").write_text(
        "import os\n"
        "from typing import Literal\n"
        "from archbench.api import Attention, hookimpl\n"
        "from archbench_gpt2.config import Gpt2Config\n"
        "class Hostile(Gpt2Config):\n"
        "    kind: Literal['hostile'] = 'hostile'\n"
        "    attention_modes = frozenset({Attention.CAUSAL})\n"
        "    def problems(self, dims):\n"
        "        if (dims.d_model, dims.n_heads) == (10, 3):\n"
        "            os._exit(0)\n"
        "        return super().problems(dims)\n"
        "@hookimpl\n"
        "def register_architectures():\n"
        "    return [Hostile]\n"
    )
    done = run(["archbench.cli.main", "plugins", "check", "hostile.py", "--no-train", "--json"], workplace)
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 3
    ended = findings["hostile: a shape that cannot be built is named"]
    assert ended["problem"].startswith("the process ended by itself with exit code 0")
    assert findings["hostile: causality by gradient (causal)"]["outcome"] == "passed"
    assert findings["hostile: ladder at 10M parameters"]["outcome"] == "passed"
