"""Checkpoints that exist whole or not at all, and are read without running anything that they contain.

One is a folder `step-<steps>` with `tensors.safetensors`, `progress.json` and `manifest.json`, which holds the SHA-256
of both. It is written beside its place, flushed, and renamed; what does not match its manifest is passed over.
Where several ranks train, `rank-<number>.safetensors` holds what is a rank's own (its part of the optimiser, the memory
of its rows), and the one manifest, which rank 0 writes last, holds the SHA-256 of all of them.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from archbench.durable import write_through
from archbench.errors import StoreError
from archbench.runs.checkpoint_files import MANIFEST, checkpoint_name, newest_first
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DiskRefused, Guard, commit_folder, to_json
from archbench.training.ranks import ALONE, Ranks

log = logging.getLogger(__name__)

FORMAT = 1
KEPT = 2
"""Checkpoints kept: the newest, and one to fall back on."""

TENSORS = "tensors.safetensors"
PROGRESS = "progress.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a run after `step` optimiser steps."""

    step: int
    tensors: Mapping[str, Tensor]
    """Of the whole run, in CPU memory; rank 0's are stored."""
    progress: Mapping[str, Any]
    """Everything else, as JSON values; rank 0's are stored."""
    own: Mapping[str, Tensor] = field(default_factory=dict)
    """What is this rank's alone; empty where one process trains."""


def save(
    directory: RunDirectory, run_id: str, checkpoint: Checkpoint, ranks: Ranks = ALONE, guard: Guard = nullcontext
) -> None:
    """Commits `checkpoint` and drops all but the newest `KEPT`. Raises DiskRefused where the disk does not take it.

    Called by all ranks. It is there once rank 0 has returned. `guard` is entered by rank 0 where it takes things away
    or moves them into place, and may raise.
    """
    _commit(directory.checkpoints_dir, run_id, checkpoint, ranks, guard, kept=KEPT)


def keep(
    directory: RunDirectory, run_id: str, checkpoint: Checkpoint, ranks: Ranks = ALONE, guard: Guard = nullcontext
) -> None:
    """Commits `checkpoint` for runs that branch off there; it stays. Called and raises as `save`."""
    _commit(directory.kept_dir, run_id, checkpoint, ranks, guard, kept=None)


def _commit(root: Path, run_id: str, checkpoint: Checkpoint, ranks: Ranks, guard: Guard, *, kept: int | None) -> None:
    final = root / checkpoint_name(checkpoint.step)
    try:
        if ranks.first:
            with guard():  # what is left over may be what somebody who has taken the run over is writing
                root.mkdir(exist_ok=True)
                _remove_leftovers(root)
        staging = root / f".{final.name}.ranks"
        own = _write_own(staging, checkpoint, ranks)
        if not ranks.first:
            return
        contents = {
            TENSORS: safetensors.torch.save(dict(checkpoint.tensors)),
            PROGRESS: to_json(dict(checkpoint.progress)),
        }
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        manifest = {
            "format": FORMAT,
            "run_id": run_id,
            "step": checkpoint.step,
            "sha256": hashes | {path.name: found for path, found in own.items()},
        }
        if ranks.size > 1:
            manifest["ranks"] = ranks.size
        # One of the same step was passed over as corrupt, or has the same content.
        commit_folder(final, {**contents, MANIFEST: to_json(manifest)}, moved=tuple(own), guard=guard)
        shutil.rmtree(staging, ignore_errors=True)
        for old in newest_first(root)[kept:] if kept else ():
            shutil.rmtree(old)
    except OSError as error:
        raise DiskRefused(
            f"{final}: cannot be written: {error.strerror}; free space or choose another --runs"
        ) from error


def _write_own(folder: Path, checkpoint: Checkpoint, ranks: Ranks) -> dict[Path, str]:
    """Writes what is this rank's own into `folder`; every rank's file and its SHA-256, once all have written theirs."""
    if ranks.size == 1:
        return {}
    if ranks.first:
        folder.mkdir()
    ranks.told(None)  # Now it is there.
    content = safetensors.torch.save(dict(checkpoint.own))
    write_through(folder / _rank_file(ranks.rank), content)
    hashes = ranks.all_told(hashlib.sha256(content).hexdigest())
    return {folder / _rank_file(rank): found for rank, found in enumerate(hashes)}


def load_newest(directory: RunDirectory, run_id: str, ranks: Ranks = ALONE) -> Checkpoint | None:
    """The newest whole checkpoint of the run; None without one. Those passed over are logged with the reason.

    Called by all ranks: rank 0 looks through everybody's files, and the others take the one that it found.
    """
    return _agreed(directory.checkpoints_dir, run_id, ranks, "an older checkpoint is used if there is one")


def load_kept(directory: RunDirectory, run_id: str, step: int, ranks: Ranks = ALONE) -> Checkpoint | None:
    """The checkpoint that the run kept at `step`; None, with a line in the log, where it is missing or damaged."""
    return _agreed(directory.kept_dir, run_id, ranks, "the run takes its first steps itself", step)


def _agreed(root: Path, run_id: str, ranks: Ranks, instead: str, step: int | None = None) -> Checkpoint | None:
    """The newest whole checkpoint in `root`, or the one at `step`."""
    found = None
    if ranks.first:
        for path in newest_first(root) if step is None else [root / checkpoint_name(step)]:
            try:
                found = _load(path, run_id, ranks)
                break
            except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
                reason = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
                log.warning("%s: passed over: %s; %s", path, reason, instead)
    name = ranks.told(None if found is None else checkpoint_name(found.step))
    if ranks.first or name is None:
        return found
    try:
        return _load(root / name, run_id, ranks)
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise StoreError(f"{root / name}: rank {ranks.rank} cannot read it: {error}") from error


def discard_all(directory: RunDirectory) -> None:
    """Removes all checkpoints of a run that has ended."""
    shutil.rmtree(directory.checkpoints_dir, ignore_errors=True)


def _load(path: Path, run_id: str, ranks: Ranks) -> Checkpoint:
    manifest = json.loads((path / MANIFEST).read_bytes())
    expected = {"format": FORMAT, "run_id": run_id}
    for key, value in expected.items():
        if manifest[key] != value:
            raise ValueError(f"its {key} is {manifest[key]!r}, expected {value!r}")
    if path.name != checkpoint_name(manifest["step"]):
        raise ValueError(f"it says to be of step {manifest['step']!r}")
    if (stored_by := manifest.get("ranks", 1)) != ranks.size:
        raise ValueError(f"it was stored by {stored_by} processes, the run is now trained by {ranks.size}")
    every = [_rank_file(rank) for rank in range(ranks.size)] if ranks.size > 1 else []
    mine = every[ranks.rank : ranks.rank + 1]
    contents = {name: (path / name).read_bytes() for name in (TENSORS, PROGRESS, *(every if ranks.first else mine))}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest["sha256"][name]:
            raise ValueError(f"{name} does not match its SHA-256")
    return Checkpoint(
        manifest["step"],
        safetensors.torch.load(contents[TENSORS]),
        json.loads(contents[PROGRESS]),
        own={key: tensor for name in mine for key, tensor in safetensors.torch.load(contents[name]).items()},
    )


def _rank_file(rank: int) -> str:
    return f"rank-{rank:05d}.safetensors"


def _remove_leftovers(root: Path) -> None:
    for leftover in root.glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)
