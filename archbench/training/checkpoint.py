"""Checkpoints that exist whole or not at all, and are read without running anything that they contain.

One is a folder `step-<steps>` with `tensors.safetensors`, `progress.json` and `manifest.json`, which holds the SHA-256
of both. It is written beside its place, flushed, and renamed; what does not match its manifest is passed over.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from archbench.errors import StoreError
from archbench.runs.directory import RunDirectory
from archbench.runs.files import commit_folder, to_json

log = logging.getLogger(__name__)

FORMAT = 1
KEPT = 2
"""Checkpoints kept: the newest, and one to fall back on."""

TENSORS = "tensors.safetensors"
PROGRESS = "progress.json"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a run after `step` optimiser steps."""

    step: int
    tensors: Mapping[str, Tensor]
    """In CPU memory."""
    progress: Mapping[str, Any]
    """Everything else, as JSON values."""


def save(directory: RunDirectory, run_id: str, checkpoint: Checkpoint) -> None:
    """Commits `checkpoint` and drops all but the newest `KEPT`. Raises StoreError where the disk does not take it."""
    _commit(directory.checkpoints_dir, run_id, checkpoint, kept=KEPT)


def keep(directory: RunDirectory, run_id: str, checkpoint: Checkpoint) -> None:
    """Commits `checkpoint` for runs that branch off there; it stays. Raises StoreError as `save`."""
    _commit(directory.kept_dir, run_id, checkpoint, kept=None)


def _commit(root: Path, run_id: str, checkpoint: Checkpoint, *, kept: int | None) -> None:
    final = root / _name(checkpoint.step)
    contents = {
        TENSORS: safetensors.torch.save(dict(checkpoint.tensors)),
        PROGRESS: to_json(dict(checkpoint.progress)),
    }
    manifest = {
        "format": FORMAT,
        "run_id": run_id,
        "step": checkpoint.step,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    try:
        root.mkdir(exist_ok=True)
        _remove_leftovers(root)
        # One of the same step was passed over as corrupt, or has the same content.
        commit_folder(final, {**contents, MANIFEST: to_json(manifest)})
        for old in _newest_first(root)[kept:] if kept else ():
            shutil.rmtree(old)
    except OSError as error:
        raise StoreError(
            f"{final}: cannot be written: {error.strerror}; free space or choose another --runs"
        ) from error


def load_newest(directory: RunDirectory, run_id: str) -> Checkpoint | None:
    """The newest whole checkpoint of the run; None without one. Those passed over are logged with the reason."""
    for path in _newest_first(directory.checkpoints_dir):
        try:
            return _load(path, run_id)
        except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            reason = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
            log.warning("%s: passed over: %s; an older checkpoint is used if there is one", path, reason)
    return None


def load_kept(directory: RunDirectory, run_id: str, step: int) -> Checkpoint | None:
    """The checkpoint that the run kept at `step`; None, with a line in the log, where it is missing or damaged."""
    path = directory.kept_dir / _name(step)
    try:
        return _load(path, run_id)
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        log.warning("%s: cannot be branched off: %s; the run takes its first steps itself", path, error)
        return None


def discard_all(directory: RunDirectory) -> None:
    """Removes all checkpoints of a run that has ended."""
    shutil.rmtree(directory.checkpoints_dir, ignore_errors=True)


def _load(path: Path, run_id: str) -> Checkpoint:
    manifest = json.loads((path / MANIFEST).read_bytes())
    expected = {"format": FORMAT, "run_id": run_id}
    for key, value in expected.items():
        if manifest[key] != value:
            raise ValueError(f"its {key} is {manifest[key]!r}, expected {value!r}")
    if path.name != _name(manifest["step"]):
        raise ValueError(f"it says to be of step {manifest['step']!r}")
    contents = {name: (path / name).read_bytes() for name in (TENSORS, PROGRESS)}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest["sha256"][name]:
            raise ValueError(f"{name} does not match its SHA-256")
    return Checkpoint(manifest["step"], safetensors.torch.load(contents[TENSORS]), json.loads(contents[PROGRESS]))


def _name(step: int) -> str:
    return f"step-{step:010d}"


def _newest_first(root: Path) -> list[Path]:
    return sorted(root.glob("step-*"), reverse=True) if root.is_dir() else []


def _remove_leftovers(root: Path) -> None:
    for leftover in root.glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)
