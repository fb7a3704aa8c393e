"""A law of one variable, or of several, from a study's runs; and exponents of contenders side by side.

Legend: N parameters without embeddings, D tokens, L validation loss (nats per predicted token), alpha_X exponent of X.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from archbench.analysis.fitting.bootstrap import Samples
from archbench.analysis.fitting.fit import Floor, LawFit
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.residual_bootstrap import exp_interval, with_residual_intervals
from archbench.analysis.laws.base import Law
from archbench.analysis.seeding import contender_seed
from archbench.analysis.significance import two_sided_p
from archbench.contracts.study import StudyAnalysis, StudyRuns
from archbench.results.fits import FitResult, FitStatus
from archbench.results.runs import RunRecord
from archbench.results.studies import StudyComparison, StudyOfContender, StudyPoint
from archbench.studies.points import fit_study
from archbench.units import counted

MIN_VALUES = 3
"""Different values of a law's variable, to be fitted at all."""
_COUNTED = {"N": ("size", FitStatus.TOO_FEW_SIZES), "D": ("amount of data", FitStatus.TOO_FEW_POINTS)}

S = TypeVar("S", bound=StudyOfContender)


@dataclass(frozen=True, slots=True)
class LawSamples:
    """A law with its resamples: what comparisons are made with."""

    fit: LawFit
    samples: Samples | None

    @property
    def result(self) -> FitResult:
        """What is printed."""
        return self.fit.result


def fit_with_samples(
    law: Law,
    variables: Mapping[str, Array],
    points: Sequence[StudyPoint],
    floor: Floor,
    *,
    seed: int = 0,
    on_plateau: int = 0,
) -> LawSamples:
    """`law` of `points`, of whose contender `on_plateau` more runs were left out, with intervals from its residuals.

    variables: by the letters of the law, one value a point. Refused where its only one, or N, has too few values.
    """
    beyond = " beyond the plateau" if on_plateau else ""
    fit = fit_study(law, dict(variables), points, floor)
    for letter in law.variables if len(law.variables) == 1 else {"N"}.intersection(law.variables):
        what, status = _COUNTED.get(letter, (f"value of {letter}", FitStatus.TOO_FEW_POINTS))
        number = len(np.unique(variables[letter]))
        if number < MIN_VALUES:
            reason = f"{counted(number, what)}{beyond}; a law of {letter} needs at least {MIN_VALUES}"
            return LawSamples(fit.refused(FitStatus.ON_PLATEAU if on_plateau else status, reason), None)
    return LawSamples(*with_residual_intervals(fit, seed=seed))


def analyse_contenders(
    runs: StudyRuns,
    analyse: Callable[[str, str, Sequence[RunRecord], int], tuple[S, LawSamples]],
    exponents: Sequence[str],
    sentences: Callable[[S], list[str]],
) -> StudyAnalysis:
    """`analyse(study, contender, its runs, seed)` of each contender; the others' `exponents` over the baseline's.

    sentences: what the verdict says of one contender's result.

    Exponents may be put side by side across tracks, losses may not.
    """
    made = [
        analyse(runs.name, contender, records, contender_seed(runs.seed, contender))
        for contender, records in runs.by_contender.items()
    ]
    if not made:
        return StudyAnalysis(())
    first, first_samples = made[0]
    results: list[S] = [first]
    for other, samples in made[1:]:
        pairs = (
            _compared(first.contender, other.contender, name, first_samples, samples)
            for name in (exponents if runs.baseline in (None, first.contender) else ())
        )
        results.append(replace(other, comparisons=tuple(pair for pair in pairs if pair)))
    return StudyAnalysis(tuple(results), tuple(line for one in results for line in sentences(one)))


def _compared(one: str, other: str, name: str, first: LawSamples, second: LawSamples) -> StudyComparison | None:
    values = [_exponent(samples, name) for samples in (first, second)]
    if values[0] is None or values[1] is None:
        return None
    (a, drawn_a), (b, drawn_b) = values[0], values[1]
    return compared(one, other, name, "", float(np.log(b) - np.log(a)), np.log(drawn_b) - np.log(drawn_a))


def compared(baseline: str, contender: str, quantity: str, at: str, log_ratio: float, drawn: Array) -> StudyComparison:
    """A figure of `contender` over the baseline's, from ln of their ratio and its resamples, [R]."""
    return StudyComparison(
        baseline=baseline,
        contender=contender,
        quantity=quantity,
        at=at,
        ratio=exp_interval(log_ratio, drawn),
        p_value=two_sided_p(drawn),
    )


def _exponent(samples: LawSamples, parameter: str) -> tuple[float, Array] | None:
    if samples.samples is None or not samples.fit.ok:
        return None
    drawn = np.maximum(samples.samples.params()[parameter], 1e-12)
    return samples.fit.result.params[parameter], drawn
