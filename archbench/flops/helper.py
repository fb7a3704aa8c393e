"""The process that answers `archbench.contracts.counting`: a question a line on standard input, an answer a line."""

import json
import os
import selectors
import sys
import warnings
from typing import IO

from archbench.contracts.counting import carried_out
from archbench.errors import in_one_line

IDLE_SECONDS = 60.0
"""How long it waits for another question: torch and its libraries hold half a gigabyte."""


def main() -> None:
    """Answers until nothing is asked any more."""
    # What libraries print must not stand between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    while line := _next_line(sys.stdin.buffer):
        try:
            told = carried_out(json.loads(line))
        except Exception as error:  # a plug-in's module, or a library's
            told = {"failure": in_one_line(error)}
        answers.write(json.dumps(told).encode() + b"\n")
        answers.flush()


def _next_line(questions: IO[bytes]) -> bytes:
    """The next question; empty where there is none, or none for a long time."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(questions, selectors.EVENT_READ)
        return questions.readline() if waiting.select(IDLE_SECONDS) else b""


if __name__ == "__main__":
    main()
