"""Runs the conformance suites by pytest, apart from whatever pytest is told elsewhere, and tells each test's end."""

import os
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import pytest

from archbench.testing.plugin_check.findings import Finding, FindingsWriter, Outcome
from archbench.testing.plugin_check.places import PluginPlaces
from archbench.testing.plugin_check.suites import METHOD_TO_MEND, SUITE_FILE, Checked

_MAX_LETTERS = 600
_ORDERLY = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
"""Each test has told its own end."""


def run_suites(
    configs: Mapping[str, Checked],
    places: PluginPlaces,
    writer: FindingsWriter,
    *,
    done: Sequence[str],
    scratch: Path,
) -> None:
    """Runs the collected suites but for the checks in `done`; `configs` are by test class.

    Raises RuntimeError where pytest could not run them.
    """
    scratch.mkdir(exist_ok=True)
    file, settings = scratch / "test_plugin.py", scratch / "pytest.ini"
    file.write_text(SUITE_FILE, encoding="utf-8")
    settings.write_text("[pytest]\n", encoding="utf-8")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    options = ["-c", str(settings), "--rootdir", str(scratch), "--import-mode=importlib"]
    options += ["-p", "no:cacheprovider", "-p", "no:terminal"]
    code = pytest.main([str(file), *options], plugins=[_Reporter(configs, places, writer, frozenset(done))])
    if code not in _ORDERLY:
        raise RuntimeError(f"pytest ended with {code!r} before the suite did")


class _Reporter:
    """A plug-in of pytest that tells what each test came to."""

    def __init__(
        self,
        configs: Mapping[str, Checked],
        places: PluginPlaces,
        writer: FindingsWriter,
        done: frozenset[str],
    ) -> None:
        self._configs = configs
        self._places = places
        self._writer = writer
        self._done = done

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leaves out what an earlier process has ended."""
        items[:] = [item for item in items if self._check(item) not in self._done]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """The suite was read, or could not be."""
        if report.failed:
            self._writer.end(Finding("the conformance suite can be read", Outcome.FAILED, _problem(report)))

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A test begins."""
        self._writer.begin(self._check(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A test, or what is around it, ended."""
        report = yield
        check = self._check(item)
        if report.failed:
            error = call.excinfo.value if call.excinfo is not None else None
            self._writer.end(Finding(check, Outcome.FAILED, _problem(report), self._where(item, error)))
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
            self._writer.end(Finding(check, Outcome.SKIPPED, reason.removeprefix("Skipped: ")))
        elif report.when == "call":
            self._writer.end(Finding(check, Outcome.PASSED))
        return report

    def _check(self, item: pytest.Item) -> str:
        name, _, variant = item.name.removeprefix("test_").rstrip("]").partition("[")
        words = name.replace("_", " ") + (f" ({variant})" if variant else "")
        return f"{self._config(item).kind}: {words}"

    def _config(self, item: pytest.Item) -> Checked:
        parent = item.getparent(pytest.Class)
        assert parent is not None
        return self._configs[parent.name]

    def _where(self, item: pytest.Item, error: BaseException | None) -> str:
        member = METHOD_TO_MEND.get(item.name.partition("[")[0], "build")
        found = self._places.of_error(error) if error is not None else ""
        return found or self._places.of_member(type(self._config(item)), member)


def _problem(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What pytest says about the failure, in one line; of an assertion with words of its own, these alone."""
    crash = getattr(report.longrepr, "reprcrash", None)
    told = str(crash.message if crash is not None else report.longrepr)
    words = told.partition("\nassert ")[0].removeprefix("AssertionError: ")
    text = " ".join(words.split())
    return text[:_MAX_LETTERS] + ("..." if len(text) > _MAX_LETTERS else "")
