"""L(N), L(D) and L(N,D) from runs (Kaplan et al. 2020, sections 3 and 4); those on the plateau are left out.

Legend: N parameters without embeddings, D tokens, L validation loss (nats per predicted token); alpha_N, alpha_D
exponents, N_c, D_c scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.bootstrap import Samples
from archbench.analysis.fitting.fit import Floor, LawFit
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.residual_bootstrap import METHOD, with_residual_intervals
from archbench.analysis.intervals import percentile_interval
from archbench.analysis.laws.base import Law
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.laws.kaplan import KaplanSizeData
from archbench.analysis.laws.single import DataLaw, SizeLaw
from archbench.analysis.study_points import (
    about,
    column,
    different_tokens,
    fit_study,
    result_point,
    usable_beyond_plateau,
)
from archbench.results.fits import FitResult, FitStatus, Interval
from archbench.results.runs import RunRecord
from archbench.results.studies import DataStudy, GridStudy, SizeStudy, StudyPoint
from archbench.units import counted

MIN_SIZES = 3
_SAME = 0.1
"""Budgets that differ by less than this share count as equal."""
OVERFITTING_LEVEL = 0.02
"""Kaplan et al. 2020, section 4.2."""
_GRID_NOTE = "D counts different tokens; where none was seen twice, the tokens seen"


@dataclass(frozen=True, slots=True)
class LawSamples:
    """A law with its resamples: what comparisons are made with."""

    fit: LawFit
    samples: Samples | None

    @property
    def result(self) -> FitResult:
        """What is printed."""
        return self.fit.result


def study_sizes(
    study: str, contender: str, runs: Sequence[RunRecord], *, seed: int = 0
) -> tuple[SizeStudy, LawSamples]:
    """L(N): each size at the largest budget that it was given."""
    kept = usable_beyond_plateau(runs)
    points = _at_largest_budget(kept.runs)
    shorter = len(kept.runs) - len(points)
    variables = {"N": column(points, "non_embedding_params")}
    aside = kept.num_on_plateau
    law = _law(SizeLaw(), variables, points, "none", seed, aside)
    result = SizeStudy(
        **about(
            study,
            contender,
            runs,
            used=len(points),
            left_out=kept.left_out | ({"shorter budget of the same size": shorter} if shorter else {}),
            notes=_size_notes(points),
        ),
        points=tuple(points),
        law=law.result,
        law_with_floor=_law(SizeLaw(), variables, points, "free", seed, aside).result,
    )
    return result, law


def study_data(study: str, contender: str, runs: Sequence[RunRecord], *, seed: int = 0) -> tuple[DataStudy, LawSamples]:
    """L(D) of the largest model that has three amounts of data or more; the largest model if none has."""
    kept = usable_beyond_plateau(runs)
    every = [result_point(run) for run in kept.runs]
    size = _largest_size(every)
    points = [point for point in every if point.non_embedding_params == size]
    smaller = len(every) - len(points)
    variables = {"D": np.array([different_tokens(point) for point in points])}
    aside = kept.num_on_plateau
    law = _law(DataLaw(), variables, points, "none", seed, aside)
    early = sum(point.tokens > point.unique_tokens for point in points)
    result = DataStudy(
        **about(
            study,
            contender,
            runs,
            used=len(points),
            left_out=kept.left_out | ({"another size": smaller} if smaller else {}),
            notes=(
                f"lowest validation loss of each run; {early} of {len(points)} runs saw their text more than once",
                "a model of limited size flattens the law at large D",
            ),
        ),
        non_embedding_params=size,
        points=tuple(points),
        law=law.result,
        law_with_floor=_law(DataLaw(), variables, points, "free", seed, aside).result,
    )
    return result, law


def study_grid(study: str, contender: str, runs: Sequence[RunRecord], *, seed: int = 0) -> tuple[GridStudy, LawSamples]:
    """L(N,D) over a grid, and the data that a size needs before it overfits."""
    kept = usable_beyond_plateau(runs)
    points = [result_point(run) for run in kept.runs]
    variables = {
        "N": column(points, "non_embedding_params"),
        "D": np.array([different_tokens(point) for point in points]),
    }
    aside = kept.num_on_plateau
    law = _law(KaplanSizeData(), variables, points, "none", seed, aside)
    exponent, factor = _overfitting(law)
    result = GridStudy(
        **about(study, contender, runs, used=len(points), left_out=kept.left_out, notes=(_GRID_NOTE,)),
        points=tuple(points),
        law=law.result,
        law_with_floor=_law(Chinchilla(), variables, points, "free", seed, aside).result,
        overfitting_exponent=exponent,
        overfitting_factor=factor,
        overfitting_level=OVERFITTING_LEVEL,
    )
    return result, law


def _law(
    law: Law, variables: dict[str, Array], points: Sequence[StudyPoint], floor: Floor, seed: int, on_plateau: int
) -> LawSamples:
    """`law` of `points`, of whose contender `on_plateau` more runs are left out."""
    beyond = " beyond the plateau" if on_plateau else ""
    fit = fit_study(law, variables, points, floor)
    sizes = len({point.non_embedding_params for point in points})
    if "N" in law.variables and sizes < MIN_SIZES:
        reason = f"{counted(sizes, 'size')}{beyond}; a law of N needs at least {MIN_SIZES}"
        status = FitStatus.ON_PLATEAU if on_plateau else FitStatus.TOO_FEW_SIZES
        return LawSamples(fit.refused(status, reason), None)
    if law.variables == ("D",) and len(np.unique(variables["D"])) < MIN_SIZES:
        reason = f"{len(np.unique(variables['D']))} amounts of data{beyond}; a law of D needs at least {MIN_SIZES}"
        status = FitStatus.ON_PLATEAU if on_plateau else FitStatus.TOO_FEW_POINTS
        return LawSamples(fit.refused(status, reason), None)
    return LawSamples(*with_residual_intervals(fit, seed=seed))


def _at_largest_budget(runs: Sequence[RunRecord]) -> list[StudyPoint]:
    """The results of the runs whose budget is about the largest of their size, by size."""
    longest: dict[int, int] = {}
    for run in runs:
        longest[run.non_embedding_params] = max(run.planned_tokens, longest.get(run.non_embedding_params, 0))
    chosen = [run for run in runs if run.planned_tokens > (1 - _SAME) * longest[run.non_embedding_params]]
    return [result_point(run) for run in sorted(chosen, key=lambda run: run.non_embedding_params)]


def _size_notes(points: Sequence[StudyPoint]) -> tuple[str, ...]:
    """What the tokens of the points mean for the exponent of N."""
    data = [different_tokens(point) for point in points]
    if not data:
        return ()
    if max(data) > (1 + _SAME) * min(data):
        return ("tokens differ from size to size, so that the exponent is that of this ladder and not of N alone",)
    return (f"every size saw {min(data):.3g} tokens; sizes that these do not suffice for flatten the law",)


def _largest_size(points: Sequence[StudyPoint]) -> int:
    sizes = sorted({point.non_embedding_params for point in points}, reverse=True)
    for size in sizes:
        amounts = {different_tokens(point) for point in points if point.non_embedding_params == size}
        if len(amounts) >= MIN_SIZES:
            return size
    return sizes[0] if sizes else 0


def _overfitting(law: LawSamples) -> tuple[Interval | None, Interval | None]:
    """r and k of D = k·N^r, the data at which L(N,D) lies `OVERFITTING_LEVEL` above L(N,infinity).

    (1 + (D_c/D)/(N_c/N)^r)^alpha_D = 1 + level with r = alpha_N/alpha_D (Kaplan et al. 2020, eq 4.3 and 4.4).
    """
    if law.samples is None or not law.fit.ok:
        return None, None
    values = _data_needed({name: np.array([value]) for name, value in law.result.params.items()})
    drawn = _data_needed(law.samples.params())
    ratio, level = (
        percentile_interval(value[0], sample, method=METHOD) for value, sample in zip(values, drawn, strict=True)
    )
    return ratio, level


def _data_needed(params: dict[str, Array]) -> tuple[Array, Array]:
    ratio = params["alpha_N"] / params["alpha_D"]
    with np.errstate(over="ignore"):
        excess = np.expm1(np.log1p(OVERFITTING_LEVEL) / params["alpha_D"])
        factor = np.exp(np.log(params["D_c"]) - ratio * np.log(params["N_c"]) - np.log(excess))
    return ratio, factor
