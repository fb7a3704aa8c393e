"""What tuning changes: exponents, final losses and the comparison of contenders in a tuned and an untuned scan.

The contenders of both scans are analysed together under names of their own, so that the differences of their exponents
have intervals: resamples of runs, as in every report.

Run: `python benchmarks/effect_of_tuning.py RUNS TUNED UNTUNED`: the folder of the run store and the names of two scans.
"""

import sys
from dataclasses import replace
from pathlib import Path

from archbench.analysis.frontier.scan import analyse_scan
from archbench.analysis.frontier.tuning import peak_rate
from archbench.report.plotting import AXIS_NAMES, markdown_table
from archbench.report.words import alpha_text, number, with_interval
from archbench.results.runs import CostAxis, RunRecord, size_number, size_scan_results
from archbench.runs.store import RunStore


def results_of(store: RunStore, scan: str) -> list[RunRecord]:
    """The results of `scan`, its name added to those of its contenders."""
    records, _ = store.records(store.scan(scan))
    return [replace(one, contender=f"{one.contender}, {scan}") for one in size_scan_results(records)]


def losses(tuned: list[RunRecord], untuned: list[RunRecord]) -> list[list[str]]:
    """A row for each contender and size: peak rates and mean final losses before and after."""
    rows = []
    for after, before in (
        (
            [one for one in tuned if one.contender.split(", ")[0] == name and one.size_index == size],
            [one for one in untuned if one.contender.split(", ")[0] == name and one.size_index == size],
        )
        for name in dict.fromkeys(one.contender.split(", ")[0] for one in tuned)
        for size in sorted({one.size_index for one in tuned})
    ):
        first, second = (
            sum(one.curve[-1].validation_loss_nats for one in runs) / len(runs) for runs in (before, after)
        )
        others = [[one.curve[-1].validation_loss_nats for one in runs if one.seed > 0] for runs in (before, after)]
        unselected = (
            number(sum(others[1]) / len(others[1]) - sum(others[0]) / len(others[0]), 2) if all(others) else "-"
        )
        rows.append(
            [
                after[0].contender.split(", ")[0],
                str(size_number(after[0].size_index)),
                number(peak_rate(before[0])),
                number(peak_rate(after[0])),
                number(first, 4),
                number(second, 4),
                f"{second - first:+.3f}",
                unselected,
            ]
        )
    return rows


def main(folder: Path, tuned: str, untuned: str) -> None:
    """Prints a table of losses, one of exponents and one of their differences."""
    store = RunStore(folder)
    after, before = results_of(store, tuned), results_of(store, untuned)
    header = ["contender", "size", "rate before", "after", "loss before (nats)", "after", "change",
              "change without seed 0"]  # fmt: skip
    print(markdown_table(header, losses(after, before), right=(1, 2, 3, 4, 5, 6, 7)))
    frontiers, comparisons = analyse_scan([*before, *after], baseline=None)
    axes = (CostAxis.EXACT, CostAxis.KAPLAN)
    rows = [
        [one.contender, AXIS_NAMES[one.cost_axis], alpha_text(one.law), alpha_text(one.law_with_floor)]
        for one in frontiers
        if one.cost_axis in axes
    ]
    print("\n" + markdown_table(["contender", "cost axis", "alpha, no floor", "alpha, floor free"], rows, right=(2, 3)))
    pairs = [
        [
            f"{one.contender} less {one.baseline}",
            AXIS_NAMES[one.cost_axis],
            with_interval(one.alpha_difference, 2),
            number(one.p_value, 2) if one.p_value is not None else "-",
        ]
        for one in comparisons
        if one.cost_axis in axes
    ]
    print("\n" + markdown_table(["pair", "cost axis", "difference of alpha", "p"], pairs, right=(2, 3)))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit("usage: python benchmarks/effect_of_tuning.py RUNS TUNED UNTUNED")
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
