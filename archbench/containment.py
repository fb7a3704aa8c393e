"""Keeps a plug-in's code from ending, changing or silently holding up the process that calls it."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from archbench.process_settings import process_settings, put_back_settings

SLOW_SECONDS = 10.0
"""Code that takes longer is named on standard error, once. It is not ended: nothing in Python ends a thread."""

_WITNESS = 'while read -r line; do last=$line; done; [ "$last" = done ] || printf "archbench: %s\\n" "$last" >&2'
"""Reads what goes on, line by line; says the last one if its input ends without the word `done`."""


@contextlib.contextmanager
def contained(fail: Callable[[BaseException], None], note: Callable[[str], None]) -> Iterator[None]:
    """Runs a plug-in's code: what it throws goes to `fail`, what it changed is put back and told to `note`.

    Ctrl-C alone passes through.
    """
    with kept(note):
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a stranger may raise anything: SystemExit, or a BaseException of its own
            fail(error)


@contextlib.contextmanager
def kept(note: Callable[[str], None]) -> Iterator[None]:
    """Runs a plug-in's code: what it changed that others rely on is put back, and told to `note`.

    Environment, working directory, and settings of the process: signal handlers, logging, limits and others.
    """
    environment, folder, settings = dict(os.environ), _folder(), process_settings()
    try:
        yield
    finally:
        lines = [*_put_back_environment(environment), *_put_back_folder(folder)]
        if changed := put_back_settings(settings):
            what = "which was" if len(changed) == 1 else "which were"
            lines.append(f"changed {', '.join(changed)}, {what} put back")
        for line in lines:
            note(line)


@contextlib.contextmanager
def kept_around(component: object, note: Callable[[str], None]) -> Iterator[None]:
    """`kept` for a stranger's component at work; archbench's own are not looked at: its tests see to that."""
    own = type(component).__module__.partition(".")[0] == __name__.partition(".")[0]
    with contextlib.nullcontext() if own else kept(note):
        yield


@contextlib.contextmanager
def named_if_slow(what: str) -> Iterator[None]:
    """Says on standard error that `what` goes on, if it does so for `SLOW_SECONDS`."""
    timer = threading.Timer(SLOW_SECONDS, _say_slow, args=(what,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextlib.contextmanager
def witnessed() -> Iterator[Callable[[str], None]]:
    """A function to say what goes on: should this process die within, its last words are told on standard error.

    Nothing inside a process can tell that somebody called `os._exit` or ran into a segmentation fault. The witness is a
    shell that waits beside it; where there is none, nothing is told.
    """
    try:
        witness = subprocess.Popen(["/bin/sh", "-c", _WITNESS], stdin=subprocess.PIPE, bufsize=0)
    except OSError:
        yield lambda what: None
        return
    assert witness.stdin is not None
    pipe = witness.stdin

    def say(what: str) -> None:
        with contextlib.suppress(OSError):  # the witness may have heard Ctrl-C, too
            pipe.write(f"{' '.join(what.split())}\n".encode())

    try:
        yield say
    finally:
        say("done")
        with contextlib.suppress(OSError):
            pipe.close()
        witness.wait()


def _say_slow(what: str) -> None:
    print(
        f"archbench: {what} has not come back for {SLOW_SECONDS:.0f} s; Ctrl-C ends the wait",
        file=sys.__stderr__,
        flush=True,
    )


def _folder() -> str | None:
    """The working directory; None where somebody has removed it."""
    try:
        return str(Path.cwd())
    except OSError:
        return None


def _put_back_folder(before: str | None) -> Iterator[str]:
    if before is not None and _folder() != before:
        os.chdir(before)
        yield "changed the working directory, which was put back"


def _put_back_environment(before: dict[str, str]) -> Iterator[str]:
    after = dict(os.environ)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not changed:
        return
    for name in changed:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]
    yield f"changed the environment ({', '.join(changed)}), which was put back"
