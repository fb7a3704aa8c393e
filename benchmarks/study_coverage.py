"""How often the studies' 95 % intervals cover the published constants of Kaplan et al. 2020, by simulation.

    OMP_NUM_THREADS=1 python benchmarks/study_coverage.py --studies 200 --resamples 200

Each made-up campaign is drawn from the published laws, every run's curve shifted by its own noise of ln L, and goes as
run records through the analysis of measured runs: steps read off curves, S_min by the campaign's own B_crit(L).
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from archbench.analysis.fitting.residual_bootstrap import with_residual_intervals
from archbench.results.fits import FitResult, FitStatus
from archbench.results.runs import RunRecord
from archbench.studies.batch_scan.analysis import study_batches
from archbench.studies.learning_curves.analysis import Correction, study_steps
from archbench.studies.size_scan.analysis import study_sizes
from archbench.studies.subsets.analysis import study_data, study_grid
from archbench.testing.synthetic_studies import KaplanPlan, PublishedLaws, kaplan_records

LAWS = PublishedLaws()
TRUTH: Mapping[str, Mapping[str, float]] = {
    "scan": LAWS.size,
    "data": LAWS.data,
    "grid": LAWS.size_data,
    "batches": LAWS.critical_batch,
    "curves": LAWS.size_steps,
}
NAMES = {"scan": "L(N)", "data": "L(D)", "grid": "L(N,D)", "batches": "B_crit(L)", "curves": "L(N,S_min)"}


def shifted(run: RunRecord, factor: float) -> RunRecord:
    """`run` with every loss times `factor`."""
    points = tuple(replace(one, validation_loss_nats=one.validation_loss_nats * factor) for one in run.curve)
    return replace(run, curve=points)


def laws_of(records: Sequence[RunRecord], resamples: int, seed: int) -> dict[str, FitResult]:
    """The law of each study of one campaign."""
    by_study: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        by_study[record.study].append(record)
    found = {}
    for name, study in (("scan", study_sizes), ("data", study_data), ("grid", study_grid)):
        fit = study(name, "gpt2", by_study[name], seed=seed)[1].fit
        found[name] = with_residual_intervals(fit, num_resamples=resamples, seed=seed)[0].result
    batches, samples = study_batches("batches", "gpt2", by_study["batches"], num_resamples=resamples, seed=seed)
    found["batches"] = batches.law
    if samples is not None:
        correction = Correction(batches.law, samples, "the batch scan")
        steps = study_steps("curves", "gpt2", by_study["curves"], correction, num_resamples=resamples, seed=seed)
        found["curves"] = steps.law
    return found


def main() -> None:
    """Prints the table of docs/coverage.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--noise", type=float, default=0.003, help="standard deviation of ln L from run to run")
    chosen = parser.parse_args()
    clean = kaplan_records(LAWS, KaplanPlan())
    runs = {name: sum(record.study == name for record in clean) for name in TRUTH}
    generator = np.random.default_rng(0)
    covered: dict[tuple[str, str], int] = defaultdict(int)
    given: dict[str, int] = defaultdict(int)
    for number in range(chosen.studies):
        factors = np.exp(chosen.noise * generator.standard_normal(len(clean)))
        records = [shifted(run, float(factor)) for run, factor in zip(clean, factors, strict=True)]
        for name, law in laws_of(records, chosen.resamples, number).items():
            given[name] += law.status is FitStatus.OK
            for parameter, truth in TRUTH[name].items():
                interval = law.intervals.get(parameter)
                covered[name, parameter] += interval is not None and interval.covers(truth)
    print("| study | runs | parameter | studies with a law | covered | 93.6-96.4 % |")
    print("| --- | ---: | --- | ---: | ---: | --- |")
    for name, constants in TRUTH.items():
        for parameter in constants:
            share = covered[name, parameter] / max(given[name], 1)
            verdict = "yes" if 0.936 <= share <= 0.964 else "no"
            print(f"| {NAMES[name]} | {runs[name]} | {parameter} | {given[name]} | {share:.1%} | {verdict} |")


if __name__ == "__main__":
    main()
