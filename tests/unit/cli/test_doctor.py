"""`archbench doctor` finds what is wrong with a machine, and says what to do about it."""

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from archbench.cli import doctor as module
from archbench.cli.outputs.plugins import Finding


def remedied(finding: Finding) -> None:
    assert not finding.ok
    assert finding.remedy


def test_missing_libraries_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "library_versions", lambda: {"torch": "2.13.0"})
    by_name = {finding.what: finding for finding in module._versions()}
    assert by_name["torch"].ok
    remedied(by_name["deepspeed"])


def test_little_memory_and_a_full_disk_are_problems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30, total=2**34))
    remedied(module._memory())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10_000))
    for finding in module._disks(tmp_path / "not" / "there", tmp_path):
        remedied(finding)
        assert str(tmp_path) in finding.found


def probe(monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "") -> list[Finding]:
    def run(*arguments: Any, **options: Any) -> Any:
        return SimpleNamespace(stdout=stdout, stderr=stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return list(module._torch())


def test_a_torch_that_does_not_load_or_see_the_device_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = probe(monkeypatch, "", "Traceback\nImportError: libcudart.so.12")
    remedied(finding)
    assert "libcudart" in finding.found
    found = {"cuda": False, "threads": 1, "devices": [], "deepspeed": "0.19.8"}
    monkeypatch.setattr(module, "has_accelerator", lambda: True)
    loads, devices = probe(monkeypatch, "noise\nPROBE " + json.dumps(found))
    assert loads.ok
    remedied(devices)


def test_plugins_that_failed_are_told_with_their_distribution() -> None:
    failed = SimpleNamespace(name="mine", failures=["import: SyntaxError"], distribution="mine-dist")
    fine = SimpleNamespace(name="gpt2", failures=[], distribution="archbench")
    host: Any = SimpleNamespace(plugins=[failed, fine])
    problem, summary = module._plugins(host)
    remedied(problem)
    assert "mine-dist" in problem.remedy
    assert summary.found == "1 of 2 without a failure"


def test_a_store_and_a_cache_that_are_not_there_yet_are_no_problem(tmp_path: Path) -> None:
    assert module._store(tmp_path / "runs").found.startswith("no run in")
    assert module._cache(tmp_path / "cache").found.startswith("0 texts, 0 B in")
