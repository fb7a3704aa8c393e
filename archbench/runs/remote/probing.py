"""Whether this node can use a store of objects: what leases and commits ask of it is tried before a run trains."""

import contextlib
import os
import time
import uuid

from archbench.errors import StoreError
from archbench.runs.probe import CLOCK_MARGIN_SECONDS, Clock, node_name
from archbench.runs.remote.objects import Objects

_FOLDER = "probe"


def probe_objects(objects: Objects, *, node: str | None = None, clock: Clock = time.time) -> None:
    """Makes, reads, lists and removes an object, and has a second one refused in its place.

    Raises StoreError in one line: no bucket, no credentials, for reading only, a store that makes an object twice, or a
    clock that is wrong.
    """
    node = node or node_name()
    key, content = f"{_FOLDER}/{uuid.uuid4().hex}", os.urandom(1024)
    before = clock()
    if not objects.create(key, content):
        raise StoreError(
            f"{objects.url}: does not make an object that is not there, as {node} asks; choose another URL"
        )
    try:
        stored_at, after = objects.modified(key), clock()
        if objects.create(key, os.urandom(1024)):
            raise StoreError(
                f"{objects.url}: makes an object twice: conditional writes (If-None-Match), on which leases rest, are "
                "not heeded there; update the store, or use another"
            )
        if objects.get(key) != content or key not in objects.keys(f"{_FOLDER}/"):
            raise StoreError(f"{objects.url}: what {node} writes there is not what it reads back; choose another URL")
    finally:
        with contextlib.suppress(StoreError):
            objects.remove([key])
    ahead_seconds = 0.0 if stored_at is None else (before + after) / 2 - stored_at
    if abs(ahead_seconds) > CLOCK_MARGIN_SECONDS:
        way = "ahead of" if ahead_seconds > 0 else "behind"
        raise StoreError(
            f"{objects.url}: the clock of {node} is {abs(ahead_seconds):.0f} s {way} the store's, at most "
            f"{CLOCK_MARGIN_SECONDS:.0f} s are allowed; set the clocks (NTP)"
        )
