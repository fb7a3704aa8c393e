"""Addresses of stores that are no folder which all machines see; what speaks to them is `archbench.runs.remote`."""

import re

PROTOCOLS = ("s3", "gs", "file")

BINDING_FILE = "store.json"
"""In a folder that follows a store: which one."""

_EXPECTED = "expected s3://BUCKET/FOLDER, gs://BUCKET/FOLDER or file:///FOLDER"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")


def is_url(word: str) -> bool:
    """Whether `word` is meant as the address of a store, and not as a folder."""
    return "://" in word


def checked_url(url: str) -> str:
    """`url` in one spelling. Raises ValueError, in one line, for what is no address of a store."""
    protocol, separator, rest = url.strip().partition("://")
    if not separator or protocol not in PROTOCOLS:
        raise ValueError(f"got {url!r}, {_EXPECTED}")
    place, _, folder = rest.partition("/")
    if protocol == "file":
        if place or not folder.strip("/"):
            raise ValueError(f"got {url!r}, expected file:/// and a folder's whole path")
        return f"file:///{folder.strip('/')}"
    if "@" in place:
        shown = f"{protocol}://...@{place.rpartition('@')[2]}"
        raise ValueError(f"got {shown!r}: keys do not belong into a URL; give them in the environment or a profile")
    if _BUCKET.fullmatch(place) is None or any(part in ("", ".", "..") for part in folder.strip("/").split("/")[:-1]):
        raise ValueError(f"got {url!r}, {_EXPECTED}, with a bucket's name such as my-runs")
    if any(mark in rest for mark in "?#*[]"):
        raise ValueError(f"got {url!r}, {_EXPECTED}, without ? # * [ ]")
    return f"{protocol}://{place}/{folder.strip('/')}".rstrip("/")
