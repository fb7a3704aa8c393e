"""The compute-efficient frontier of one contender: its measured points."""

import numpy as np

from archbench.analysis.frontier.resamples import Frontiers, no_draw
from archbench.results.fits import FrontierPoint, PointKind


def frontier_points(frontiers: Frontiers) -> tuple[FrontierPoint, ...]:
    """The measured points on the lower envelope, in rising order of cost."""
    on = np.flatnonzero(frontiers.weights(no_draw(len(frontiers.curves)))[0])
    first = np.searchsorted(frontiers.curve, np.arange(len(frontiers.curves)))
    points = []
    for index in on[np.argsort(frontiers.log_cost[on], kind="stable")]:
        curve = frontiers.curves[frontiers.curve[index]]
        own = index - first[frontiers.curve[index]]
        points.append(
            FrontierPoint(
                cost=float(curve.cost[own]),
                loss_nats=float(curve.loss_nats[own]),
                run_id=curve.run_ids[0],
                size_index=curve.size_index,
                non_embedding_params=curve.non_embedding_params,
                tokens=int(curve.tokens[own]),
                kind=PointKind.FINISHED if curve.finished[own] else PointKind.MID_SCHEDULE,
            )
        )
    return tuple(points)
