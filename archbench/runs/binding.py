"""Whether a folder of runs is a store itself, or follows one of objects: a file in it says so."""

from pathlib import Path

from archbench.errors import StoreError
from archbench.runs.files import read_json
from archbench.store_urls import BINDING_FILE, checked_url


def url_of(folder: Path) -> str | None:
    """The store that `folder` follows; None for one that is a store itself. Raises StoreError for a damaged binding."""
    path = folder / BINDING_FILE
    if not path.is_file():
        return None
    try:
        return checked_url(str(read_json(path)["url"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path}: is damaged: it names no store; remove the folder, what is in the store stays"
        ) from error


def address_of(folder: Path) -> str:
    """What other machines are to be given as `--runs`: the store that `folder` follows, or its own whole path."""
    return url_of(folder) or str(folder.resolve())
