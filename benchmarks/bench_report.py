"""Times the study and the report of a large scan: six architectures, fifty sizes each.

The scan is made up (`archbench.testing.synthetic`), so that nothing but analysis and drawing is timed: frontiers, laws
and 1,000 resamples on three cost axes, every pair compared, then the whole report: all bundled sections with their
figures, data tables, Markdown and the page. Processor time of one thread is printed, which a busy machine changes
least, and its ratio to the goal of ten seconds.

Run: `OMP_NUM_THREADS=1 python benchmarks/bench_report.py [sizes] [architectures]`.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import PrivateAttr

from archbench.analysis.frontier.scan import analyse_scan
from archbench.builtins.reports.plugin import register_report_sections
from archbench.contracts.report import DataTable, ReportSection, ScanResults
from archbench.report.writer import PAGE_FILE, write_report
from archbench.results.runs import RunRecord
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

GOAL_SECONDS = 10.0

T = TypeVar("T")


def make_records(num_sizes: int, num_architectures: int) -> list[RunRecord]:
    """A made-up scan; three seeds at the two smallest sizes, one elsewhere."""
    sizes = tuple(int(1e4 * 1.12**index) for index in range(num_sizes))
    plan = SyntheticScan(sizes=sizes, seeds=(3, 3) + (1,) * (num_sizes - 2))
    return [
        record
        for number in range(num_architectures)
        for record in synthetic_records(
            f"architecture {number}", SyntheticLaw(A=12.0 + 0.3 * number, noise_std=0.004), plan, seed=number
        )
    ]


class TimedSection(ReportSection):
    """A section that measures how long it takes, its tables included."""

    _inner: ReportSection = PrivateAttr()
    _seconds: float = PrivateAttr(0.0)

    def __init__(self, inner: ReportSection) -> None:
        super().__init__(kind=inner.kind, title=inner.title, order=inner.order)
        self._inner = inner

    @property
    def seconds(self) -> float:
        """Processor time of this thread so far."""
        return self._seconds

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """What the inner section says."""
        return self._timed(lambda: self._inner.render(results, figures_dir))

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """What the inner section offers."""
        return self._timed(lambda: self._inner.tables(results))

    def _timed(self, make: Callable[[], T]) -> T:
        started = time.process_time()
        made = make()
        self._seconds += time.process_time() - started
        return made


def main(num_sizes: int, num_architectures: int) -> None:
    """Prints one line for the study, one for each section, one for the sum."""
    records = make_records(num_sizes, num_architectures)
    started = time.process_time()
    frontiers, comparisons = analyse_scan(records, baseline="architecture 0")
    total = time.process_time() - started
    print(f"study of {num_architectures} architectures x {num_sizes} sizes: {total:5.1f} s")
    results = ScanResults("bench", "Made up", "architecture 0", tuple(records), frontiers, comparisons, {}, {})
    with tempfile.TemporaryDirectory() as folder:
        sections = [TimedSection(section()) for section in register_report_sections()]
        started = time.process_time()
        write_report(results, Path(folder), sections)
        report = time.process_time() - started
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        page = (Path(folder) / PAGE_FILE).stat().st_size
    for section in sections:
        print(f"  {section.kind}: {section.seconds:5.1f} s")
    print(f"  verdict, tables, page: {report - sum(section.seconds for section in sections):5.1f} s")
    print(f"report: {report:5.1f} s, {size / 1e6:.1f} MB in all, page {page / 1e6:.1f} MB")
    total += report
    print(f"study and report: {total:5.1f} s, {total / GOAL_SECONDS:.2f} of the goal of {GOAL_SECONDS:g} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, int(sys.argv[2]) if len(sys.argv) > 2 else 6)
