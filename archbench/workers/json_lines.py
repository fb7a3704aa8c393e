"""Lines of JSON that another process writes into a pipe, as they arrive."""

import json
import os
from typing import IO, Any


class JsonLines:
    """Reads `pipe` without ever waiting for it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._begun = bytearray()
        """The beginning of a line whose end has not arrived."""

    def read(self) -> list[Any] | None:
        """What whole lines have arrived since the last call; None where the pipe has ended."""
        try:
            content = os.read(self._pipe.fileno(), 1 << 16)
        except BlockingIOError:
            return []
        if not content:
            return None
        self._begun += content
        *lines, rest = self._begun.split(b"\n")
        self._begun = bytearray(rest)
        return [json.loads(line) for line in lines]
