"""What is stored is believed only if it is so: single damages of every sealed file, in hundreds."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archbench.errors import StoreError
from archbench.results.runs import RunRecord, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, to_json
from archbench.runs.imported import IMPORTED_FILE, imported_run_id, read_imported, write_imported
from archbench.runs.records import read_end, read_record
from archbench.runs.sealed import FORMAT, read_sealed, seal, write_sealed
from archbench.runs.store import RunStore
from archbench.testing.damage import damages
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_store import store_records

COUNTS = [80, pytest.param(400, marks=pytest.mark.thorough)]
FILES = ["plan.json", "record.json", "timings.json", "demo.json"]


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """One run of one scan."""
    store = RunStore(tmp_path / "runs")
    plan = SyntheticScan(sizes=(10_000,), seeds=(1,), points=8)
    store_records(store, "demo", synthetic_records("gpt2", SyntheticLaw(), plan))
    return store


def files(store: RunStore) -> dict[str, Path]:
    directory = next(iter(store.directories())).path
    return {name: next(path for path in (directory / name, store.scans_dir / name) if path.exists()) for name in FILES}


def told(store: RunStore) -> Any:
    """All that commands are told of the store's one run, and what is wrong with it."""
    index = store.scan("demo")
    records, problems = store.records(index)
    directory = store.directory(index.runs[0].run_id)
    return (index, records, read_end(directory), directory.read_plan()), problems


def told_or_refused(store: RunStore) -> Any:
    try:
        return told(store)
    except StoreError as error:
        return None, [str(error)]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("count", COUNTS)
def test_no_single_damage_changes_what_is_told_in_silence(store: RunStore, name: str, count: int) -> None:
    whole, (before, _) = files(store)[name].read_bytes(), told(store)
    for what, damaged in damages(whole, count, seed=count):
        files(store)[name].write_bytes(damaged)
        after, problems = told_or_refused(store)
        assert after == before or any(name in problem for problem in problems), what
        assert all("\n" not in problem for problem in problems), what
        files(store)[name].write_bytes(whole)


def test_fields_that_records_did_not_always_have_change_no_id_of_an_imported_run(tmp_path: Path) -> None:
    (record,) = synthetic_records("theirs", SyntheticLaw(), SyntheticScan(sizes=(10_000,), seeds=(1,), points=8))
    record = replace(record, run_id=imported_run_id(record))
    directory = RunDirectory(tmp_path / record.run_id[:16])
    write_imported(directory, record)
    content = (directory.path / IMPORTED_FILE).read_bytes()
    assert b"processor_seconds" not in content
    assert b'"final"' not in content
    timed = replace(record, curve=tuple(replace(point, processor_seconds=1.0) for point in record.curve))
    assert imported_run_id(timed) != record.run_id


@pytest.mark.parametrize("count", COUNTS)
def test_no_single_damage_of_an_imported_run_is_silent(tmp_path: Path, count: int) -> None:
    (record,) = synthetic_records("theirs", SyntheticLaw(), SyntheticScan(sizes=(10_000,), seeds=(1,), points=8))
    record = replace(record, run_id="")
    record = replace(record, run_id=imported_run_id(record))
    directory = RunDirectory(tmp_path / record.run_id[:16])
    write_imported(directory, record)
    path = directory.path / IMPORTED_FILE

    def read() -> RunRecord | str | None:
        try:
            return read_imported(directory, contender="theirs", size_index=0)
        except StoreError as error:
            return str(error)

    whole, before = path.read_bytes(), read()
    for what, damaged in damages(whole, count, seed=count):
        path.write_bytes(damaged)
        found = read()
        assert found == before or IMPORTED_FILE in str(found), what


def test_the_changed_loss_that_nobody_saw_is_named(store: RunStore) -> None:
    path = files(store)["record.json"]
    content = json.loads(path.read_bytes())
    content["curve"][-1]["validation_loss_nats"] -= 2.0
    path.write_bytes(to_json(content))
    with pytest.raises(DamagedFile, match=r"record\.json: is damaged: its content is not what its digest was made of"):
        told_record(store)


def told_record(store: RunStore) -> RunRecord | None:
    return read_record(next(iter(store.directories())), contender="a", size_index=0)


def test_a_record_laid_out_anew_is_the_same_record(store: RunStore) -> None:
    path, before = files(store)["record.json"], told_record(store)
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=None))
    assert told_record(store) == before


def test_a_record_in_another_runs_directory_is_named(store: RunStore, tmp_path: Path) -> None:
    other = RunStore(tmp_path / "other")
    plan = SyntheticScan(sizes=(20_000,), seeds=(1,), points=8)
    store_records(other, "demo", synthetic_records("llama", SyntheticLaw(), plan))
    files(store)["record.json"].write_bytes(files(other)["record.json"].read_bytes())
    with pytest.raises(DamagedFile, match="is damaged: it is the run"):
        told_record(store)


def test_a_sealed_file_has_the_bytes_of_its_content(tmp_path: Path) -> None:
    content = {"zeta": [1, 2.5, None], "alpha": {"digest": "of something else"}}
    write_sealed(tmp_path / "a", content)
    write_sealed(tmp_path / "b", dict(reversed(content.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    sealed = read_sealed(tmp_path / "a", "do something")
    assert (sealed.content, sealed.format, sealed.protected) == (content, FORMAT, True)


@pytest.mark.parametrize("number", [10**400, -(2**64), [1.5, {"b": 10**30}]])
def test_a_number_beyond_floats_is_damage_though_somebody_made_a_digest_that_fits(tmp_path: Path, number: Any) -> None:
    (tmp_path / "some.json").write_bytes(seal({"a": number, "z": "0" * 64}))
    with pytest.raises(DamagedFile, match=r"is damaged: a[.\w]*: an integer of more than 64 bits; do something"):
        read_sealed(tmp_path / "some.json", "do something")
    (tmp_path / "sound.json").write_bytes(seal({"a": [2**64 - 1, 1.7e308, 5e-324], "z": "0" * 64}))
    assert read_sealed(tmp_path / "sound.json", "do something").content["a"] == [2**64 - 1, 1.7e308, 5e-324]


def test_a_newer_format_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_bytes(seal({"a": 1}, FORMAT + 1))
    with pytest.raises(StoreError, match=f"has format {FORMAT + 1}, this archbench reads up to {FORMAT}") as caught:
        read_sealed(tmp_path / "new.json", "do something")
    assert not isinstance(caught.value, DamagedFile)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not JSON"),
        (b"[1]", "expected an object, got list"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": 1e999}', "a: a number beyond every float"),
        (b'{"a": [{"b": 1' + b"0" * 400 + b"}]}", r"a.0.b: an integer of more than 64 bits"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"format": 2}', "format 2 has a digest, and there is none"),
        (b'{"format": true}', "format is True"),
        (b'{"format": 0}', "format is 0"),
    ],
)
def test_what_is_no_sealed_file_is_told_in_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=problem) as caught:
        read_sealed(path, "do something")
    assert str(caught.value).startswith(f"{path}: is damaged: ")
    assert str(caught.value).endswith("; do something")


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("pipe.json", "missing.json", "."):
        with pytest.raises(StoreError, match="cannot be read: is no"):
            read_sealed(tmp_path / name, "do something")


OLD = Path(__file__).parents[2] / "golden" / "release_0_1_0" / "runs"
"""A store that version 0.1.0 wrote; every later version must open it."""


def test_a_store_of_0_1_0_opens_and_is_said_to_be_unprotected() -> None:
    store = RunStore(OLD)
    records, problems = store.records(store.scan("old"))
    assert problems == ()
    assert [record.state for record in records] == [RunState.DONE] * 14
    assert {record.details["protected"] for record in records} == {False}
    assert all(point.device_seconds is not None for record in records for point in record.curve)
    for directory in store.directories():
        plan = directory.read_plan()
        record = read_end(directory)
        assert record is not None
        assert (record.run_id, record.details["protected"]) == (plan.identity.run_id, False)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("validation_loss_nats", 1.33, "validation_loss_nats 1.33 and bits_per_byte [0-9.]* belie each other"),
        ("bits_per_byte", 1.0, "belie each other"),
        ("validation_loss_nats", -5.0, "validation_loss_nats is -5"),
        ("tokens", 1, "1 tokens at step 78 are not those of its plan"),
        ("step", 5, "1[0-9,]* tokens at step 5 are not those of its plan"),
        ("exact_flops", 1e3, "exact_flops 1000 are not those of its tokens"),
        ("kaplan_flops", 1e3, "kaplan_flops 1000 are not those of its tokens"),
        ("exact_flops", 10**400, "an integer of more than 64 bits"),
    ],
)
def test_a_figure_of_an_old_record_that_others_belie_is_named(
    tmp_path: Path, name: str, value: float, problem: str
) -> None:
    shutil.copytree(OLD, tmp_path / "runs")
    directory = next(iter(RunStore(tmp_path / "runs").directories()))
    content = json.loads(directory.record_file.read_bytes())
    content["curve"][-1][name] = value
    directory.record_file.write_text(json.dumps(content))
    with pytest.raises(DamagedFile, match=rf"record\.json: is damaged: .*{problem}"):
        read_record(directory, contender="a", size_index=0)


def test_points_of_a_curve_that_change_places_are_named(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "runs")
    directory = next(iter(RunStore(tmp_path / "runs").directories()))
    content = json.loads(directory.record_file.read_bytes())
    content["curve"].reverse()
    directory.record_file.write_text(json.dumps(content))
    with pytest.raises(DamagedFile, match=r"curve\[1\]: step 20 comes after 78"):
        read_record(directory, contender="a", size_index=0)
