"""What the studies' laws are fitted to: one point for each run, at its end or where it was best.

Legend: N parameters without embeddings, D tokens, L validation loss (nats per predicted token).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from archbench.analysis.fitting.fit import Floor, LawFit, fit_law
from archbench.analysis.fitting.huber import LEAST_SQUARES
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.frontier.plateau import runs_beyond_plateau
from archbench.analysis.laws.base import Law
from archbench.results.runs import CurvePoint, RunRecord
from archbench.results.studies import StudyPoint

_ON_PLATEAU = "on the plateau"


@dataclass(frozen=True, slots=True)
class Usable:
    """Runs that may enter a study, and how many may not."""

    runs: tuple[RunRecord, ...]
    left_out: dict[str, int]

    @property
    def num_on_plateau(self) -> int:
        """Runs that are left out because they end on the plateau."""
        return self.left_out.get(_ON_PLATEAU, 0)


def usable(runs: Sequence[RunRecord]) -> Usable:
    """The runs that are done and have been trained at all."""
    kept = tuple(run for run in runs if run.usable and run.curve[-1].tokens > 0)
    return Usable(kept, {"not done": len(runs) - len(kept)} if len(kept) < len(runs) else {})


def usable_beyond_plateau(runs: Sequence[RunRecord]) -> Usable:
    """As `usable`, without those whose cell comes to no more than the plateau, as far as their lines are known."""
    kept = usable(runs)
    beyond = runs_beyond_plateau(kept.runs, [result_point(run).loss_nats for run in kept.runs])
    on_plateau = len(kept.runs) - len(beyond)
    return Usable(tuple(beyond), kept.left_out | ({_ON_PLATEAU: on_plateau} if on_plateau else {}))


class About(TypedDict):
    """What every study says of itself, as keywords of its result."""

    study: str
    contender: str
    track: str
    runs_used: int
    left_out: Mapping[str, int]
    notes: tuple[str, ...]


def about(
    study: str,
    contender: str,
    runs: Sequence[RunRecord],
    *,
    used: int,
    left_out: Mapping[str, int],
    notes: Sequence[str] = (),
) -> About:
    """The head of a result: the study of `contender` on `runs`, of which `used` entered."""
    return About(
        study=study,
        contender=contender,
        track=runs[0].track if runs else "",
        runs_used=used,
        left_out=left_out,
        notes=tuple(notes),
    )


def stops_early(run: RunRecord) -> bool:
    """Whether the run's result is its best point."""
    training = run.details.get("identity", {}).get("training", {})
    return training.get("early_stopping") is not None


def result_point(run: RunRecord) -> StudyPoint:
    """Where the run's result stands: at its end, or at its best point where it stops early."""
    if stops_early(run):
        return study_point(run, run.best_point)
    end = study_point(run, run.curve[-1])
    return end if run.final is None else replace(end, loss_nats=run.final.loss_nats)


def study_point(run: RunRecord, point: CurvePoint) -> StudyPoint:
    """One evaluation of `run`."""
    return StudyPoint(
        run_id=run.run_id,
        non_embedding_params=run.non_embedding_params,
        batch_tokens=run.batch_tokens,
        seed=run.seed,
        steps=float(point.step),
        tokens=float(point.tokens),
        unique_tokens=run.unique_tokens,
        kaplan_flops=point.kaplan_flops,
        exact_flops=point.exact_flops,
        loss_nats=point.validation_loss_nats,
        finished=point.finished,
    )


def different_tokens(point: StudyPoint) -> float:
    """D of L(D) and L(N,D): what there was to learn from, which is what was seen where no token was seen twice."""
    return min(point.tokens, float(point.unique_tokens)) if point.unique_tokens else point.tokens


def column(points: Sequence[StudyPoint], name: str) -> Array:
    """One attribute of all points."""
    return np.array([getattr(point, name) for point in points], dtype=float)


def fit_study(law: Law, variables: dict[str, Array], points: Sequence[StudyPoint], floor: Floor) -> LawFit:
    """`law` by least squares on ln L of `points`, runs as clusters."""
    return fit_law(
        law,
        variables,
        column(points, "loss_nats"),
        floor=floor,
        delta=LEAST_SQUARES,
        clusters=[point.run_id for point in points],
        param_convention="non_embedding" if "N" in law.variables else "",
    )
