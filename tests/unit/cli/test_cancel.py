"""`archbench cancel`: what waits is called off, what has ended stays, and what a queue has is taken off it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from archbench.builtins.execution.slurm.executor import SlurmExecutorConfig
from archbench.cli.main import cli
from archbench.results.runs import RunState
from archbench.runs.lease import acquire
from archbench.runs.queue import is_called_off, mark_queued, mark_ticket
from archbench.runs.records import Outcome, write_record
from archbench.runs.store import RunStore
from archbench.testing.executor import SCAN, plan_scan


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "runs")
    store.create()
    return store


def test_what_has_not_ended_is_called_off_and_taken_off_its_queue(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdrawn: list[str] = []
    monkeypatch.setattr(SlurmExecutorConfig, "withdraw", lambda self, tickets: withdrawn.extend(tickets))
    waiting, queued, running, ended = plan_scan(store, 12, 13, 14, 15)
    for directory in (queued, running):
        mark_queued(directory, "slurm")
        mark_ticket(directory, "slurm", "7")
    lease = acquire(running)
    write_record(ended, ended.read_plan(), Outcome(RunState.FAILED, reason="it did"))
    answer = CliRunner().invoke(cli, ["cancel", SCAN, "--runs", str(store.root)])
    assert answer.exit_code == 0, answer.output
    assert f"{SCAN}: 2 runs called off, 1 at work will store a checkpoint and stop" in answer.output
    assert "taken off the queue of slurm: 7" in answer.output
    assert withdrawn == ["7"]
    assert [is_called_off(one) for one in (waiting, queued, running, ended)] == [True, True, True, False]
    lease.release()
    shown = CliRunner().invoke(cli, ["status", SCAN, "--runs", str(store.root)])
    assert "called off by `archbench cancel`" in " ".join(shown.output.split())


def test_a_queued_run_is_shown_with_where_it_waits(store: RunStore) -> None:
    (directory,) = plan_scan(store, 12)
    mark_queued(directory, "slurm")
    mark_ticket(directory, "slurm", "7")
    shown = CliRunner().invoke(cli, ["status", SCAN, "--runs", str(store.root)])
    assert f"{SCAN}: 1 queued" in shown.output
    assert "in the queue of slurm as 7" in shown.output


def test_where_nothing_goes_on_nothing_is_called_off(store: RunStore) -> None:
    (directory,) = plan_scan(store, 12)
    write_record(directory, directory.read_plan(), Outcome(RunState.FAILED, reason="it did"))
    answer = CliRunner().invoke(cli, ["cancel", SCAN, "--runs", str(store.root)])
    assert answer.exit_code == 0
    assert "nothing to call off" in answer.output


@pytest.mark.parametrize(("word", "code"), [("conformanec", 4), ("gone.yaml", 2)])
def test_a_scan_that_is_not_there_is_told(store: RunStore, word: str, code: int) -> None:
    from archbench.cli.main import exit_code_of

    plan_scan(store, 12)
    assert exit_code_of(["cancel", word, "--runs", str(store.root)], debug=False) == code
