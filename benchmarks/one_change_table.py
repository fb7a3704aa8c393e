"""What each single change of `specs/standard/one_change.yaml` is worth: the multiplier at equal size, by seeds.

    archbench run specs/standard/one_change.yaml
    python benchmarks/one_change_table.py runs

The loss of a change's finished run of D tokens is looked for on the baseline's curve of finished losses over tokens, of
the same size and seed (ln L is taken as linear in ln D between two budgets): the tokens that the baseline needs for it,
over D, times the ratio of executed FLOPs per token, is the change's compute multiplier. Of the budgets the largest is
taken whose mean loss lies among the baseline's; where none does, the figure is marked as extrapolated. The interval is
Student's of the logarithms over the seeds, which both sides share: two at least. Runs that have not ended are left out,
so that a scan under way gives the rows that it has. A schedule without a trunk is a change as well.
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

MIN_SEEDS = 2

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
    extrapolated: bool
    """Whether the loss lies beyond those of the baseline, on average over the seeds."""


def curves(records: Sequence[RunRecord]) -> dict[int, Curve]:
    """Seed -> its curve of finished runs."""
    found = defaultdict[int, dict[int, float]](dict)
    for record in records:
        assert record.final_loss_nats is not None, "a usable run has a loss"
        found[record.seed][record.planned_tokens] = record.final_loss_nats
    return dict(found)


def tokens_for(curve: Curve, loss_nats: float) -> float:
    """The tokens at which `curve` has `loss_nats`; along its last segment beyond its ends."""
    tokens = np.log(sorted(curve))
    losses = np.log([curve[one] for one in sorted(curve)])
    segment = int(np.clip(np.searchsorted(-losses, -np.log(loss_nats)) - 1, 0, len(tokens) - 2))
    slope = (tokens[segment + 1] - tokens[segment]) / (losses[segment + 1] - losses[segment])
    return float(np.exp(tokens[segment] + slope * (np.log(loss_nats) - losses[segment])))


def changed(baseline: Mapping[int, Curve], contender: Mapping[int, Curve], cost_ratio: float) -> Change | None:
    """What a change is worth; None where fewer than two seeds of both sides have ended.

    cost_ratio: the baseline's FLOPs per token over the contender's.
    """
    seeds = sorted(seed for seed in set(baseline) & set(contender) if len(baseline[seed]) > 1)
    if len(seeds) < MIN_SEEDS:
        return None
    budgets = sorted(set.intersection(*(set(contender[seed]) & set(baseline[seed]) for seed in seeds)))
    if not budgets:
        return None
    lowest, highest = (np.mean([pick(baseline[seed].values()) for seed in seeds]) for pick in (min, max))
    means = {one: np.mean([contender[seed][one] for seed in seeds]) for one in budgets}
    inside = [one for one in budgets if lowest <= means[one] <= highest]
    tokens = inside[-1] if inside else min(budgets, key=lambda one: max(lowest - means[one], means[one] - highest))
    needed = [tokens_for(baseline[seed], contender[seed][tokens]) for seed in seeds]
    logs = np.log(np.array(needed) / tokens * cost_ratio)
    spread = float(stdtrit(len(seeds) - 1, 0.975)) * float(np.std(logs, ddof=1)) / np.sqrt(len(seeds))
    mean = float(np.mean(logs))
    difference = np.mean([contender[seed][budgets[-1]] - baseline[seed][budgets[-1]] for seed in seeds])
    low, high = float(np.exp(mean - spread)), float(np.exp(mean + spread))
    return Change(float(difference), tokens, float(np.exp(mean)), low, high, len(seeds), not inside)


def flops_per_token(records: Sequence[RunRecord]) -> float:
    """Executed FLOPs of a token in training."""
    last = records[0].curve[-1]
    return float(last.exact_flops / last.tokens)


def rows(records: Sequence[RunRecord], baseline: str) -> list[str]:
    """A row of Markdown for each change to `baseline`. Raises ValueError where nothing can be compared."""
    of = defaultdict[str, list[RunRecord]](list)
    for record in records:
        if record.usable:
            of[record.contender].append(record)
    if baseline not in of:
        raise ValueError(f"no finished run of {baseline}")
    if len({record.size_index for some in of.values() for record in some}) > 1:
        raise ValueError("several sizes; changes are read at equal size")
    base = of.pop(baseline)
    lines = []
    for name, some in of.items():
        found = changed(curves(base), curves(some), flops_per_token(base) / flops_per_token(some))
        if found is None:
            lines.append(f"| {name} | fewer than {MIN_SEEDS} seeds have ended | | | |")
            continue
        interval = f"{number(found.multiplier)} [{number(found.low)}, {number(found.high)}]"
        interval += " (extrapolated)" if found.extrapolated else ""
        millions = f"{found.tokens / 1e6:.1f}M"
        lines.append(f"| {name} | {found.difference_nats:+.3f} | {millions} | {interval} | {found.num_seeds} |")
    return lines


def main() -> None:
    """Prints a row for each change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", help="folder of the run store")
    parser.add_argument("--scan", default="one_change", help="name of the scan")
    parser.add_argument("--baseline", default="gpt2")
    chosen = parser.parse_args()
    try:
        found = rows(size_scan_results(archbench.load(chosen.runs, scan=chosen.scan).records), chosen.baseline)
    except ValueError as error:
        parser.error(f"{chosen.runs}, scan {chosen.scan}: {error}")
    print("| change | loss over the baseline's, nats | read at tokens | multiplier, 95 % | seeds |")
    print("| --- | ---: | ---: | ---: | ---: |")
    print("\n".join(found))


if __name__ == "__main__":
    main()
