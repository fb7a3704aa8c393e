"""What each module of the tests costs: processor seconds, those of ended child processes among them, and wall seconds.

Run: `python benchmarks/bench_tests.py [PYTEST ARGUMENTS]`, as `make test` does with `-n 2 --dist
loadscope --no-loadscope-reorder`. Processes that a test leaves to others to wait for
are not counted.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

MOST = 40
"""Modules that are listed, those with the most processor time."""
COST = "cost"
_begun: tuple[float, float] = (0.0, 0.0)


def main(arguments: list[str]) -> int:
    """Runs pytest with this module as a plug-in, in its worker processes too."""
    here = Path(__file__)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here.parent), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "pytest", "-p", here.stem, *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def _now() -> tuple[float, float]:
    """Processor and wall seconds so far."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses), time.monotonic()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart() -> None:
    """A test begins, its fixtures first."""
    global _begun
    _begun = _now()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, object, object]:
    """When all of a test is over, its costs travel with its last report, from worker processes too."""
    if call.when == "teardown":
        item.user_properties.append((COST, tuple(now - begun for now, begun in zip(_now(), _begun, strict=True))))
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of modules."""
    costs: dict[str, list[float]] = {}
    for report in terminalreporter.stats.get("", []):  # of set-up and teardown; `passed` and others are of the call
        for name, (processor, wall) in report.user_properties:
            if name == COST and report.when == "teardown":
                of_module = costs.setdefault(report.nodeid.split("::")[0], [0.0, 0.0, 0.0])
                for index, value in enumerate((processor, wall, 1.0)):
                    of_module[index] += value
    print("\n| module | processor seconds | wall seconds | tests |\n| --- | ---: | ---: | ---: |")
    for module, (processor, wall, tests) in sorted(costs.items(), key=lambda item: -item[1][0])[:MOST]:
        print(f"| `{module}` | {processor:.1f} | {wall:.1f} | {tests:.0f} |")
    total = [sum(cost[index] for cost in costs.values()) for index in range(3)]
    print(f"| all | {total[0]:.0f} | {total[1]:.0f} | {total[2]:.0f} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
