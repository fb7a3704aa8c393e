"""Names of a checkpoint's folder and files, and whether all of it is there: for what reads no tensors."""

import json
from collections.abc import Mapping
from pathlib import Path

MANIFEST = "manifest.json"


def checkpoint_name(step: int) -> str:
    """The folder of the checkpoint after `step` optimiser steps."""
    return f"step-{step:010d}"


def newest_first(root: Path) -> list[Path]:
    """The checkpoints in the folder `root`; none where there is no such folder."""
    return sorted(root.glob("step-*"), reverse=True) if root.is_dir() else []


def files_of(folder: Path) -> list[str]:
    """Names of the files of the checkpoint in `folder`, its manifest last; none where one of them is missing.

    Their contents are not read: whoever goes on from them compares them with the manifest.
    """
    try:
        names = json.loads((folder / MANIFEST).read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if not isinstance(names, Mapping) or not all((folder / name).is_file() for name in names):
        return []
    return [*names, MANIFEST]
