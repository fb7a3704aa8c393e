"""Coverage of the laws' intervals, by simulation: `python -m archbench.analysis.simulation.coverage [--studies 1000]`.

Each row repeats a made-up study of a published law with its published constants (the laws with a shared and an outer
exponent have none and take ones like Chinchilla's): log-normal noise on every run, a fit, a percentile bootstrap over
runs, and the count of studies whose nominal 95 % interval held the truth. A row keeps its promise
between 93.6 and 96.4 %; the table says `no` where it does not.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.bootstrap import bootstrap_law
from archbench.analysis.fitting.fit import HOFFMANN_DELTA, LawFit, fit_law
from archbench.analysis.fitting.huber import minimise
from archbench.analysis.fitting.points import clean_points
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.intervals import percentile_ends
from archbench.analysis.laws.base import Law
from archbench.analysis.laws.catalogue import LAWS

PROMISE = (0.936, 0.964)


@dataclass(frozen=True, slots=True)
class Study:
    """A made-up study: which law, its constants, where it is measured, and the noise of ln L."""

    law: str
    truth: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    watched: tuple[str, ...]
    """Parameters whose intervals are counted."""
    floor: bool = True
    runs: int = 60
    noise: float = 0.005


STUDIES = (
    Study("L(C)", {"alpha_C": 0.05, "C_c": 2.7e28}, {"C": (1e17, 1e22)}, ("alpha_C",), floor=False, runs=24),
    Study("L(C)", {"alpha_C": 0.154, "C_c": 1e19, "E": 1.7}, {"C": (1e17, 1e22)}, ("alpha_C", "E"), runs=40),
    Study("L(N)", {"alpha_N": 0.076, "N_c": 8.8e13}, {"N": (1e6, 1e9)}, ("alpha_N",), floor=False, runs=24),
    Study("L(D)", {"alpha_D": 0.095, "D_c": 5.4e13}, {"D": (1e8, 1e11)}, ("alpha_D",), floor=False, runs=24),
    Study(
        "kaplan-nd",
        {"alpha_N": 0.076, "alpha_D": 0.103, "N_c": 6.4e13, "D_c": 1.8e13},
        {"N": (1e6, 1e9), "D": (1e7, 1e10)},
        ("alpha_N", "alpha_D"),
    ),
    Study(
        "kaplan-ns",
        {"alpha_N": 0.077, "alpha_S": 0.76, "N_c": 6.5e13, "S_c": 2.1e3},
        {"N": (1e6, 1e9), "S": (1e3, 1e5)},
        ("alpha_N", "alpha_S"),
    ),
    Study(
        "chinchilla",
        {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658},
        {"N": (5e7, 1.6e10), "D": (1e9, 5e11)},
        ("alpha", "beta", "E"),
        runs=245,
    ),
    Study(
        "data-transferred",
        {"k": 1.9e4, "alpha": 0.18, "beta": 0.38},
        {"D_F": (1e5, 1e8), "N": (1e6, 1e9)},
        ("alpha", "beta"),
        noise=0.1,
    ),
    Study(
        "shared-exponent",
        {"A": 482.01, "B": 2085.43, "E": 1.8172, "eta": 0.35},
        {"N": (5e7, 1.6e10), "D": (1e9, 5e11)},
        ("eta", "E"),
        runs=120,
    ),
    Study(
        "outer-exponent",
        {"A": 700.0, "B": 3000.0, "E": 1.8, "alpha": 0.4, "beta": 0.42, "gamma": 0.85},
        {"N": (1e7, 1.6e10), "D": (1e8, 5e11)},
        ("alpha", "beta", "gamma"),
        runs=245,
        noise=0.001,
    ),
    Study(
        "unified-transfer",
        {"alpha_N": 0.076, "alpha_D": 0.103, "alpha": 0.18, "beta": 0.38, "N_c": 6.4e13, "D_c_over_k": 9.5e8},
        {"D_F": (1e5, 1e8), "N": (1e6, 1e9)},
        ("alpha_N", "alpha_D", "alpha", "beta"),
        runs=245,
        noise=0.001,
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """Coverage of one parameter's interval."""

    study: Study
    parameter: str
    studies: int
    covered: float

    @property
    def keeps(self) -> bool:
        """Whether the interval covers as often as a nominal 95 % of 1,000 studies would, within two standard errors."""
        return PROMISE[0] <= self.covered <= PROMISE[1]


def simulate(study: Study, *, studies: int, resamples: int, seed: int = 0) -> list[Row]:
    """Coverage of each watched parameter."""
    law, generator = LAWS[study.law], np.random.default_rng(seed)
    hits = dict.fromkeys(study.watched, 0)
    for index in range(studies):
        variables = {
            name: np.exp(generator.uniform(np.log(low), np.log(high), study.runs))
            for name, (low, high) in study.ranges.items()
        }
        clean = law.predict(study.truth, **variables)
        fit = _fit(study, law, variables, clean * np.exp(generator.normal(0, study.noise, study.runs)))
        drawn = bootstrap_law(fit, num_resamples=resamples, seed=index).params()
        for name in study.watched:
            low, high = percentile_ends(drawn[name])
            hits[name] += int(low <= study.truth[name] <= high)
    return [Row(study, name, studies, count / studies) for name, count in hits.items()]


def _fit(study: Study, law: Law, variables: dict[str, Array], response: Array) -> LawFit:
    """The minimum next to the truth: the search for the global one has tests of its own and would take most time."""
    few = clean_points(law, variables, response)
    blank = fit_law(law, {name: value[:1] for name, value in variables.items()}, response[:1])
    fixed = () if study.floor or law.floor is None else (law.floor,)
    lower, upper = law.bounds()
    end = minimise(
        law.design(few.logs),
        few.observed,
        few.weights[None, :],
        law.internal(study.truth, few.centre)[None, :],
        delta=HOFFMANN_DELTA,
        lower=lower,
        upper=upper,
        fixed=fixed,
    )
    return LawFit(law, few, end.theta[0], fixed, HOFFMANN_DELTA, blank.result)


def main() -> None:
    """Prints the table of docs/coverage.md."""
    parser = argparse.ArgumentParser(description="Coverage of the laws' 95 % intervals, by simulation.")
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--law", choices=sorted({study.law for study in STUDIES}), help="One law only.")
    chosen = parser.parse_args()
    print("| law | floor | runs | noise of ln L | parameter | studies | covered | 93.6-96.4 % |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for study in STUDIES:
        if chosen.law in (None, study.law):
            for row in simulate(study, studies=chosen.studies, resamples=chosen.resamples):
                floor = "free" if study.floor and LAWS[study.law].floor is not None else "none"
                verdict = "yes" if row.keeps else "no"
                cells = (study.law, floor, study.runs, study.noise, row.parameter, row.studies, f"{row.covered:.1%}")
                print("| " + " | ".join(str(cell) for cell in (*cells, verdict)) + " |", flush=True)


if __name__ == "__main__":
    main()
