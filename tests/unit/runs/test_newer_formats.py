"""What a newer version wrote is refused in one line that says what to do: it is no damage, and stays as it is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archbench.cli.main import exit_code_of
from archbench.errors import StoreError
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, NewerFormat
from archbench.runs.imported import IMPORTED_FILE, read_imported, write_imported
from archbench.runs.records import read_end, read_record
from archbench.runs.sealed import FORMAT, seal
from archbench.runs.store import RunStore, damages_of
from archbench.spec.identity import IDENTITY_FORMAT
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_store import store_records

UPDATE = f"has format {FORMAT + 1}, this archbench reads up to {FORMAT}; update archbench"
UPDATE_IDENTITY = f"has format {IDENTITY_FORMAT + 1}, this archbench reads up to {IDENTITY_FORMAT}; update archbench"


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "runs")
    plan = SyntheticScan(sizes=(10_000, 20_000), seeds=(1, 1), points=8)
    store_records(store, "demo", synthetic_records("gpt2", SyntheticLaw(), plan))
    return store


def first(store: RunStore) -> RunDirectory:
    return next(iter(store.directories()))


def of_a_newer_version(path: Path) -> bytes:
    """Writes `path` as one would that knows one more key."""
    content = json.loads(path.read_bytes())
    del content["digest"]
    path.write_bytes(seal({**content, "later": {"known": True}}, FORMAT + 1))
    return path.read_bytes()


def with_an_identity_of_a_newer_version(path: Path) -> bytes:
    """The same of the identity inside, whose id is then another one than this version would give it."""
    content = json.loads(path.read_bytes())
    del content["digest"]
    content["identity"] |= {"format": IDENTITY_FORMAT + 1, "later": 1}
    path.write_bytes(seal(content, FORMAT))
    return path.read_bytes()


def read_whole(directory: RunDirectory) -> object:
    return read_record(directory, contender="gpt2", size_index=0)


@pytest.mark.parametrize("read", [read_whole, read_end, damages_of])
@pytest.mark.parametrize(
    ("change", "problem"), [(of_a_newer_version, UPDATE), (with_an_identity_of_a_newer_version, UPDATE_IDENTITY)]
)
def test_a_newer_record_is_refused_and_no_damage(
    store: RunStore, change: Callable[[Path], bytes], problem: str, read: Callable[[RunDirectory], Any]
) -> None:
    change(first(store).record_file)
    with pytest.raises(NewerFormat, match=rf"record\.json: .*{problem}$") as refused:
        read(first(store))
    assert not isinstance(refused.value, DamagedFile)


@pytest.mark.parametrize(
    ("change", "problem"), [(of_a_newer_version, UPDATE), (with_an_identity_of_a_newer_version, UPDATE_IDENTITY)]
)
def test_a_newer_plan_is_refused_and_not_written_over(
    store: RunStore, change: Callable[[Path], bytes], problem: str
) -> None:
    directory = first(store)
    plan, newer = directory.read_plan(), change(directory.plan_file)
    for attempt in (directory.read_plan, lambda: damages_of(directory), lambda: store.prepare(plan)):
        with pytest.raises(NewerFormat, match=rf"plan\.json: .*{problem}$"):
            attempt()
    assert directory.plan_file.read_bytes() == newer


def test_newer_timings_cost_seconds_and_are_no_reason_to_train_again(store: RunStore) -> None:
    newer = of_a_newer_version(first(store).timings_file)
    record = read_record(first(store), contender="gpt2", size_index=0)
    assert record is not None
    assert record.details["problem"].endswith(UPDATE)
    assert {point.device_seconds for point in record.curve} == {None}
    with pytest.raises(NewerFormat, match=rf"timings\.json: {UPDATE}"):
        damages_of(first(store))
    assert first(store).timings_file.read_bytes() == newer


def test_a_newer_imported_run_and_a_newer_list_are_refused(store: RunStore, tmp_path: Path) -> None:
    (record,) = synthetic_records("theirs", SyntheticLaw(), SyntheticScan(sizes=(10_000,), seeds=(1,), points=8))
    directory = RunDirectory(tmp_path / "theirs")
    write_imported(directory, record)
    of_a_newer_version(directory.path / IMPORTED_FILE)
    with pytest.raises(NewerFormat, match=UPDATE):
        read_imported(directory, contender="theirs", size_index=0)
    of_a_newer_version(store.scans_dir / "demo.json")
    with pytest.raises(NewerFormat, match=UPDATE):
        store.scan("demo")


@pytest.mark.parametrize("format_of_it", [None, "3", 3.0, [3]])
def test_an_identity_whose_format_is_no_number_is_damage(store: RunStore, format_of_it: Any) -> None:
    path = first(store).record_file
    content = json.loads(path.read_bytes())
    content["identity"]["format"] = format_of_it
    del content["digest"]
    path.write_bytes(seal(content))
    with pytest.raises(StoreError, match="is damaged: format: Input should be 1 or 2") as refused:
        read_end(first(store))
    assert isinstance(refused.value, DamagedFile)


@pytest.mark.parametrize("change", [of_a_newer_version, with_an_identity_of_a_newer_version])
def test_commands_say_what_to_do_and_change_nothing(
    store: RunStore, change: Callable[[Path], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    change(first(store).record_file)
    before = {path: path.read_bytes() for path in store.root.rglob("*.json")}
    codes, said = {}, {}
    for words in ("runs list", "status demo", "runs rerun --damaged --yes", f"runs show {first(store).path.name}"):
        codes[words] = exit_code_of([*words.split(), "--runs", str(store.root)], debug=False)
        said[words] = "".join(capsys.readouterr())
    assert list(codes.values()) == [0, 0, 4, 4]
    name = first(store).path.name
    for line in ("\n".join(said.values())).splitlines():
        assert "damage" not in line or name not in line, line
    assert all("update archbench" in " ".join(text.split()) for text in said.values())
    assert f"{name}  unreadable: " in said["runs list"]
    assert "demo: 1 done, 1 missing or unreadable" in said["status demo"]
    assert {path: path.read_bytes() for path in store.root.rglob("*.json")} == before
