"""What a working folder shows of a store, and what of it goes there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archbench.errors import SpecError, StoreError
from archbench.results.runs import RunState
from archbench.runs import binding
from archbench.runs.prune import Removable, remnants, remove
from archbench.runs.queue import call_off, discard_mark, is_called_off, mark_queued, read_mark
from archbench.runs.remote import holding, working_folder
from archbench.runs.remote.objects import Objects
from archbench.runs.store import IndexedRun, RunStore, ScanIndex, directory_status

Machines = Callable[[str], Any]


def test_plans_and_lists_come_to_other_machines(planned: tuple[Any, str], machine: Machines) -> None:
    driver, run_id = planned
    other = machine("other")
    other.mirror.pull()
    assert other.store.scan_names() == ["tiny"]
    assert other.store.scan("tiny") == driver.store.scan("tiny")
    assert other.directory(run_id).read_plan() == driver.directory(run_id).read_plan()
    assert directory_status(other.directory(run_id)).state is RunState.PLANNED


def test_what_has_not_changed_is_not_asked_for_again(
    planned: tuple[Any, str], machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = machine("other")
    other.mirror.pull()
    asked: list[str] = []
    # A command of its own knows what the folder has.
    again = type(other.mirror)(other.mirror.root, other.mirror.objects)
    monkeypatch.setattr(again.objects, "get", lambda key: asked.append(key))
    again.pull()
    assert asked == []


def test_marks_go_both_ways(planned: tuple[Any, str], machine: Machines) -> None:
    driver, run_id = planned
    other = machine("other")
    mark_queued(driver.directory(run_id), "slurm")
    driver.mirror.push_marks()
    other.mirror.pull()
    mark = read_mark(other.directory(run_id))
    assert mark is not None
    assert mark.state is RunState.QUEUED
    call_off(other.directory(run_id))
    other.mirror.push_marks()
    driver.mirror.pull()
    assert is_called_off(driver.directory(run_id))
    discard_mark(driver.directory(run_id))
    driver.mirror.push_marks()
    other.mirror.pull()
    assert read_mark(other.directory(run_id)) is None


def test_a_list_that_somebody_else_has_stored_meanwhile_is_looked_at_first(
    planned: tuple[Any, str], machine: Machines
) -> None:
    driver, run_id = planned
    other = machine("other")
    other.mirror.pull()
    run = IndexedRun(contender="gpt2", size_index=0, seed=0, run_id=run_id)

    def index(description: str) -> ScanIndex:
        return ScanIndex(name="tiny", description=description, baseline=None, runs=(run,), spec={}, environment={})

    assert driver.mirror.push_scan(driver.store.save_scan(index("driver's")))
    path = other.store.save_scan(index("other's"))
    assert not other.mirror.push_scan(path)
    other.mirror.pull()
    assert other.store.scan("tiny").description == "driver's"
    assert other.mirror.push_scan(other.store.save_scan(index("other's")))
    driver.mirror.pull()
    assert driver.store.scan("tiny").description == "other's"


def test_a_damaged_list_leaves_what_was_there(planned: tuple[Any, str], machine: Machines, objects: Objects) -> None:
    _, run_id = planned
    other = machine("other")
    other.mirror.pull()
    held = holding.take(other.mirror, run_id)
    held.release()
    for key in objects.keys("state/head/"):
        objects.put(key, b"{}")
    third = machine("third")
    third.mirror.pull()
    assert directory_status(third.directory(run_id)).state is RunState.PLANNED
    with pytest.raises(StoreError, match="is damaged") as told:
        holding.take(third.mirror, run_id)
    assert "\n" not in str(told.value)


def test_names_that_lead_elsewhere_are_passed_over(
    planned: tuple[Any, str], machine: Machines, objects: Objects, tmp_path: Path
) -> None:
    objects.put("state/scan/.hidden/000000000001", b"{}")
    objects.put("state/plan/0123/000000000001", b"{}")
    objects.put("state/unknown/0123456789abcdef/000000000001", b"{}")
    objects.put("state/scan/stray", b"{}")
    other = machine("other")
    other.mirror.pull()
    assert sorted(path.name for path in (tmp_path / "other" / "scans").glob("*.json")) == ["tiny.json"]


def test_a_run_that_was_pruned_is_gone_everywhere(
    planned: tuple[Any, str], machine: Machines, objects: Objects, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, run_id = planned
    other = machine("other")
    other.mirror.pull()
    monkeypatch.setitem(working_folder._opened, driver.mirror.root.resolve(), (driver.mirror, None))
    found, left = remnants(driver.store, [Removable.UNSTARTED])
    assert [one.name for one in found] == [run_id[:16]]
    assert left == []
    for one in found:
        remove(one)
    assert list(driver.store.directories()) == []
    other.mirror.pull()
    assert list(other.store.directories()) == []
    assert objects.keys("files/") == []


def test_a_folder_says_what_it_follows_and_keeps_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    working_folder.bind(folder, "s3://bucket/a/")
    assert binding.url_of(folder) == "s3://bucket/a"
    assert binding.address_of(folder) == "s3://bucket/a"
    working_folder.bind(folder, "s3://bucket/a")
    with pytest.raises(SpecError, match="follows s3://bucket/a, not s3://bucket/b"):
        working_folder.bind(folder, "s3://bucket/b")
    (folder / working_folder.BINDING_FILE).write_text(json.dumps({"url": 3}))
    with pytest.raises(StoreError, match="names no store"):
        binding.url_of(folder)
    assert binding.address_of(tmp_path) == str(tmp_path.resolve())


def test_a_folder_with_runs_of_its_own_follows_nothing(planned: tuple[Any, str]) -> None:
    driver, _ = planned
    with pytest.raises(SpecError, match="holds runs of its own"):
        working_folder.bind(driver.store.root, "s3://bucket/a")


def test_two_processes_train_in_folders_of_their_own(
    planned: tuple[Any, str], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(working_folder, "_opened", {})
    first = working_folder.follow_url(url, training=True)
    try:
        opened = dict(working_folder._opened)
        working_folder._opened.clear()  # as another process has it
        assert working_folder.follow_url(url, training=False) == first
        assert working_folder._opened == {}, "whoever reads leaves the folder to who trains in it"
        second = working_folder.follow_url(url, training=True)
        assert second != first
        assert RunStore(second).scan_names() == ["tiny"]
        working_folder.close(second)
    finally:
        working_folder._opened.update(opened)
        working_folder.close(first)
