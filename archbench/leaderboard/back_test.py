"""How far off an entry's own smaller sizes would have been about its largest one: a figure that entries state."""

from collections.abc import Sequence

from archbench.analysis.frontier.back_test import back_test_frontier, last_error
from archbench.analysis.frontier.scan import StudyOptions, fit_contenders
from archbench.results.runs import CostAxis, RunRecord

_WITHOUT_INTERVALS = 2
"""Resamples where only the prediction itself is asked for."""


def back_test_errors(records: Sequence[RunRecord]) -> dict[str, float]:
    """Cost axis -> predicted/actual - 1 at the largest size of one contender; axes without a prediction are left out.

    By the law above a floor (0 where the runs show none), of all runs that are cheaper.
    """
    options = StudyOptions(num_resamples=_WITHOUT_INTERVALS, floor="none")
    errors = {}
    for axis in CostAxis:
        for one in fit_contenders(records, axis, baseline=None, options=options):
            row = last_error(back_test_frontier(one, floors=("free",), num_resamples=_WITHOUT_INTERVALS))
            if row is not None and row.predicted is not None:
                errors[axis.value] = row.error
    return errors
