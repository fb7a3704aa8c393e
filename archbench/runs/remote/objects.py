"""What a store without a shared folder is kept in: whole objects under keys, of which some may only be made once."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from archbench.errors import SpecError, StoreError
from archbench.store_urls import checked_url


class Unreachable(StoreError):  # noqa: N818  (a state of a network, told like any store problem)
    """The store gives no answer, or says that it is not able to; the same may go well later."""


class Objects(Protocol):
    """Objects of one store. Keys are relative paths with `/`; each is there whole or not at all.

    Methods raise Unreachable where there is no answer, after some tries, and StoreError where the store refuses, both
    in one line that names the URL.
    """

    url: str

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin with the folder `prefix`, which ends with `/`; none where there is none."""
        ...

    def get(self, key: str) -> bytes | None:
        """The object; None where there is none."""
        ...

    def put(self, key: str, content: bytes | Path) -> None:
        """Stores bytes, or the content of a file, in place of what was there."""
        ...

    def create(self, key: str, content: bytes) -> bool:
        """Stores `content` if nothing is there, and says whether it did: of several that try, one succeeds."""
        ...

    def fetch(self, key: str, path: Path) -> bool:
        """Writes the object to the file `path`; False where there is none."""
        ...

    def remove(self, keys: Iterable[str]) -> None:
        """Takes objects away; those that are not there are passed over."""
        ...

    def modified(self, key: str) -> float | None:
        """When the store says that it took the object, seconds since the epoch; None where it does not."""
        ...

    def require_place(self) -> None:
        """Raises StoreError, in one line, where there is no such bucket or folder."""
        ...


def address(url: str) -> str:
    """`url` in one spelling. Raises SpecError, in one line, for what is no address of a store."""
    try:
        return checked_url(url)
    except ValueError as error:
        raise SpecError(str(error)) from error
