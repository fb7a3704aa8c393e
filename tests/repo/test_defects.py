"""Exit code 70, a defect of archbench, is what no test accepts but the one that provokes it (tests/conftest.py)."""

import subprocess
import sys
from pathlib import Path

from archbench.cli.main import EXIT_DEFECT

TESTS = Path(__file__).parents[1]
CASE = """
import subprocess, sys
from click.testing import CliRunner
import click, pytest
from archbench.cli import main

@click.command()
def broken(): raise RuntimeError("out of order")

def test_in_this_process(): assert main._unforeseen(RuntimeError("out of order"), "again") == 70
def test_of_a_command(): assert CliRunner().invoke(broken).exit_code == 1
def test_in_another_process(): subprocess.run([sys.executable, "-c", "raise SystemExit(70)"])

@pytest.mark.provokes_a_defect
def test_of_nothing(): pass

def test_sound(): subprocess.run([sys.executable, "-c", "raise SystemExit(2)"])
"""


def test_one_test_alone_may_end_in_a_defect() -> None:
    mark = "pytest.mark." + "provokes_a_defect\n"
    marked = [path.name for path in TESTS.rglob("test_*.py") for _ in range(path.read_text().count(mark))]
    assert sorted(marked) == ["test_cli.py", "test_defects.py"]


def test_a_test_that_hides_a_defect_fails(tmp_path: Path) -> None:
    (tmp_path / "test_case.py").write_text(CASE)
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = provokes_a_defect: on purpose\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", "-rA", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    ends = {
        line.split("::")[1].split(" ")[0]: line for line in done.stdout.splitlines() if "::" in line and line[0] in "FP"
    }
    assert {name for name, line in ends.items() if line.startswith("PASSED")} == {"test_sound"}, done.stdout
    assert "RuntimeError: out of order" in ends["test_of_a_command"]
    assert f"exit code {EXIT_DEFECT} of " in ends["test_in_another_process"]
    assert "no defect was provoked" in ends["test_of_nothing"]
