"""`archbench runs`: the list fits its terminal, and what is pruned is never a result, nor of a run at work."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from archbench.cli import common, runs_rerun
from archbench.cli import runs as runs_module
from archbench.cli.runs import runs
from archbench.cli.status import status
from archbench.errors import SpecError, StoreError
from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.files import to_json, write_atomically
from archbench.runs.lease import LeaseInfo
from archbench.runs.prune import Removable, remnants, remove
from archbench.runs.store import RunStore, directory_status
from archbench.spec.identity import Branch, StartingPoint
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

LAW = SyntheticLaw(noise_std=0.003)


@pytest.fixture
def store(tmp_path: Path, fill: Callable[..., None]) -> RunStore:
    """One done, one failed, one diverged, one that never began, one with a checkpoint."""
    store = RunStore(tmp_path / "runs")
    records = synthetic_records("gpt2", LAW, SyntheticScan(seeds=(1, 1, 1, 1, 1)))
    states = (RunState.DONE, RunState.FAILED, RunState.DIVERGED, RunState.DONE, RunState.DONE)
    fill(store, "demo", [replace(one, state=state) for one, state in zip(records, states, strict=True)])
    waiting, begun = runs_of(store)[3:]
    for directory in (waiting, begun):
        directory.record_file.unlink()
    begun.checkpoints_dir.mkdir()
    (begun.checkpoints_dir / "tensors").write_bytes(b"\0" * 5000)
    (store.logs_dir / "worker-0.log").write_text("printed\n")
    return store


def runs_of(store: RunStore) -> list[RunDirectory]:
    """The directories in the order of sizes."""
    return [store.directory(run.run_id) for run in store.scan(store.scan_names()[0]).runs]


def hold(directory: RunDirectory) -> None:
    """This process is now training the run."""
    info = LeaseInfo(1, os.uname().nodename, os.getpid(), psutil.Process().create_time(), 3, time.time())
    write_atomically(directory.lease_file, to_json(asdict(info)))


def add_parts(directory: RunDirectory) -> None:
    for folder in (directory.weights_dir, directory.kept_dir, directory.checkpoints_dir):
        folder.mkdir()
        (folder / "tensors").write_bytes(b"\0" * 1000)


def invoke(store: RunStore, *arguments: str) -> Any:
    return CliRunner().invoke(runs, [*arguments, "--runs", str(store.root)])


def names(store: RunStore) -> set[str]:
    return {directory.path.name for directory in store.directories()}


@pytest.mark.parametrize("columns", [80, 140])
def test_the_list_of_runs_fits_the_terminal(store: RunStore, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(common, "on_screen", lambda: True)
    monkeypatch.setattr(runs_module, "on_screen", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = invoke(store, "list").output.splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) == 1 + 5 + 1
    assert all("KiB" in line for line in lines[1:])
    assert lines[-1].startswith("5 runs, ")


def test_one_run_is_counted_in_the_singular(tmp_path: Path, fill: Callable[..., None]) -> None:
    store = RunStore(tmp_path)
    fill(store, "one", synthetic_records("gpt2", LAW)[:1])
    assert invoke(store, "list").output.splitlines()[-1].startswith("1 run, ")


def test_prune_removes_failed_runs_and_those_that_never_began(store: RunStore) -> None:
    done, failed, diverged, waiting, begun = (directory.path.name for directory in runs_of(store))
    result = invoke(store, "prune", "--dry-run")
    assert failed in result.output
    assert waiting in result.output
    assert "would free" in result.output
    assert names(store) == {done, failed, diverged, waiting, begun}
    assert invoke(store, "prune", "--yes").exit_code == 0
    assert names(store) == {done, diverged, begun}
    assert not list(store.root.glob(".gone*"))
    assert invoke(store, "prune", "--yes", "--unfinished").exit_code == 0
    assert names(store) == {done, diverged}


def test_prune_frees_what_it_says_and_keeps_every_result(store: RunStore) -> None:
    done = runs_of(store)[0]
    add_parts(done)
    before = done.record_file.read_bytes()
    wanted = ("--weights", "--kept", "--checkpoints", "--logs")
    content = json.loads(invoke(store, "prune", *wanted, "--dry-run", "--json").stdout)
    assert [row["disk_bytes"] for row in content["remnants"] if row["name"] == done.path.name] == [1000, 1000, 1000]
    assert content["removed"] is False
    assert invoke(store, "prune", *wanted, "--yes").exit_code == 0
    assert done.record_file.read_bytes() == before
    assert directory_status(done).state is RunState.DONE
    assert not any(folder.exists() for folder in (done.weights_dir, done.kept_dir, done.checkpoints_dir))
    assert not list(store.logs_dir.iterdir())


def test_a_scan_that_is_going_on_is_left_alone_with_the_runs_that_wait(store: RunStore) -> None:
    begun = runs_of(store)[4]
    hold(begun)
    before = names(store)
    result = invoke(store, "prune", "--unfinished", "--logs", "--yes")
    assert "belongs to a scan that is going on" in result.output
    assert "is being written to" in result.output
    assert names(store) == before


def test_a_run_that_was_taken_up_meanwhile_is_not_removed(store: RunStore) -> None:
    found, _ = remnants(store, [Removable.UNFINISHED])
    hold(runs_of(store)[4])
    with pytest.raises(StoreError, match="is being trained by process"):
        remove(found[0])
    assert runs_of(store)[4].checkpoints_dir.is_dir()


def test_what_another_run_begins_from_is_left_alone(store: RunStore) -> None:
    done, _, _, waiting, _ = runs_of(store)
    add_parts(done)
    run_id = done.read_plan().identity.run_id
    plan = waiting.read_plan()
    plan = plan.model_copy(
        update={
            "identity": plan.identity.model_copy(update={"start": StartingPoint(run_id=run_id)}),
            "execution": plan.execution.model_copy(update={"branch_from": Branch(run_id=run_id, step=5)}),
        }
    )
    store.prepare(plan)
    found, left = remnants(store, [Removable.WEIGHTS, Removable.KEPT])
    assert found == []
    assert len(left) == 2
    assert all("what another run will begin from" in line for line in left)


def test_only_the_runs_of_a_scan_are_pruned_on_demand(store: RunStore, fill: Callable[..., None]) -> None:
    other = replace(synthetic_records("xl", LAW, seed=9)[0], state=RunState.FAILED)
    fill(store, "other", [other])
    assert invoke(store, "prune", "--scan", "other", "--yes").exit_code == 0
    assert runs_of(store)[1].record_file.exists()
    assert not store.directory(store.scan("other").runs[0].run_id).path.exists()


@pytest.mark.parametrize(("command", "flag"), [("prune", "--unfinished"), ("rerun", "--failed")])
def test_nothing_is_done_where_nobody_can_be_asked(store: RunStore, command: str, flag: str) -> None:
    before = names(store)
    result = invoke(store, command, flag)
    assert isinstance(result.exception, SpecError)
    assert "say --yes" in str(result.exception)
    assert names(store) == before


def test_no_for_an_answer_changes_nothing(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archbench.cli.runs_prune.confirm", _refuse)
    before = names(store)
    assert invoke(store, "prune").exit_code == 1
    assert names(store) == before


def _refuse(question: str, *, yes: bool) -> None:
    import click

    assert question.startswith("remove them, and free ")
    raise click.Abort


def test_rerun_says_what_it_needs(store: RunStore) -> None:
    assert "name runs by the first digits" in str(invoke(store, "rerun").exception)
    assert "no run begins with 'zz'" in str(invoke(store, "rerun", "zz").exception)
    hold(runs_of(store)[4])
    result = invoke(store, "rerun", runs_of(store)[4].path.name, "--yes")
    assert "is being trained" in str(result.exception)


@pytest.mark.parametrize("columns", [80, 140])
def test_the_status_of_a_scan_fits_the_terminal(store: RunStore, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(common, "on_screen", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = CliRunner().invoke(status, ["demo", "--runs", str(store.root)]).output.splitlines()
    assert lines[0] == "demo: 2 planned, 1 done, 1 failed, 1 diverged"
    assert max(map(len, lines)) <= columns
    assert len(lines) == 2 + 5
    assert sum("gpt2" in line for line in lines) == 5


def test_damaged_runs_are_named_for_another_training(store: RunStore, capsys: pytest.CaptureFixture[str]) -> None:
    done, failed, *_ = runs_of(store)
    done.record_file.write_bytes(done.record_file.read_bytes()[:100])
    failed.plan_file.write_text("{")
    chosen = runs_rerun._chosen(store, (), {}, None, damaged=True)
    assert chosen == [done]
    said = capsys.readouterr().err
    assert f"{done.record_file}: is damaged" in said
    assert f"{failed.plan_file}: is damaged" in said


def test_runs_of_0_1_0_are_listed_as_unprotected() -> None:
    old = Path(__file__).parents[2] / "golden" / "release_0_1_0" / "runs"
    listed = CliRunner().invoke(runs, ["list", "--runs", str(old)])
    assert "14 runs not protected by a digest: version 0.1.0, which wrote them, had none" in listed.output
    rows = json.loads(CliRunner().invoke(runs, ["list", "--json", "--runs", str(old)]).output)
    assert {row["protected"] for row in rows} == {False}
    shown = CliRunner().invoke(runs, ["show", rows[0]["run_id"], "--runs", str(old)])
    assert "protected by a digest: no" in shown.output
    assert "kernels kernels-" in shown.output
