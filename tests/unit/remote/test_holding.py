"""Two machines on one store: who may store what, and what is left when one of them dies."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archbench.data.corpus import open_corpus
from archbench.errors import StoreError
from archbench.results.runs import RunState
from archbench.runs.lease import LEASE_SECONDS, LeaseLost, acquire
from archbench.runs.records import Outcome, write_record
from archbench.runs.remote import holding
from archbench.runs.remote.corpora import push_texts
from archbench.runs.remote.objects import Objects, Unreachable
from archbench.runs.store import directory_status

Machines = Callable[[str], Any]


def checkpoints(machine: Any, run_id: str) -> list[str]:
    return sorted(one.name for one in machine.directory(run_id).checkpoints_dir.glob("step-*"))


def stored_steps(objects: Objects) -> list[int]:
    return sorted({int(key.split("step-")[1][:10]) for key in objects.keys("files/") if "step-" in key})


def test_a_run_goes_on_elsewhere_from_its_newest_checkpoint(
    planned: tuple[Any, str], machine: Machines, objects: Objects, store_checkpoint: Callable[..., None]
) -> None:
    _, run_id = planned
    first, second = machine("first"), machine("second")
    for one in (first, second):
        one.mirror.pull()
    held = first.take(run_id)
    for step in (10, 20):
        store_checkpoint(first.directory(run_id), step)
        held.commit()
    shutil.rmtree(first.directory(run_id).checkpoints_dir / "step-0000000010")
    held.commit()
    assert stored_steps(objects) == [20], "objects of a checkpoint that was superseded are removed"
    held.release()
    again = second.take(run_id)
    assert checkpoints(second, run_id) == ["step-0000000020"]
    store_checkpoint(second.directory(run_id), 30)
    again.commit()
    # What trains takes the folder's own lease, under a token above all before.
    lease = acquire(second.directory(run_id))
    assert lease.token > 2
    lease.release()
    again.release()


def test_a_run_that_is_held_is_refused_until_its_lease_was_seen_to_be_silent(
    planned: tuple[Any, str], machine: Machines
) -> None:
    _, run_id = planned
    first, second = machine("first"), machine("second")
    for one in (first, second):
        one.mirror.pull()
    first.take(run_id)
    with pytest.raises(LeaseLost, match="is being trained by process"):
        second.take(run_id)
    assert directory_status(second.directory(run_id)).state is RunState.RUNNING
    second.watch_for(LEASE_SECONDS - 10)
    with pytest.raises(LeaseLost):
        second.take(run_id)
    second.watch_for(15)
    second.take(run_id)


def test_heartbeats_keep_a_lease(planned: tuple[Any, str], machine: Machines) -> None:
    _, run_id = planned
    first, second = machine("first"), machine("second")
    for one in (first, second):
        one.mirror.pull()
    held = first.take(run_id)
    for _ in range(4):
        second.watch_for(LEASE_SECONDS / 2)
        held.beat()
    with pytest.raises(LeaseLost):
        second.take(run_id)


def test_who_was_stopped_past_its_lease_and_comes_back_stores_nothing(
    planned: tuple[Any, str], machine: Machines, objects: Objects, store_checkpoint: Callable[..., None]
) -> None:
    _, run_id = planned
    first, second = machine("first"), machine("second")
    for one in (first, second):
        one.mirror.pull()
    late = first.take(run_id)
    store_checkpoint(first.directory(run_id), 10)
    late.commit()
    second.watch_for(LEASE_SECONDS + 10)
    held = second.take(run_id)
    store_checkpoint(second.directory(run_id), 20)
    held.commit()
    before = {key: objects.get(key) for key in objects.keys("state/head/")}
    store_checkpoint(first.directory(run_id), 30, b"late")
    with pytest.raises(LeaseLost, match="another process has taken over"):
        late.commit()
    assert late.lost
    with pytest.raises(LeaseLost):
        late.beat()
    late.release()
    assert {key: objects.get(key) for key in objects.keys("state/head/")} == before
    held.commit()
    held.release()
    third = machine("third")
    third.mirror.pull()
    third.take(run_id)
    assert checkpoints(third, run_id) == ["step-0000000020"]
    assert 30 not in stored_steps(objects), "what the late one uploaded is removed by whoever takes the run next"


def test_what_was_being_uploaded_when_its_process_died_is_no_generation(
    planned: tuple[Any, str], machine: Machines, store_checkpoint: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, run_id = planned
    first, second = machine("first"), machine("second")
    for one in (first, second):
        one.mirror.pull()
    held = first.take(run_id)
    store_checkpoint(first.directory(run_id), 10)
    held.commit()
    store_checkpoint(first.directory(run_id), 20)
    put, left = first.mirror.objects.put, [2]

    def dies(key: str, content: bytes | Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise StoreError("killed")
        put(key, content)

    monkeypatch.setattr(first.mirror.objects, "put", dies)
    with pytest.raises(StoreError, match="killed"):
        held.commit()
    second.watch_for(LEASE_SECONDS + 10)
    second.take(run_id)
    assert checkpoints(second, run_id) == ["step-0000000010"]


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    planned: tuple[Any, str], machine: Machines, objects: Objects, store_checkpoint: Callable[..., None]
) -> None:
    _, run_id = planned
    first, second = machine("first"), machine("second")
    for one in (first, second):
        one.mirror.pull()
    held = first.take(run_id)
    for step in (10, 20):
        store_checkpoint(first.directory(run_id), step)
    held.commit()
    held.release()
    (key,) = [key for key in objects.keys("files/") if "0000000020/tensors" in key]
    objects.put(key, b"else")
    told: list[str] = []
    holding.take(second.mirror, run_id, told.append)
    assert checkpoints(second, run_id) == ["step-0000000010"]
    assert len(told) == 1
    assert "step-0000000020" in told[0]


def test_records_come_to_those_who_look_and_large_files_do_not(
    planned: tuple[Any, str], machine: Machines, store_checkpoint: Callable[..., None]
) -> None:
    driver, run_id = planned
    first = machine("first")
    first.mirror.pull()
    held = first.take(run_id)
    directory = first.directory(run_id)
    store_checkpoint(directory, 10)
    held.commit()
    driver.mirror.pull()
    assert directory_status(driver.directory(run_id)).state is RunState.RUNNING
    assert not driver.directory(run_id).checkpoints_dir.exists()
    shutil.rmtree(directory.checkpoints_dir)
    write_record(directory, directory.read_plan(), Outcome(RunState.FAILED, reason="no reason"))
    (directory.weights_dir).mkdir()
    (directory.weights_dir / "weights.safetensors").write_bytes(b"w")
    held.commit()
    held.release()
    driver.mirror.pull()
    seen = driver.directory(run_id)
    assert seen.record_file.read_bytes() == directory.record_file.read_bytes()
    assert directory_status(seen).state is RunState.FAILED
    assert seen.has_weights
    assert not seen.weights_dir.exists()
    # Whoever takes the run up again has them not, and does not drop them.
    again = driver.take(run_id)
    again.commit()
    again.release()
    assert driver.directory(run_id).has_weights


def test_texts_come_with_the_run_where_a_machine_lacks_them(
    planned: tuple[Any, str], machine: Machines, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, run_id = planned
    plan = driver.directory(run_id).read_plan()
    push_texts(objects, [plan])
    away = plan.model_copy(update={"execution": plan.execution.model_copy(update={"corpus_dir": "/nowhere/corpus"})})
    driver.directory(run_id).write_plan(away)
    driver.mirror.push_plans([run_id])
    first = machine("first")
    first.mirror.pull()
    first.take(run_id)
    found = first.directory(run_id).read_plan()
    assert open_corpus(Path(found.execution.corpus_dir)).corpus_hash == plan.identity.data.corpus_hash
    assert found.identity == plan.identity


def test_a_text_that_nobody_has_is_one_line(planned: tuple[Any, str], machine: Machines) -> None:
    driver, run_id = planned
    plan = driver.directory(run_id).read_plan()
    driver.directory(run_id).write_plan(
        plan.model_copy(update={"execution": plan.execution.model_copy(update={"corpus_dir": "/nowhere/corpus"})})
    )
    driver.mirror.push_plans([run_id])
    first = machine("first")
    first.mirror.pull()
    with pytest.raises(StoreError, match="uploads it from where it was planned"):
        first.take(run_id)
    second = machine("second")
    second.mirror.pull()
    assert directory_status(second.directory(run_id)).state is RunState.PLANNED, "it was given back"


def test_of_many_that_take_a_run_at_once_one_gets_it(planned: tuple[Any, str], machine: Machines) -> None:
    _, run_id = planned
    machines = [machine(f"machine{number}") for number in range(4)]
    for one in machines:
        one.mirror.pull()
    got: list[str] = []
    refused: list[str] = []

    def take(one: Any) -> None:
        try:
            holding.take(one.mirror, run_id)
        except LeaseLost as error:
            refused.append(str(error))
        else:
            got.append(one.name)

    threads = [threading.Thread(target=take, args=(one,)) for one in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 3), refused


def test_what_leads_out_of_a_runs_folder_is_damage(planned: tuple[Any, str], machine: Machines) -> None:
    from archbench.runs.files import DamagedFile
    from archbench.runs.remote.head import Head, StoredFile, head_of

    for path in ("../x", "/x", "a/../../x", "", "./x"):
        raw = Head(files={path: StoredFile("files/k", 1, "0")}).to_bytes()
        with pytest.raises(DamagedFile, match="no path of a run's file"):
            head_of(raw, "head")


def test_an_answer_that_does_not_come_is_no_loss_of_the_run(
    planned: tuple[Any, str], machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, run_id = planned
    other = machine("other")
    keys = driver.mirror.objects.keys
    silent: list[bool] = [False]

    def listed(prefix: str) -> list[str]:
        if silent[0]:
            raise Unreachable("no answer")
        return list(keys(prefix))

    held = driver.take(run_id)
    monkeypatch.setattr(driver.mirror.objects, "keys", listed)
    for _ in range(2):
        silent[0] = True
        with pytest.raises(Unreachable):
            held.beat()
        silent[0] = False
        held.beat()
    assert not held.lost
    held.release()
    # The same where a run is taken: it was, and the next try takes it from oneself.
    create = driver.mirror.objects.create

    def created(key: str, content: bytes) -> bool:
        assert create(key, content)
        raise Unreachable("no answer")

    monkeypatch.setattr(driver.mirror.objects, "create", created)
    with pytest.raises(Unreachable):
        holding.take(driver.mirror, run_id)
    monkeypatch.setattr(driver.mirror.objects, "create", create)
    other.mirror.pull()
    assert directory_status(other.directory(run_id)).state is RunState.RUNNING
    holding.take(driver.mirror, run_id).release()
