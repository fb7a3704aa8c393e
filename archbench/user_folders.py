"""The folders of the person who runs this: what may be thrown away, what is remembered, and settings (XDG base
directories)."""

import os
from pathlib import Path

from archbench.errors import DataError

_FOLDER = "archbench"


def cache_folder() -> Path:
    """$ARCHBENCH_CACHE, else `archbench` in the user's cache folder.

    Raises DataError where there is no home to have one in: a user whom the system does not know, without HOME.
    """
    if chosen := os.environ.get("ARCHBENCH_CACHE"):
        return Path(chosen)
    return _below("XDG_CACHE_HOME", ".cache", "name a folder by --cache, $ARCHBENCH_CACHE or $HOME")


def config_folder() -> Path:
    """`archbench` in the user's folder of settings. Raises DataError as `cache_folder`."""
    return _below("XDG_CONFIG_HOME", ".config", "name a folder by $XDG_CONFIG_HOME or $HOME")


def state_folder() -> Path:
    """`archbench` in the user's state folder. Raises DataError as `cache_folder`."""
    return _below("XDG_STATE_HOME", ".local/state", "name a folder by $XDG_STATE_HOME or $HOME")


def _below(variable: str, usual: str, remedy: str) -> Path:
    if chosen := os.environ.get(variable):
        return Path(chosen) / _FOLDER
    try:
        return Path.home() / usual / _FOLDER
    except RuntimeError as error:
        raise DataError(f"there is no home folder here, and so no {usual} in it; {remedy}") from error
