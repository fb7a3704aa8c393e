"""Whether two ladders were trained alike: tokens a parameter at equal cost.

Legend: N parameters, D tokens, C = 6·N·D.
"""

from collections.abc import Sequence

import numpy as np

from archbench.analysis.frontier.reading import Form
from archbench.results.fits import Comparison, FitStatus
from archbench.results.runs import RunRecord

_APART = 1.5
"""Factor between tokens a parameter from which on two ladders are unlike."""
_COSTS = 9


def tokens_apart(records: Sequence[RunRecord], pair: Comparison) -> dict[str, float] | None:
    """D/N of baseline and contender at the cost where they differ most; None where they are alike within 1.5.

    None as well where a joint law gives each its best D/N, and where there is no factor to mind it beside. Both are
    held against each other at equal costs, since a ladder of fixed tokens has fewer a parameter the larger.
    """
    if pair.form == Form.JOINT_LAW or pair.headline is None or pair.headline.status is not FitStatus.OK:
        return None
    ladders = {name: _ladder(records, name) for name in (pair.baseline, pair.contender)}
    first = max(log_cost[0] for log_cost, _ in ladders.values())
    last = min(log_cost[-1] for log_cost, _ in ladders.values())
    costs = np.linspace(first, last, _COSTS) if first < last else np.array([(first + last) / 2])
    at = np.stack([np.interp(costs, *ladder) for ladder in ladders.values()])
    worst = int(np.argmax(np.ptp(at, axis=0)))
    if np.ptp(at[:, worst]) < np.log(_APART):
        return None
    return {name: float(np.exp(value)) for name, value in zip(ladders, at[:, worst], strict=True)}


def _ladder(records: Sequence[RunRecord], name: str) -> np.ndarray:
    """ln C, rising, and ln D/N of a contender's runs, [2, runs]."""
    ends = [(run.curve[-1], run.non_embedding_params) for run in records if run.contender == name and run.usable]
    return np.asarray(np.log(sorted((end.kaplan_flops, end.tokens / size) for end, size in ends)).T)
