"""What the specs of specs/tuning came to: every trial's loss, the best rates, and the law through them.

Run the specs first (`archbench run tuning/base`, and every other one that `archbench specs` lists under tuning/), then
this. Losses are in nats at the end of training; `place` is that of the best trial between the n-gram lines.

Run: `python benchmarks/tuning_table.py [RUNS]`: the folder of the run store, `runs` unless said.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from archbench.analysis.frontier.tuning import RateLaw, TunedSize, analyse_tuning
from archbench.report.plotting import markdown_table
from archbench.report.words import number
from archbench.results.reference_lines import place_words
from archbench.runs.store import RunStore

PREFIX = "tuning_"
"""Of the names of scans that tune."""
SIZES_HEADER = ("contender", "N", "tokens", "peak rate: loss (nats)", "optimum", "best loss (nats)", "place")
LAWS_HEADER = ("contender", "rate law of N", "at 20 thousand", "at 220 thousand", "trials' executed FLOPs")


def main(folder: Path) -> None:
    """Prints two tables of all scans of the store whose names begin with `PREFIX`: sizes, then laws."""
    store = RunStore(folder)
    sizes: list[list[str]] = []
    laws: list[list[str]] = []
    for name in sorted(name for name in store.scan_names() if name.startswith(PREFIX)):
        records, _ = store.records(store.scan(name))
        found = analyse_tuning(records)
        if found is None:
            continue
        lines = {record.run_id: record.reference_lines for record in records}
        sizes += [row for size in found.sizes for row in _size(size, lines)]
        spent = {budget.contender: budget.exact_flops for budget in found.budgets}
        laws += [_law(law, spent[law.contender]) for law in found.laws]
    print(markdown_table(SIZES_HEADER, sizes, right=(1, 2, 4, 5)))
    print()
    print(markdown_table(LAWS_HEADER, laws, right=(2, 3, 4)))


def _size(size: TunedSize, lines: dict) -> Iterator[list[str]]:
    trials = [one for one in size.last_rung if one.loss_nats is not None]
    if not trials:
        return
    best = min(trials, key=lambda one: one.loss_nats or 0.0)
    yield [
        size.contender,
        f"{size.non_embedding_params:,}",
        f"{best.tokens / 1e6:.2f}M",
        ", ".join(f"{number(one.rate, 2)}: {one.loss_nats:.3f}" for one in trials),
        number(size.optimum.rate, 2) if size.optimum else "-",
        f"{best.loss_nats:.3f}",
        place_words(best.loss_nats, lines[best.run_id]),
    ]


def _law(law: RateLaw, flops: float) -> list[str]:
    at = (law.coefficient * size**law.exponent for size in (2e4, 2.2e5))
    return [
        law.contender,
        f"{number(law.coefficient)} N^{number(law.exponent)}",
        *(number(rate, 2) for rate in at),
        number(flops),
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs"))
