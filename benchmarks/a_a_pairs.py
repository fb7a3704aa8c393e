"""One architecture under two names: how often the whole comparison tells it apart from itself.

    archbench run specs/gpt2.yaml -o name=again -o scan.seeds.default=5 -o scan.seeds.smallest_two=15
    python benchmarks/a_a_pairs.py runs --scan again --ladders 5
    python benchmarks/a_a_pairs.py runs --scan again --ladders 5 --against leaderboard/entries/llama--llama.json

The seeds of each size are dealt to `--ladders` ladders that share none, each with as many seeds as the spec it stands
for: here five ladders of `specs/gpt2.yaml`. Every pair of them goes through the analysis of a scan of two contenders.
With `--against`, each published entry goes through it against each ladder instead: what other seeds of the baseline
would have said of it.
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import exp, log
from pathlib import Path
from statistics import median

import archbench
from archbench.analysis.frontier.scan import analyse_scan
from archbench.leaderboard.entry_files import read_entry
from archbench.report.words import with_interval
from archbench.results.fits import Comparison
from archbench.results.runs import CostAxis, RunRecord, size_scan_results

ONE, OTHER = "one", "other"
LEVEL = 0.05


def dealt(records: Sequence[RunRecord], ladders: int) -> list[list[RunRecord]]:
    """`records` of one contender as that many ladders without a common seed."""
    seeds = defaultdict[int, set[int]](set)
    for record in records:
        seeds[record.size_index].add(record.seed)
    order = {size: sorted(found) for size, found in seeds.items()}
    if short := [size + 1 for size, found in order.items() if len(found) % ladders]:
        raise SystemExit(f"size {short[0]} has {len(order[short[0] - 1])} seeds, which {ladders} ladders cannot share")
    found: list[list[RunRecord]] = [[] for _ in range(ladders)]
    for record in records:
        each = len(order[record.size_index]) // ladders
        ladder, seed = divmod(order[record.size_index].index(record.seed), each)
        found[ladder].append(replace(record, seed=seed))
    return found


def compared(baseline: Sequence[RunRecord], contender: Sequence[RunRecord]) -> Comparison:
    """The comparison of two ladders over executed FLOPs."""
    both = [replace(record, contender=ONE) for record in baseline]
    both += [replace(record, contender=OTHER) for record in contender]
    _, comparisons = analyse_scan(both, baseline=ONE)
    return next(one for one in comparisons if one.cost_axis is CostAxis.EXACT)


def row(name: str, pair: Comparison) -> str:
    """The pair's multiplier and whether it is told apart from 1."""
    found = pair.headline
    if found is None or found.multiplier is None or found.p_value is None:
        return f"| {name} | `{found.status.value if found is not None else pair.status.value}` | | |"
    told = "yes" if found.p_value < LEVEL else "no"
    return f"| {name} | {with_interval(found.multiplier)} | {found.p_value:.2g} | {told} |"


def summary(pairs: Sequence[Comparison]) -> str:
    """What pairs of ladders of one architecture say together."""
    found = [one.headline for one in pairs if one.headline is not None]
    multipliers = [one.multiplier for one in found if one.multiplier is not None]
    apart = sum(one.p_value is not None and one.p_value < LEVEL for one in found)
    covered = sum(one.covers(1.0) for one in multipliers)
    off = exp(median(abs(log(one.value)) for one in multipliers))
    return (
        f"{apart} of {len(pairs)} pairs are told apart; {covered} of {len(multipliers)} intervals hold 1; the median "
        f"multiplier is {off:.3g} times off"
    )


def main() -> None:
    """Prints a row for each pair, and what they say together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", help="folder of the run store")
    parser.add_argument("--scan", help="name of the scan, where the store holds several")
    parser.add_argument("--ladders", type=int, default=5)
    parser.add_argument("--against", type=Path, nargs="+", default=(), metavar="ENTRY", help="files of entries")
    chosen = parser.parse_args()
    records = size_scan_results(archbench.load(chosen.runs, scan=chosen.scan).records)
    ladders = dealt(records, chosen.ladders)
    print(f"| {'entry, ladder' if chosen.against else 'ladders'} | multiplier, 95 % | p | told apart |")
    print("| --- | ---: | ---: | --- |")
    for path in chosen.against:
        contender = read_entry(path).records()
        for number, ladder in enumerate(ladders, 1):
            print(row(f"{contender[0].contender}, {number}", compared(ladder, contender)), flush=True)
    if chosen.against:
        return
    pairs = []
    for (first, one), (second, other) in itertools.combinations(enumerate(ladders, 1), 2):
        pairs.append(compared(one, other))
        print(row(f"{first} and {second}", pairs[-1]), flush=True)
    print(f"\n{summary(pairs)}")


if __name__ == "__main__":
    main()
