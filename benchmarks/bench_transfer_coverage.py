"""Coverage of the intervals of transfer studies, by simulation: `python benchmarks/bench_transfer_coverage.py`.

Each row repeats a made-up study of the published law D_T = 1.9e4·D_F^0.18·N^0.38 over Kaplan's L(N,D), with log-normal
noise on every run, through the analysis of measured ones, and counts how often nominal 95 % intervals hold the truth.
The order row makes two directions with the same law, and counts how often they are not told apart.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from archbench.analysis.simulation.coverage import PROMISE
from archbench.studies.transfer.cells import Cell, NoiseDraws, run_noise, transfer_runs
from archbench.studies.transfer.data_regime import low_data_regime, scratch_law
from archbench.studies.transfer.direction_ranking import rank_directions
from archbench.studies.transfer.effective_data import Effective, effective_data, transfer_cell
from archbench.studies.transfer.laws import fit_transfer_law
from archbench.studies.transfer.results import FINETUNE, SCRATCH, Censoring
from archbench.testing.synthetic_transfer import SyntheticTransfer, synthetic_transfer_records

SIZES = (1_000_000, 4_000_000, 16_000_000, 64_000_000)
DESIGNS = {
    "two seeds": SyntheticTransfer(
        sizes=SIZES,
        scratch_tokens=tuple(int(value) for value in np.geomspace(3e5, 3e10, 11)),
        finetune_tokens=tuple(int(value) for value in np.geomspace(3e5, 3e7, 5)),
        seeds=2,
        noise_std=0.003,
    ),
    "one seed": SyntheticTransfer(
        sizes=SIZES,
        scratch_tokens=tuple(int(value) for value in np.geomspace(3e5, 3e10, 11)),
        finetune_tokens=tuple(int(value) for value in np.geomspace(3e5, 3e7, 5)),
        noise_std=0.003,
    ),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One made-up study, as far as its intervals need it."""

    effective: tuple[Effective, ...]
    scratch: Mapping[int, tuple[Cell, ...]]


def measure(plan: SyntheticTransfer, target: str, seed: int, resamples: int) -> Measured:
    """The effective data of the study made with `seed`."""
    runs = transfer_runs(synthetic_transfer_records(plan, source="text", target=target, seed=seed))
    cells = [*runs.scratch, *runs.finetune]
    noises = {role: run_noise(cells, role) for role in (SCRATCH, FINETUNE)}
    scratch, finetune = runs.scratch_of("gpt2", target), runs.finetune_of("gpt2", "text", target)
    return Measured(effective_data(finetune, scratch, noises, NoiseDraws(resamples, seed)), scratch)


def simulate(plan: SyntheticTransfer, studies: int, resamples: int) -> Mapping[str, tuple[int, int]]:
    """For each watched figure, how many intervals held the truth, and how many there were."""
    held: dict[str, list[bool]] = {}
    for seed in range(studies):
        found = measure(plan, "python", seed, resamples)
        for one in found.effective:
            cell = transfer_cell(one, None)
            truth = plan.transferred(cell.non_embedding_params, cell.finetune_tokens) / cell.finetune_tokens + 1.0
            if cell.censored is Censoring.NONE:
                held.setdefault("D_E/D_F of a cell", []).append(cell.multiplier.covers(truth))
        ends = low_data_regime(found.scratch, scratch_law(found.scratch)).low_data_tokens
        low = [one for one in found.effective if one.cell.tokens <= ends.get(one.cell.size_index, np.inf)]
        law = fit_transfer_law(low, None)[0].result
        for name, interval in law.intervals.items():
            held.setdefault(f"{name} of D_T", []).append(interval.covers(plan.law[name]))
        other = measure(plan, "ruby", seed + 1_000_000, resamples)
        (ranking,) = rank_directions("gpt2", {("text", "python"): found.effective, ("text", "ruby"): other.effective})
        held.setdefault("order of two equal directions", []).append(not ranking.pairs[0].told_apart)
    return {name: (sum(values), len(values)) for name, values in held.items()}


def main() -> None:
    """Prints the table of docs/coverage.md."""
    parser = argparse.ArgumentParser(description="Coverage of the 95 % intervals of transfer studies, by simulation.")
    parser.add_argument("--studies", type=int, default=300)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--design", choices=sorted(DESIGNS), help="One design only.")
    chosen = parser.parse_args()
    print("| design | figure | studies | intervals | covered | 93.6-96.4 % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in (chosen.design,) if chosen.design else DESIGNS:
        plan = DESIGNS[name]
        for figure, (hits, count) in simulate(plan, chosen.studies, chosen.resamples).items():
            verdict = "yes" if PROMISE[0] <= hits / count <= PROMISE[1] else "no"
            print(f"| {name} | {figure} | {chosen.studies} | {count} | {hits / count:.1%} | {verdict} |", flush=True)


if __name__ == "__main__":
    main()
