"""Settings of a process that all of its code relies on, and that a plug-in has no business to change.

Each is read before and after a plug-in's code, and put back where it differs. What follows from imports alone (filters
of warnings, modules, paths that are added) is no meddling.
"""

import builtins
import contextlib
import gc
import locale
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

_OWN_LOGGERS = "archbench"
_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
"""As numpy begins; it may be imported by the plug-in."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """How one setting is read and written; what `read` returns compares by `same_setting`."""

    read: Callable[[], Any]
    write: Callable[[Any], object]


def process_settings() -> dict[str, Any]:
    """The settings as they are, by name."""
    return {name: setting.read() for name, setting in _SETTINGS.items()}


def changed_settings(before: Mapping[str, Any]) -> list[str]:
    """Names of those that are no longer as they were."""
    return [name for name, value in before.items() if not same_setting(value, _SETTINGS[name].read())]


def same_setting(before: Any, after: Any) -> bool:
    """Whether nothing that was there is other than it was; a logger or a built-in that is new changes nobody's."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(name not in after or after[name] == value for name, value in before.items())
    return bool(before == after)


def put_back_settings(before: Mapping[str, Any]) -> list[str]:
    """Makes the settings what they were; the names of those that had been changed."""
    changed = changed_settings(before)
    for name in changed:
        # What cannot be put back (a hard limit that was lowered) is told all the same.
        with contextlib.suppress(OSError, ValueError, RecursionError, locale.Error):
            _SETTINGS[name].write(before[name])
    return changed


def _signal_handlers() -> dict[int, Any]:
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    # None: set by C code, which Python can neither read nor put back.
    return {int(number): handler for number, handler in handlers.items() if handler is not None}


def _set_signal_handlers(before: Mapping[int, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in before.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _logging() -> dict[str, tuple[Any, ...]]:
    """Of the root, and of archbench's own loggers; strangers' are strangers' affair."""
    loggers = {name: one for name, one in logging.root.manager.loggerDict.items() if isinstance(one, logging.Logger)}
    own = {name: one for name, one in loggers.items() if name.partition(".")[0] == _OWN_LOGGERS}
    states = {
        name: (one.level, one.disabled, one.propagate, tuple(one.handlers), tuple(one.filters))
        for name, one in {"": logging.root, **own}.items()
    }
    return {"*": (logging.root.manager.disable,), **states}


def _set_logging(before: Mapping[str, tuple[Any, ...]]) -> None:
    logging.disable(before["*"][0])
    for name, state in _logging().items():
        if name == "*" or name not in before or state == before[name]:
            continue
        logger = logging.getLogger(name) if name else logging.root
        level, logger.disabled, logger.propagate, handlers, filters = before[name]
        logger.handlers[:], logger.filters[:] = handlers, filters
        logger.setLevel(level)


def _raising_filters() -> list[Any]:
    return [one for one in warnings.filters if one[0] == "error"]


def _drop_raising_filters(before: list[Any]) -> None:
    new = [one for one in _raising_filters() if one not in before]
    warnings.filters[:] = [one for one in warnings.filters if one not in new]  # type: ignore[index]


def _hooks() -> tuple[Any, ...]:
    return sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook


def _set_hooks(before: tuple[Any, ...]) -> None:
    sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook = before


def _streams() -> tuple[Any, ...]:
    return sys.stdin, sys.stdout, sys.stderr


def _set_streams(before: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = before


def _builtins() -> dict[str, Any]:
    return {name: value for name, value in vars(builtins).items() if callable(value) and name != "_"}


def _collector() -> tuple[bool, tuple[int, ...]]:
    return gc.isenabled(), gc.get_threshold()


def _set_collector(before: tuple[bool, tuple[int, int, int]]) -> None:
    (gc.enable if before[0] else gc.disable)()
    gc.set_threshold(*before[1])


def _tracing() -> tuple[Any, ...]:
    return sys.gettrace(), sys.getprofile()


def _set_tracing(before: tuple[Any, ...]) -> None:
    sys.settrace(before[0])
    sys.setprofile(before[1])


def _umask() -> str | None:
    """Read without being set, so that no thread writes a file meanwhile that everybody may change."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((line.split()[1] for line in lines if line.startswith("Umask:")), None)


def _set_umask(before: str | None) -> None:
    if before is not None:
        os.umask(int(before, 8))


def _limits() -> dict[str, tuple[int, int]]:
    try:
        import resource
    except ImportError:  # not on every system
        return {}
    names = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_STACK")
    return {name: resource.getrlimit(getattr(resource, name)) for name in names if hasattr(resource, name)}


def _set_limits(before: Mapping[str, tuple[int, int]]) -> None:
    import resource

    for name, limit in before.items():
        if resource.getrlimit(getattr(resource, name)) != limit:
            resource.setrlimit(getattr(resource, name), limit)


def _numpy_errors() -> Any:
    numpy = sys.modules.get("numpy")
    return numpy.geterr() if numpy is not None and hasattr(numpy, "geterr") else _NUMPY_ERRORS


def _set_numpy_errors(before: Mapping[str, Any]) -> None:
    sys.modules["numpy"].seterr(**before)


def _cores() -> set[int]:
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set()


def _set_cores(before: set[int]) -> None:
    os.sched_setaffinity(0, before)


_SETTINGS: Mapping[str, _Setting] = {
    "the recursion limit": _Setting(sys.getrecursionlimit, sys.setrecursionlimit),
    "signal handlers": _Setting(_signal_handlers, _set_signal_handlers),
    "the alarm clock": _Setting(
        lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0.0, lambda before: signal.setitimer(signal.ITIMER_REAL, 0.0)
    ),
    "logging": _Setting(_logging, _set_logging),
    "warnings, which it made errors": _Setting(_raising_filters, _drop_raising_filters),
    "hooks for exceptions": _Setting(_hooks, _set_hooks),
    "standard streams": _Setting(_streams, _set_streams),
    "built-in functions": _Setting(_builtins, vars(builtins).update),
    "garbage collection": _Setting(_collector, _set_collector),
    "tracing": _Setting(_tracing, _set_tracing),
    "the locale": _Setting(partial(locale.setlocale, locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL)),
    "the umask": _Setting(_umask, _set_umask),
    "limits of the process": _Setting(_limits, _set_limits),
    "the cores that it may use": _Setting(_cores, _set_cores),
    "the default timeout of sockets": _Setting(socket.getdefaulttimeout, socket.setdefaulttimeout),
    "numpy's treatment of errors": _Setting(_numpy_errors, _set_numpy_errors),
}
