"""One architecture under two names: how often the whole comparison tells it apart from itself.

    archbench run specs/gpt2.yaml -o name=again -o scan.seeds.default=5 -o scan.seeds.smallest_two=15
    python benchmarks/a_a_pairs.py runs --scan again --ladders 5

The seeds of each size are dealt to `--ladders` ladders that share none, each with as many seeds as the spec it stands
for: here five ladders of `specs/gpt2.yaml`. Every pair of them goes through the analysis of a scan of two contenders.
"""

import argparse
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import exp, log
from statistics import median

import archbench
from archbench.analysis.frontier.scan import analyse_scan
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


def pairs(ladders: Sequence[Sequence[RunRecord]]) -> Iterator[tuple[str, Comparison]]:
    """Every pair's comparison over executed FLOPs, with its name."""
    for first, second in itertools.combinations(range(len(ladders)), 2):
        both = [
            replace(record, contender=name)
            for name, records in ((ONE, ladders[first]), (OTHER, ladders[second]))
            for record in records
        ]
        _, comparisons = analyse_scan(both, baseline=ONE)
        found = next(one for one in comparisons if one.cost_axis is CostAxis.EXACT)
        yield f"{first + 1} and {second + 1}", found


def main() -> None:
    """Prints a row for each pair, and what they say together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", help="folder of the run store")
    parser.add_argument("--scan", help="name of the scan, where the store holds several")
    parser.add_argument("--ladders", type=int, default=5)
    chosen = parser.parse_args()
    records = size_scan_results(archbench.load(chosen.runs, scan=chosen.scan).records)
    print("| ladders | multiplier, 95 % | p | told apart |")
    print("| --- | ---: | ---: | --- |")
    distances, covered, apart, count = [], 0, 0, 0
    for name, pair in pairs(dealt(records, chosen.ladders)):
        found = pair.headline
        count += 1
        if found is None or found.multiplier is None or found.p_value is None:
            print(f"| {name} | `{found.status.value if found is not None else pair.status.value}` | | |")
            continue
        told = found.p_value < LEVEL
        apart += told
        covered += found.multiplier.covers(1.0)
        distances.append(abs(log(found.multiplier.value)))
        print(f"| {name} | {with_interval(found.multiplier)} | {found.p_value:.2g} | {'yes' if told else 'no'} |")
    print(
        f"\n{apart} of {count} pairs are told apart; {covered} of {len(distances)} intervals hold 1; the median "
        f"multiplier is {exp(median(distances)):.3g} times off"
    )


if __name__ == "__main__":
    main()
