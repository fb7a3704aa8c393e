"""L(N), L(D) and L(N,D) from runs (Kaplan et al. 2020, sections 3 and 4).

Legend: N parameters without embeddings, D tokens, L validation loss (nats per predicted token); alpha_N, alpha_D
exponents, N_c, D_c scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting import LawFit
from archbench.analysis.law_bootstrap import Samples
from archbench.analysis.laws.base import Law
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.laws.kaplan import KaplanSizeData
from archbench.analysis.laws.single import DataLaw, SizeLaw
from archbench.analysis.power_sum import Array
from archbench.analysis.residual_bootstrap import METHOD, with_residual_intervals
from archbench.analysis.study_points import column, different_tokens, fit_study, result_point, usable
from archbench.results.fits import FitResult, FitStatus, Interval
from archbench.results.runs import RunRecord
from archbench.results.studies import DataStudy, GridStudy, SizeStudy, StudyPoint
from archbench.units import counted

MIN_SIZES = 3
_SAME = 0.1
"""Budgets that differ by less than this share count as equal."""
OVERFITTING_LEVEL = 0.02
"""Kaplan et al. 2020, section 4.2."""


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
    kept = usable(runs)
    points, left_out = [], dict(kept.left_out)
    for size in sorted({run.non_embedding_params for run in kept.runs}):
        ends = [result_point(run) for run in kept.runs if run.non_embedding_params == size]
        longest = max(run.planned_tokens for run in kept.runs if run.non_embedding_params == size)
        chosen = [
            point
            for run, point in zip((r for r in kept.runs if r.non_embedding_params == size), ends, strict=True)
            if run.planned_tokens > (1 - _SAME) * longest
        ]
        if shorter := len(ends) - len(chosen):
            left_out["shorter budget of the same size"] = left_out.get("shorter budget of the same size", 0) + shorter
        points += chosen
    notes = []
    data = [different_tokens(point) for point in points]
    if data and max(data) > (1 + _SAME) * min(data):
        notes.append("tokens differ from size to size, so that the exponent is that of this ladder and not of N alone")
    elif data:
        notes.append(f"every size saw {min(data):.3g} tokens; sizes that these do not suffice for flatten the law")
    law, samples = _law(SizeLaw(), {"N": column(points, "non_embedding_params")}, points, "none", seed)
    floor, _ = _law(SizeLaw(), {"N": column(points, "non_embedding_params")}, points, "free", seed)
    result = SizeStudy(
        kind="size_scan",
        study=study,
        contender=contender,
        track=runs[0].track if runs else "",
        runs_used=len(points),
        left_out=left_out,
        notes=tuple(notes),
        points=tuple(points),
        law=law.result,
        law_with_floor=floor.result,
    )
    return result, LawSamples(law, samples)


def study_data(study: str, contender: str, runs: Sequence[RunRecord], *, seed: int = 0) -> tuple[DataStudy, LawSamples]:
    """L(D) of the largest model that has three amounts of data or more; the largest model if none has."""
    kept = usable(runs)
    points = [result_point(run) for run in kept.runs]
    size = _largest_size(points)
    chosen = [point for point in points if point.non_embedding_params == size]
    left_out = dict(kept.left_out)
    if smaller := len(points) - len(chosen):
        left_out["another size"] = smaller
    data = np.array([different_tokens(point) for point in chosen])
    law, samples = _law(DataLaw(), {"D": data}, chosen, "none", seed)
    floor, _ = _law(DataLaw(), {"D": data}, chosen, "free", seed)
    early = sum(point.tokens > point.unique_tokens for point in chosen)
    result = DataStudy(
        kind="data_scan",
        study=study,
        contender=contender,
        track=runs[0].track if runs else "",
        runs_used=len(chosen),
        left_out=left_out,
        notes=(
            f"lowest validation loss of each run; {early} of {len(chosen)} runs saw their text more than once",
            "a model of limited size flattens the law at large D",
        ),
        non_embedding_params=size,
        points=tuple(chosen),
        law=law.result,
        law_with_floor=floor.result,
    )
    return result, LawSamples(law, samples)


def study_grid(study: str, contender: str, runs: Sequence[RunRecord], *, seed: int = 0) -> tuple[GridStudy, LawSamples]:
    """L(N,D) over a grid, and the data that a size needs before it overfits."""
    kept = usable(runs)
    points = [result_point(run) for run in kept.runs]
    variables = {
        "N": column(points, "non_embedding_params"),
        "D": np.array([different_tokens(point) for point in points]),
    }
    law, samples = _law(KaplanSizeData(), variables, points, "none", seed)
    beside, _ = _law(Chinchilla(), variables, points, "free", seed)
    exponent, factor = _overfitting(law, samples)
    result = GridStudy(
        kind="grid",
        study=study,
        contender=contender,
        track=runs[0].track if runs else "",
        runs_used=len(points),
        left_out=kept.left_out,
        notes=("D counts different tokens; where none was seen twice, the tokens seen",),
        points=tuple(points),
        law=law.result,
        law_with_floor=beside.result,
        overfitting_exponent=exponent,
        overfitting_factor=factor,
        overfitting_level=OVERFITTING_LEVEL,
    )
    return result, LawSamples(law, samples)


def _law(
    law: Law, variables: dict[str, Array], points: Sequence[StudyPoint], floor: str, seed: int
) -> tuple[LawFit, Samples | None]:
    fit = fit_study(law, variables, points, "free" if floor == "free" else "none")
    sizes = len({point.non_embedding_params for point in points})
    if "N" in law.variables and sizes < MIN_SIZES:
        return fit.refused(
            FitStatus.TOO_FEW_SIZES, f"{counted(sizes, 'size')}; a law of N needs at least {MIN_SIZES}"
        ), None
    if law.variables == ("D",) and len(np.unique(variables["D"])) < MIN_SIZES:
        reason = f"{len(np.unique(variables['D']))} amounts of data; a law of D needs at least {MIN_SIZES}"
        return fit.refused(FitStatus.TOO_FEW_POINTS, reason), None
    return with_residual_intervals(fit, seed=seed)


def _largest_size(points: Sequence[StudyPoint]) -> int:
    sizes = sorted({point.non_embedding_params for point in points}, reverse=True)
    for size in sizes:
        amounts = {different_tokens(point) for point in points if point.non_embedding_params == size}
        if len(amounts) >= MIN_SIZES:
            return size
    return sizes[0] if sizes else 0


def _overfitting(fit: LawFit, samples: Samples | None) -> tuple[Interval | None, Interval | None]:
    """r and k of D = k·N^r, the data at which L(N,D) lies `OVERFITTING_LEVEL` above L(N,infinity).

    (1 + (D_c/D)/(N_c/N)^r)^alpha_D = 1 + level with r = alpha_N/alpha_D (Kaplan et al. 2020, eq 4.3 and 4.4).
    """
    if samples is None or not fit.ok:
        return None, None
    values = _data_needed({name: np.array([value]) for name, value in fit.result.params.items()})
    drawn = _data_needed(samples.params())
    exponent = _percentiles(values[0][0], drawn[0])
    factor = _percentiles(values[1][0], drawn[1])
    return exponent, factor


def _data_needed(params: dict[str, Array]) -> tuple[Array, Array]:
    ratio = params["alpha_N"] / params["alpha_D"]
    with np.errstate(over="ignore"):
        excess = np.expm1(np.log1p(OVERFITTING_LEVEL) / params["alpha_D"])
        factor = np.exp(np.log(params["D_c"]) - ratio * np.log(params["N_c"]) - np.log(excess))
    return ratio, factor


def _percentiles(value: float, drawn: Array) -> Interval:
    finite = drawn[np.isfinite(drawn)]
    low, high = np.percentile(finite, [2.5, 97.5]) if len(finite) else (-np.inf, np.inf)
    return Interval(float(value), float(low), float(high), method=METHOD)
