"""What each single change of `specs/standard/one_change.yaml` is worth: the multiplier at equal size, by seeds.

    archbench run specs/standard/one_change.yaml
    python benchmarks/one_change_table.py runs

The loss of a change's finished run of D tokens is looked for on the baseline's curve of finished losses over tokens, of
the same size and seed (ln L is taken as linear in ln D between two budgets): the tokens that the baseline needs for it,
over D, times the ratio of executed FLOPs per token, is the change's compute multiplier. Of the budgets the largest is
taken whose mean loss the baseline reaches, so that nothing is extrapolated where a change is better. The interval is
Student's of the logarithms over the seeds, which both sides share. A schedule without a trunk is a change as well.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

import archbench
from archbench.report.words import number
from archbench.results.runs import RunRecord, size_scan_results

Curve = Mapping[int, float]
"""Planned tokens -> final loss in nats, of one seed."""


@dataclass(frozen=True)
class Change:
    """One contender beside the baseline."""

    difference_nats: float
    """Mean loss over that of the baseline at the largest budget that both have."""
    tokens: int
    """The budget that the multiplier is read at."""
    multiplier: float
    low: float
    high: float
    """95 %."""
    num_seeds: int


def curves(records: Sequence[RunRecord]) -> dict[int, Curve]:
    """Seed -> its curve of finished runs."""
    found = defaultdict[int, dict[int, float]](dict)
    for record in records:
        if record.final is not None:
            found[record.seed][record.planned_tokens] = record.final.loss_nats
    return dict(found)


def tokens_for(curve: Curve, loss_nats: float) -> float:
    """The tokens at which `curve` has `loss_nats`; along its last segment beyond its ends."""
    tokens = np.log(sorted(curve))
    losses = np.log([curve[one] for one in sorted(curve)])
    segment = int(np.clip(np.searchsorted(-losses, -np.log(loss_nats)) - 1, 0, len(tokens) - 2))
    slope = (tokens[segment + 1] - tokens[segment]) / (losses[segment + 1] - losses[segment])
    return float(np.exp(tokens[segment] + slope * (np.log(loss_nats) - losses[segment])))


def changed(baseline: Mapping[int, Curve], contender: Mapping[int, Curve], cost_ratio: float) -> Change:
    """What a change is worth. cost_ratio: the baseline's FLOPs per token over the contender's."""
    seeds = sorted(set(baseline) & set(contender))
    budgets = sorted(set.intersection(*(set(contender[seed]) for seed in seeds)))
    common = [one for one in budgets if all(one in baseline[seed] for seed in seeds)]
    lowest = np.mean([min(baseline[seed].values()) for seed in seeds])
    means = {one: np.mean([contender[seed][one] for seed in seeds]) for one in budgets}
    reached = [one for one in budgets if means[one] >= lowest] or budgets[:1]
    tokens = reached[-1]
    needed = [tokens_for(baseline[seed], contender[seed][tokens]) for seed in seeds]
    logs = np.log(np.array(needed) / tokens * cost_ratio)
    spread = float(stdtrit(len(seeds) - 1, 0.975)) * float(np.std(logs, ddof=1)) / np.sqrt(len(seeds))
    mean = float(np.mean(logs))
    difference = np.mean([contender[seed][common[-1]] - baseline[seed][common[-1]] for seed in seeds])
    low, high = float(np.exp(mean - spread)), float(np.exp(mean + spread))
    return Change(float(difference), tokens, float(np.exp(mean)), low, high, len(seeds))


def flops_per_token(records: Sequence[RunRecord]) -> float:
    """Executed FLOPs of a token in training."""
    last = records[0].curve[-1]
    return float(last.flops_exact / last.tokens)


def main() -> None:
    """Prints a row for each change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", help="folder of the run store")
    parser.add_argument("--scan", default="one_change", help="name of the scan")
    parser.add_argument("--baseline", default="gpt2")
    chosen = parser.parse_args()
    of = defaultdict[str, list[RunRecord]](list)
    for record in size_scan_results(archbench.load(chosen.runs, scan=chosen.scan).records):
        of[record.contender].append(record)
    base = of.pop(chosen.baseline)
    print("| change | loss over the baseline's, nats | read at tokens | multiplier, 95 % | seeds |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, records in of.items():
        found = changed(curves(base), curves(records), flops_per_token(base) / flops_per_token(records))
        interval = f"{number(found.multiplier)} [{number(found.low)}, {number(found.high)}]"
        millions = f"{found.tokens / 1e6:.1f}M"
        print(f"| {name} | {found.difference_nats:+.3f} | {millions} | {interval} | {found.num_seeds} |")


if __name__ == "__main__":
    main()
