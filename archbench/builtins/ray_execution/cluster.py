"""The way to a cluster of Ray: how it is reached, or started on this machine, and what is said where it is not."""

import os
import secrets
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from archbench.api import ArchbenchError
from archbench.builtins.execution.machine import usable_cores
from archbench.builtins.ray_execution.messages import Settings
from archbench.errors import in_one_line

PAUSE_SECONDS = 2.0
"""Between two attempts at what the cluster does not give at once."""

_CONNECT_SECONDS = 10.0
_OBJECT_STORE_BYTES = 80 * 2**20
"""About the least that Ray takes: nothing goes through it."""
_LOOPBACK = "127.0.0.1"


class Refused(ArchbenchError):  # noqa: N818  (an answer of the cluster's, told as the kind of error that it is)
    """The cluster cannot be used as it is; what kind of error that is stands in `kind`."""

    def __init__(self, line: str, kind: str) -> None:
        super().__init__(line)
        self.kind = kind


async def awaited(ref: Any) -> Any:
    """What an object of Ray's stands for, once it is there."""
    return await ref


def connect(settings: Settings) -> Any:
    """Ray, connected to the cluster of `settings`, which is waited for as long as they say. Raises Refused."""
    own = settings.address == "local"
    if own:
        # Before Ray is imported: it reads them then.
        os.environ |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            # Ray's own is 15: other sessions would take the machine from the runs.
            "RAY_worker_niceness": "0",
        }
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if own:
        _keep_to_loopback()
        options |= {
            "num_cpus": usable_cores(),
            "include_dashboard": settings.dashboard,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "_node_ip_address": _LOOPBACK,
        }
    deadline = time.monotonic() + settings.patience_seconds
    while True:
        try:
            if not own:
                _require_listener(settings.address)
            ray.init(settings.address, **options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            if time.monotonic() < deadline:
                time.sleep(PAUSE_SECONDS)
                continue
            raise Refused(_unreached(settings.address, error), "plugin") from error
        return ray


def _require_listener(address: str) -> None:
    """Raises ConnectionError where nobody listens at `address`: Ray itself would try for minutes."""
    if address == "auto":
        # As Ray looks for it: the last cluster of this machine leaves its address there, also when it has died.
        left = Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir())) / "ray" / "ray_current_cluster"
        address = os.environ.get("RAY_ADDRESS") or (left.read_text().strip() if left.is_file() else "")
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
            return


def _unreached(address: str, error: BaseException) -> str:
    if address == "auto" and isinstance(error, ConnectionError):
        return (
            "execution.executor.address: got auto, but no cluster of Ray runs here and RAY_ADDRESS names none; "
            "start one (`ray start --head`), or choose address: local"
        )
    return f"execution.executor.address: got {address}: {in_one_line(error)}"


def _keep_to_loopback() -> None:
    """Has a cluster of this machine alone listen on the loopback interface alone.

    Ray takes 127.0.0.1 for a slip, and listens on all interfaces in its stead.
    """
    from ray._private import services

    if hasattr(services, "resolve_ip_for_localhost"):
        services.resolve_ip_for_localhost = lambda host: host
