"""L(N) from the runs of a scan of sizes (Kaplan et al. 2020, section 3); those on the plateau are left out.

Legend: N parameters without embeddings, L validation loss (nats per predicted token), alpha_N exponent, N_c scale.
"""

from collections.abc import Sequence

from archbench.analysis.laws.single import SizeLaw
from archbench.results.runs import RunRecord
from archbench.results.studies import StudyPoint
from archbench.studies.points import about, column, different_tokens, result_point, usable_beyond_plateau
from archbench.studies.single_law import LawSamples, fit_with_samples
from archbench.studies.size_scan.results import SizeStudy

_SAME = 0.1
"""Budgets that differ by less than this share count as equal."""


def study_sizes(study: str, contender: str, runs: Sequence[RunRecord], seed: int = 0) -> tuple[SizeStudy, LawSamples]:
    """L(N): each size at the largest budget that it was given."""
    kept = usable_beyond_plateau(runs)
    points = _at_largest_budget(kept.runs)
    shorter = len(kept.runs) - len(points)
    variables = {"N": column(points, "non_embedding_params")}
    aside = kept.num_on_plateau
    law = fit_with_samples(SizeLaw(), variables, points, "none", seed=seed, on_plateau=aside)
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
        law_with_floor=fit_with_samples(SizeLaw(), variables, points, "free", seed=seed, on_plateau=aside).result,
    )
    return result, law


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
