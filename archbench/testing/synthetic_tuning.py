"""Trials of learning rates made from a parabola whose minimum is known, for tests."""

import math
from collections.abc import Sequence
from dataclasses import replace

from archbench.results.runs import RunRecord
from archbench.results.tuning import RUNG_LABEL, TRIAL, rate_grid


def with_rate(record: RunRecord, rate: float) -> RunRecord:
    """`record` as if it had been trained at the peak rate `rate`."""
    return replace(record, details={**record.details, "identity": {"training": {"peak_learning_rate": rate}}})


def synthetic_tuning(
    results: Sequence[RunRecord], *, best: float = 4e-3, centre: float = 4e-3, curvature: float = 0.02
) -> list[RunRecord]:
    """`results` at the rate of a grid that is nearest to `best`, and the trials that chose it.

    Five rates from `centre`/4 to 4·`centre` on a first rung, the three nearest to `best` on the second. ln L rises by
    `curvature` times the square of ln(rate/best), and is 0.1 higher on the first rung.
    """
    grid = rate_grid(centre, 4.0, 5)
    nearest = sorted(grid, key=lambda rate: abs(math.log(rate / best)))
    records = []
    for result in (with_rate(one, nearest[0]) for one in results):
        records.append(result)
        if result.seed:
            continue
        for rung, rates in ((1, grid), (2, tuple(sorted(nearest[:3])))):
            for rate in rates:
                trial = result if rung == 2 and rate == nearest[0] else _trial(result, rate, rung, best, curvature)
                records.append(replace(trial, role=TRIAL, labels={RUNG_LABEL: str(rung)}))
    return records


def _trial(result: RunRecord, rate: float, rung: int, best: float, curvature: float) -> RunRecord:
    chosen = result.details["identity"]["training"]["peak_learning_rate"]
    rise = curvature * (math.log(rate / best) ** 2 - math.log(chosen / best) ** 2) + 0.1 * (2 - rung)
    curve = tuple(
        replace(point, validation_loss_nats=point.validation_loss_nats * math.exp(rise)) for point in result.curve
    )
    return with_rate(replace(result, run_id=f"{result.run_id}/{rung}/{rate}", curve=curve), rate)
