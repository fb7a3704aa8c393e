"""Whatever happens to the bytes of a checkpoint, it is found, and the one before it is used."""

import json
import pickle
import random
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from archbench.results.runs import RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DiskRefused
from archbench.testing.small_runs import StopAfter
from archbench.training import checkpoint

OLDER, NEWER = "step-0000000005", "step-0000000009"
DAMAGES_EACH = 60
"""Of every region of a checkpoint, per sort of damage and seed."""


@pytest.fixture
def stopped(plan: Any, train_to_end: Any) -> RunDirectory:
    """A run with checkpoints of steps 5 and 9."""
    directory: RunDirectory = plan()
    train_to_end(directory, StopAfter(5))
    train_to_end(directory, StopAfter(4))
    assert sorted(path.name for path in directory.checkpoints_dir.iterdir()) == [OLDER, NEWER]
    return directory


def newest_step(directory: RunDirectory) -> int | None:
    loaded = checkpoint.load_newest(directory, directory.read_plan().identity.run_id)
    return None if loaded is None else loaded.step


def regions(folder: Path) -> list[tuple[Path, range]]:
    """Header and tensors of the safetensors file, and the two JSON files, as ranges of bytes."""
    tensors = folder / checkpoint.TENSORS
    size = tensors.stat().st_size
    with tensors.open("rb") as stream:
        header = 8 + int.from_bytes(stream.read(8), "little")
    whole = [folder / name for name in (checkpoint.PROGRESS, checkpoint.MANIFEST)]
    return [
        (tensors, range(8)),
        (tensors, range(8, header)),
        (tensors, range(header, size)),
        *((path, range(path.stat().st_size)) for path in whole),
    ]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_flipped_bit_anywhere_is_found(stopped: RunDirectory, seed: int) -> None:
    rng = random.Random(seed)
    for path, places in regions(stopped.checkpoints_dir / NEWER):
        content = path.read_bytes()
        for _ in range(DAMAGES_EACH):
            place, bit = rng.choice(places), rng.randrange(8)
            path.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :])
            assert newest_step(stopped) == 5, f"bit {bit} of byte {place} of {path.name} was not missed"
        path.write_bytes(content)
    assert newest_step(stopped) == 9


@pytest.mark.parametrize("seed", [0, 1])
def test_a_file_that_was_cut_off_anywhere_is_found(stopped: RunDirectory, seed: int) -> None:
    rng = random.Random(seed)
    for path, places in regions(stopped.checkpoints_dir / NEWER):
        content = path.read_bytes()
        lengths = {0, places.start, places.stop - 2, *(rng.choice(places) for _ in range(DAMAGES_EACH))}
        # A manifest without its last byte, a newline, still says all that it said.
        for length in sorted(lengths - {len(content) - 1} if path.name == checkpoint.MANIFEST else lengths):
            path.write_bytes(content[:length])
            assert newest_step(stopped) == 5, f"{path.name} cut off after {length} bytes was taken"
        path.write_bytes(content)
    assert newest_step(stopped) == 9


def test_damage_ends_in_the_bits_of_an_undisturbed_run(plan: Any, train_to_end: Any, stopped: RunDirectory) -> None:
    undisturbed = plan("undisturbed")
    train_to_end(undisturbed)
    for name in (NEWER, OLDER):
        path = stopped.checkpoints_dir / name / checkpoint.TENSORS
        path.write_bytes(path.read_bytes()[:-1])
    assert newest_step(stopped) is None
    assert train_to_end(stopped).state is RunState.DONE
    assert stopped.record_file.read_bytes() == undisturbed.record_file.read_bytes()


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def test_a_pickle_in_place_of_the_tensors_is_not_unpickled(stopped: RunDirectory, tmp_path: Path) -> None:
    folder, mark = stopped.checkpoints_dir / NEWER, tmp_path / "mark"
    planted = pickle.dumps(Planted(mark))
    (folder / checkpoint.TENSORS).write_bytes(planted)
    manifest = json.loads((folder / checkpoint.MANIFEST).read_bytes())
    manifest["sha256"][checkpoint.TENSORS] = sha256(planted).hexdigest()
    (folder / checkpoint.MANIFEST).write_text(json.dumps(manifest))
    assert newest_step(stopped) == 5
    assert not mark.exists()


def test_nothing_is_unpickled_while_a_checkpoint_is_read(stopped: RunDirectory) -> None:
    looked_up: list[Any] = []
    listening = True

    def listen(event: str, arguments: Any) -> None:
        if listening and event == "pickle.find_class":
            looked_up.append(arguments)

    sys.addaudithook(listen)
    pickle.loads(pickle.dumps(RunState.DONE))
    assert looked_up, "the hook hears of unpickling"
    looked_up.clear()
    assert newest_step(stopped) == 9
    listening = False
    assert looked_up == []


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to let a file grow beyond `size` bytes, as a full disk or a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_at_a_commit_ends_the_attempt_in_one_line_and_loses_nothing(
    plan: Any, train_to_end: Any
) -> None:
    undisturbed, full = plan("undisturbed"), plan("full")
    train_to_end(undisturbed)
    train_to_end(full, StopAfter(5))
    size = (full.checkpoints_dir / OLDER / checkpoint.TENSORS).stat().st_size
    before = {path: path.read_bytes() for path in full.checkpoints_dir.rglob("*") if path.is_file()}
    for limit in (size // 2, size - 1):
        with (
            files_of_at_most(limit),
            pytest.raises(DiskRefused, match=rf"{NEWER}: cannot be written: File too large; free space") as caught,
        ):
            train_to_end(full, StopAfter(4))
        assert "\n" not in str(caught.value)
        # The checkpoint before is there, byte for byte, and nothing that was begun.
        assert {path: path.read_bytes() for path in full.checkpoints_dir.rglob("*") if path.is_file()} == before
        assert [path.name for path in full.checkpoints_dir.iterdir()] == [OLDER]
        assert not full.record_file.exists()
    assert train_to_end(full).state is RunState.DONE
    assert full.record_file.read_bytes() == undisturbed.record_file.read_bytes()


def test_leftovers_of_a_commit_that_was_cut_off_are_cleared_away(stopped: RunDirectory, train_to_end: Any) -> None:
    leftover = stopped.checkpoints_dir / ".step-0000000011.4711"
    shutil.copytree(stopped.checkpoints_dir / NEWER, leftover)
    assert newest_step(stopped) == 9
    assert train_to_end(stopped, StopAfter(1)) is None
    assert not leftover.exists()
