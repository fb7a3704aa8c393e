"""The compute-efficient frontier of one contender: its measured points."""

import numpy as np

from archbench.analysis.frontier.resamples import CurveStack, no_draw
from archbench.results.fits import FrontierPoint, PointKind


def frontier_points(stack: CurveStack) -> tuple[FrontierPoint, ...]:
    """The measured points on the lower envelope, in rising order of cost."""
    on = np.flatnonzero(stack.weights(no_draw(len(stack.curves)))[0])
    first = np.searchsorted(stack.curve, np.arange(len(stack.curves)))
    points = []
    for index in on[np.argsort(stack.log_cost[on], kind="stable")]:
        curve = stack.curves[stack.curve[index]]
        own = index - first[stack.curve[index]]
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
