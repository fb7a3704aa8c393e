"""What a store says of one run: who carries it out, and which files are its last whole generation.

Both stand in one cell, which is changed by whoever knows what it was before. So the holder of a lease that somebody has
taken over cannot put its files in place, however late it comes and whatever it has uploaded: what it knew is no more.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from archbench.runs.files import DamagedFile
from archbench.runs.lease import LeaseInfo, lease_of
from archbench.runs.sealed import opened, seal

_REMEDY = "remove its objects below state/head/, the run begins anew"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a run as the store has it."""

    key: str
    """Of its object, which no other generation ever writes."""
    disk_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Head:
    """The content of a run's cell."""

    lease: LeaseInfo | None = None
    """Who carries it out, or did last; None where nobody ever has."""
    holder: str = ""
    """A word that this acquisition alone has: a token may be given twice where a store was put back from a copy."""
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    """By their paths in the run's folder."""

    @property
    def held(self) -> bool:
        """Whether somebody holds the lease, who may be gone."""
        return self.lease is not None and not self.lease.released

    @property
    def token(self) -> int:
        """The fencing token; 0 where nobody has ever held the run."""
        return 0 if self.lease is None else self.lease.token

    def of_lease(self, lease: LeaseInfo) -> "Head":
        """The same files under `lease`."""
        return replace(self, lease=lease)

    def folder(self, name: str) -> dict[str, StoredFile]:
        """The files below the folder `name` of the run, by their paths in the run's folder."""
        return {path: stored for path, stored in self.files.items() if path.startswith(f"{name}/")}

    def to_bytes(self) -> bytes:
        """As a cell holds it, with a digest."""
        lease = None if self.lease is None else asdict(self.lease)
        files = {path: asdict(stored) for path, stored in self.files.items()}
        return seal({"lease": lease, "holder": self.holder, "files": files})


def head_of(raw: bytes | None, where: str) -> Head:
    """The head that a cell holds. Raises DamagedFile, and NewerFormat, where `where` does not hold what was written."""
    if raw is None:
        return Head()
    content = opened(Path(where), raw, _REMEDY).content
    try:
        lease = None if content["lease"] is None else lease_of(content["lease"], where)
        files = {_inside(path): _stored(found) for path, found in content["files"].items()}
        return Head(lease, str(content["holder"]), files)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFile(f"{where}: is damaged: {error}; {_REMEDY}") from error


def _stored(content: Mapping[str, Any]) -> StoredFile:
    return StoredFile(_inside(str(content["key"])), int(content["disk_bytes"]), str(content["sha256"]))


def _inside(path: str) -> str:
    """`path`, which must lead to a place below where it begins. Raises ValueError."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or str(PurePosixPath(path)) != path:
        raise ValueError(f"{path!r} is no path of a run's file")
    return path
