"""What goes on beside the work: done again and again, whatever becomes of the network meanwhile."""

import threading
from collections.abc import Callable

from archbench.errors import ArchbenchError


class Repeated:
    """Calls `action` again and again in a thread of its own, until it is closed.

    What goes wrong with the store is told once, and again when it has come to an end: whatever it was is tried anew.
    """

    def __init__(self, name: str, seconds: float, action: Callable[[], None], tell: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._action = action
        self._tell = tell
        self._ended = threading.Event()
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._go_on, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it, after the call in progress."""
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self._action()
            except (ArchbenchError, OSError) as error:
                if self._problem is None:
                    self._tell(f"{error}; what goes on goes on, and this is tried again")
                self._problem = str(error)
            else:
                if self._problem is not None:
                    self._tell("the store answers again")
                self._problem = None
