"""Objects by fsspec: the one place where it is imported, and only where a store's URL asks for it."""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from archbench.errors import SpecError, StoreError, in_one_line
from archbench.extras import MissingLibraryError
from archbench.runs.files import DiskRefused, is_full
from archbench.runs.remote.objects import Unreachable

log = logging.getLogger(__name__)

T = TypeVar("T")

PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0)
"""Between two tries of a request that was not answered."""

TIMEOUT_SECONDS = 20.0
"""How long a connection may take, and then each answer."""

_LIBRARIES = {"s3": ("s3fs", "'archbench[s3]'"), "gs": ("gcsfs", "gcsfs")}
"""What reaches a protocol, and what pip is told to install for it."""

_CREDENTIALS = frozenset(
    {
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "ProfileNotFound",
        "TokenRetrievalError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
        "DefaultCredentialsError",
        "RefreshError",
    }
)
_MALFORMED = frozenset({"ParamValidationError", "InvalidRegionError", "InvalidEndpointConfigurationError"})
"""Names of errors of libraries that are not imported here: nothing that a second try would mend."""


class FsspecObjects:
    """Objects of a bucket. Made once by what fsspec calls exclusive creation, a conditional write of the store's."""

    def __init__(self, url: str) -> None:
        self.url = url
        protocol, _, self._base = url.partition("://")
        self._protocol = protocol
        library, wanted = _LIBRARIES[protocol]
        try:
            import fsspec

            fsspec.get_filesystem_class(protocol)
        except ImportError as error:
            raise MissingLibraryError(
                f"{url}: is reached by {library}, which is not installed: pip install {wanted}"
            ) from error
        options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
        if protocol == "s3":
            # Tries are counted here, and told: a library that goes on for minutes would keep the lease from its beats.
            timeouts = {"connect_timeout": TIMEOUT_SECONDS, "read_timeout": TIMEOUT_SECONDS}
            options["config_kwargs"] = {**timeouts, "retries": {"max_attempts": 1}}
        self._fs = self._asked(lambda: fsspec.filesystem(protocol, **options))
        if protocol == "s3":
            self._fs.retries = 1

    def keys(self, prefix: str) -> list[str]:
        """As `Objects` says."""
        found = self._asked(lambda: self._none_if_missing(lambda: self._fs.find(self._path(prefix)))) or []
        return sorted(path.removeprefix(f"{self._base}/") for path in found)

    def get(self, key: str) -> bytes | None:
        """As `Objects` says."""
        return self._asked(lambda: self._none_if_missing(lambda: bytes(self._fs.cat_file(self._path(key)))))

    def put(self, key: str, content: bytes | Path) -> None:
        """As `Objects` says."""
        path = self._path(key)
        if isinstance(content, bytes):
            self._asked(lambda: self._fs.pipe_file(path, content))
        else:
            self._asked(lambda: self._fs.put_file(str(content), path))

    def create(self, key: str, content: bytes) -> bool:
        """As `Objects` says."""
        path = self._path(key)
        try:
            self._asked(lambda: self._fs.pipe_file(path, content, mode="create"))
        except FileExistsError:
            # An answer may have been lost, and the second try found what the first had stored.
            return self.get(key) == content
        return True

    def fetch(self, key: str, path: Path) -> bool:
        """As `Objects` says."""

        def fetched() -> bool:
            self._fs.get_file(self._path(key), str(path))
            return True

        return bool(self._asked(lambda: self._none_if_missing(fetched)))

    def remove(self, keys: Iterable[str]) -> None:
        """As `Objects` says."""
        for path in map(self._path, keys):
            self._asked(partial(self._none_if_missing, partial(self._fs.rm_file, path)))

    def modified(self, key: str) -> float | None:
        """As `Objects` says."""
        found = self._asked(lambda: self._none_if_missing(lambda: self._fs.modified(self._path(key))))
        return found.timestamp() if isinstance(found, datetime) else None

    def require_place(self) -> None:
        """As `Objects` says."""
        bucket = self._base.partition("/")[0]
        # A listing of one key: rights to see the bucket itself are often not given.
        self._asked(lambda: self._fs.ls(bucket, detail=False))

    def _path(self, key: str) -> str:
        return f"{self._base}/{key}"

    @staticmethod
    def _none_if_missing(ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except FileNotFoundError as error:
            if _names(error) & {"NoSuchBucket"} or "bucket does not exist" in str(error).lower():
                raise
            return None

    def _asked(self, ask: Callable[[], T]) -> T:
        """What `ask` returns, tried again where there was no answer. FileExistsError passes through."""
        for pause_seconds in (*PAUSES_SECONDS, None):
            try:
                return ask()
            except FileExistsError:
                raise
            except Exception as error:  # what several libraries raise, none of which is imported here
                if "PreconditionFailed" in _names(error):  # as some servers say it, without a message
                    raise FileExistsError(self.url) from error
                refusal = self._refusal(error)
                if refusal is not None:
                    raise refusal from error
                if pause_seconds is None:
                    raise Unreachable(
                        f"{self.url}: gives no answer: {in_one_line(error, 200)}; is the network up, and the address "
                        "right?"
                    ) from error
                log.info("%s: %s; tried again in %s s", self.url, in_one_line(error, 200), pause_seconds)
                time.sleep(pause_seconds)
        raise AssertionError("unreachable")

    def _refusal(self, error: BaseException) -> StoreError | SpecError | None:
        """What to tell of an error that a second try would not mend; None for any other."""
        names = _names(error)
        if is_full(error):
            return DiskRefused(f"{self.url}: what comes from there finds no room on this disk; free space in the cache")
        if names & _CREDENTIALS:
            how = "AWS_PROFILE or AWS_ACCESS_KEY_ID" if self._protocol == "s3" else "GOOGLE_APPLICATION_CREDENTIALS"
            return StoreError(f"{self.url}: there are no credentials here ({in_one_line(error, 120)}); set {how}")
        if names & _MALFORMED:
            return SpecError(f"{self.url}: {in_one_line(error, 200)}; mend the URL, or the settings of its endpoint")
        if isinstance(error, PermissionError):
            if "RequestTimeTooSkewed" in names or "too large" in str(error):
                return StoreError(f"{self.url}: this machine's clock is too far from the store's; set the clocks (NTP)")
            return StoreError(
                f"{self.url}: refuses these credentials, or what they may do: {in_one_line(error, 160)}; reading, "
                "writing, listing and removing are needed"
            )
        if isinstance(error, FileNotFoundError):
            bucket = self._base.partition("/")[0]
            return StoreError(f"{self.url}: there is no bucket {bucket!r}; make it, or mend the URL")
        if isinstance(error, NotImplementedError | TypeError):
            return StoreError(
                f"{self.url}: cannot make an object only where there is none ({in_one_line(error, 120)}), which leases "
                "need; update the library for it, or choose another store"
            )
        return None


def _names(error: BaseException | None) -> set[str]:
    """Names of the classes of `error` and of what it arose from, and codes that a server gave them."""
    found: set[str] = set()
    while error is not None:
        found |= {one.__name__ for one in type(error).__mro__}
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            found.add(str(response.get("Error", {}).get("Code")))
        error = error.__cause__ or error.__context__
    return found
