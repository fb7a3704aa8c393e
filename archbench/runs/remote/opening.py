"""The objects behind an address."""

from archbench.runs.remote.folder_objects import FolderObjects
from archbench.runs.remote.objects import Objects, address


def open_objects(url: str) -> Objects:
    """The objects at `url`. Nothing is asked of the store yet.

    Raises SpecError for a malformed URL, MissingLibraryError where the library for its protocol is not installed.
    """
    url = address(url)
    if url.startswith("file://"):
        return FolderObjects(url)
    from archbench.runs.remote.fsspec_objects import FsspecObjects

    return FsspecObjects(url)
