"""The final weights of a run, kept for runs that begin from them: whole or absent, hashed, never unpickled."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import safetensors.torch
from torch import Tensor

from archbench.errors import StoreError
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DiskRefused, Guard, commit_folder, to_json

FORMAT = 1
TENSORS = "model.safetensors"
MANIFEST = "manifest.json"


def keep_weights(
    directory: RunDirectory, run_id: str, tensors: Mapping[str, Tensor], guard: Guard = nullcontext
) -> None:
    """Commits the parameters and buffers of the trained module, under `guard`.

    Raises DiskRefused where the disk does not take them.
    """
    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    manifest = {"format": FORMAT, "run_id": run_id, "sha256": {TENSORS: hashlib.sha256(content).hexdigest()}}
    try:
        commit_folder(directory.weights_dir, {TENSORS: content, MANIFEST: to_json(manifest)}, guard=guard)
    except OSError as error:
        raise DiskRefused(
            f"{directory.weights_dir}: cannot be written: {error.strerror}; free space or choose another --runs"
        ) from error


def read_weights(folder: Path, run_id: str) -> dict[str, Tensor]:
    """The weights of the run `run_id` in `folder`, by name.

    Raises StoreError with the remedy where they are missing, damaged or another run's.
    """
    again = "run the scan's command again: the run that they come from is then trained anew, to the same bits"
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        content = (folder / TENSORS).read_bytes()
        if manifest["format"] != FORMAT or manifest["run_id"] != run_id:
            raise ValueError("they are another run's")
        if hashlib.sha256(content).hexdigest() != manifest["sha256"][TENSORS]:
            raise ValueError(f"{TENSORS} does not match its SHA-256")
        return safetensors.torch.load(content)
    except OSError as error:
        raise StoreError(f"{folder}: the weights to begin from cannot be read: {error.strerror}; {again}") from error
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise StoreError(
            f"{folder}: the weights to begin from are damaged: {error}; delete the folder and {again}"
        ) from error
