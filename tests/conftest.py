"""What all tests share."""

import gc
import signal
import subprocess
from collections.abc import Generator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings

from archbench.cli import main
from archbench.errors import ArchbenchError, in_one_line

EXPECTED = (ArchbenchError, click.ClickException, click.Abort, SystemExit, KeyboardInterrupt)
"""How a command may end; whatever else comes out of it is a defect of archbench, or of a plug-in."""

# How long an example takes to make, or to try, says how busy the machine is.
settings.register_profile("on_any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on_any_machine")

defects: list[str] = []
"""What commands said of defects, in this process, since the last test."""
processes: list["subprocess.Popen[Any]"] = []
"""What was started since the last test."""


def pytest_configure(config: pytest.Config) -> None:
    """Signals are heard, and defects are seen, whatever a test makes of a command's end.

    What a script starts in the background ignores Ctrl-C and hands that on; tests that send it need it heard.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    _watch_defects()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with long tests come first; all else stays in its order."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the collector of garbage need not go through it again and again."""
    gc.collect()
    gc.freeze()


def _watch_defects() -> None:
    say, invoke, start = main._unforeseen, CliRunner.invoke, subprocess.Popen.__init__

    def watched_say(error: BaseException, again: str) -> int:
        code = say(error, again)
        if code == main.EXIT_DEFECT:
            defects.append(in_one_line(error))
        return code

    def watched_invoke(*arguments: Any, **options: Any) -> Result:
        result = invoke(*arguments, **options)
        if result.exception is not None and not isinstance(result.exception, EXPECTED):
            defects.append(in_one_line(result.exception))
        return result

    def watched_start(process: Any, *arguments: Any, **options: Any) -> None:
        start(process, *arguments, **options)
        processes.append(process)

    main._unforeseen = watched_say
    CliRunner.invoke = watched_invoke  # type: ignore[method-assign]
    subprocess.Popen.__init__ = watched_start  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fails a test in which archbench ended by a defect, whatever it asserts; one test provokes it, and is marked."""
    try:
        result = yield
        ended = [str(process.args) for process in processes if process.returncode == main.EXIT_DEFECT]
        found = [*defects, *(f"exit code {main.EXIT_DEFECT} of {one}" for one in ended)]
    finally:
        defects.clear()
        processes.clear()
    provoked = item.get_closest_marker("provokes_a_defect") is not None
    if bool(found) != provoked:
        pytest.fail("; ".join(found) or "no defect was provoked", pytrace=False)
    return result
