"""L(D) and L(N,D) from runs on subsets of a text (Kaplan et al. 2020, section 4); those on the plateau are left out.

Legend: N parameters without embeddings, D tokens, L validation loss (nats per predicted token); alpha_N, alpha_D
exponents, N_c, D_c scales.
"""

from collections.abc import Sequence

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.residual_bootstrap import METHOD
from archbench.analysis.intervals import percentile_interval
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.laws.kaplan import KaplanSizeData
from archbench.analysis.laws.single import DataLaw
from archbench.results.fits import Interval
from archbench.results.runs import RunRecord
from archbench.results.studies import StudyPoint
from archbench.studies.points import about, column, different_tokens, result_point, usable_beyond_plateau
from archbench.studies.single_law import MIN_VALUES, LawSamples, fit_with_samples
from archbench.studies.subsets.results import DataStudy, GridStudy

OVERFITTING_LEVEL = 0.02
"""Kaplan et al. 2020, section 4.2."""
_GRID_NOTE = "D counts different tokens; where none was seen twice, the tokens seen"


def study_data(study: str, contender: str, runs: Sequence[RunRecord], seed: int = 0) -> tuple[DataStudy, LawSamples]:
    """L(D) of the largest model that has three amounts of data or more; the largest model if none has."""
    kept = usable_beyond_plateau(runs)
    every = [result_point(run) for run in kept.runs]
    size = _largest_size(every)
    points = [point for point in every if point.non_embedding_params == size]
    smaller = len(every) - len(points)
    variables = {"D": np.array([different_tokens(point) for point in points])}
    aside = kept.num_on_plateau
    law = fit_with_samples(DataLaw(), variables, points, "none", seed=seed, on_plateau=aside)
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
        law_with_floor=fit_with_samples(DataLaw(), variables, points, "free", seed=seed, on_plateau=aside).result,
    )
    return result, law


def study_grid(study: str, contender: str, runs: Sequence[RunRecord], seed: int = 0) -> tuple[GridStudy, LawSamples]:
    """L(N,D) over a grid, and the data that a size needs before it overfits."""
    kept = usable_beyond_plateau(runs)
    points = [result_point(run) for run in kept.runs]
    variables = {
        "N": column(points, "non_embedding_params"),
        "D": np.array([different_tokens(point) for point in points]),
    }
    aside = kept.num_on_plateau
    law = fit_with_samples(KaplanSizeData(), variables, points, "none", seed=seed, on_plateau=aside)
    exponent, factor = _overfitting(law)
    result = GridStudy(
        **about(study, contender, runs, used=len(points), left_out=kept.left_out, notes=(_GRID_NOTE,)),
        points=tuple(points),
        law=law.result,
        law_with_floor=fit_with_samples(Chinchilla(), variables, points, "free", seed=seed, on_plateau=aside).result,
        overfitting_exponent=exponent,
        overfitting_factor=factor,
        overfitting_level=OVERFITTING_LEVEL,
    )
    return result, law


def _largest_size(points: Sequence[StudyPoint]) -> int:
    sizes = sorted({point.non_embedding_params for point in points}, reverse=True)
    for size in sizes:
        amounts = {different_tokens(point) for point in points if point.non_embedding_params == size}
        if len(amounts) >= MIN_VALUES:
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
