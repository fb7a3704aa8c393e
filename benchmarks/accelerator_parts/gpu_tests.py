"""The tests that are marked `gpu`, carried out by pytest in this process."""

import time
from pathlib import Path
from typing import Any

import pytest

from accelerator_parts.child import Records, Retired, Setting, is_of_device

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 120.0
"""Of one test."""


def run(setting: Setting, records: Records) -> None:
    """Says what became of each test, as it ends. Raises RuntimeError where pytest itself fails."""
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    # Whole runs on the device first: the others are about one architecture each.
    files.sort(key=lambda path: (path.parent.name != "gpu", path))
    records.conditions(command="pytest -m gpu", files=[str(path.relative_to(ROOT)) for path in files])
    watcher = Watcher(records, setting)
    options = ["-m", "gpu", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=short", f"--rootdir={ROOT}"]
    code = pytest.main([*options, *map(str, files)], plugins=[watcher])
    if watcher.retires:
        raise Retired
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise RuntimeError(f"pytest ended with exit code {int(code)} ({pytest.ExitCode(code).name}); see the log")


class Watcher:
    """A pytest plug-in that says what becomes of each test, and stops when the time is over."""

    def __init__(self, records: Records, setting: Setting) -> None:
        self._records = records
        self._setting = setting
        self._outcomes: dict[str, dict[str, Any]] = {}
        self._began = 0.0
        self._longest = 0.0
        self.retires = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leaves out what an earlier process began."""
        left = [item for item in items if item.nodeid not in self._setting.begun]
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in self._setting.begun])
        items[:] = left
        self._records.plan([*self._setting.begun, *(item.nodeid for item in left)])

    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Leaves the test out where there is no time for it."""
        if self.retires:
            return True
        if self._records.seconds_left < max(2.0, self._longest):
            return True
        self._began = time.monotonic()
        self._records.begin(item.nodeid, {"test": item.nodeid}, LIMIT_SECONDS)
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps the worst of set-up, call and tear-down, and says it at the end of the test."""
        row = self._outcomes.setdefault(report.nodeid, {"test": report.nodeid, "status": "passed"})
        if report.failed:
            row.update(status="failed", reason=_last_line(report.longreprtext))
        elif report.skipped and row["status"] == "passed":
            row.update(status="skipped", reason=str(report.longrepr[2] if isinstance(report.longrepr, tuple) else ""))
        if report.when != "teardown":
            return
        seconds = time.monotonic() - self._began
        self._longest = max(self._longest, seconds)
        self._records.row(report.nodeid, {**self._outcomes.pop(report.nodeid), "seconds": round(seconds, 2)})
        # A kernel's error stays with the process, and would fail every later test.
        self.retires = is_of_device(row.get("reason", ""))


def _last_line(text: str) -> str:
    """The line that pytest marks as the error, else the last one."""
    lines = [line for line in text.splitlines() if line.strip()]
    marked = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (marked or lines or ["no message"])[0][:200]
