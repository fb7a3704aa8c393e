"""Which contenders gain from later tokens, as the prefix audits of their runs tell."""

import math
from collections.abc import Sequence

from archbench.results.fits import Interval
from archbench.results.runs import RunRecord

LEAST_GAIN_NATS = 1e-3
"""A gain below it changes no digit that a report prints."""

_NORMAL_QUANTILE = 1.96
"""Half width of a 95 % interval in standard errors."""


def gain_from_later_tokens(records: Sequence[RunRecord]) -> Interval | None:
    """The mean gain in nats per token over the audited runs among `records`, with a 95 % interval; None without any.

    Audits of different models are taken as independent of each other.
    """
    audits = [record.prefix_audit for record in records if record.usable and record.prefix_audit is not None]
    if not audits:
        return None
    mean = sum(audit.mean_gain_nats for audit in audits) / len(audits)
    errors = [(audit.high_nats - audit.low_nats) / 2 / _NORMAL_QUANTILE for audit in audits]
    margin = _NORMAL_QUANTILE * math.sqrt(sum(error**2 for error in errors)) / len(audits)
    return Interval(value=mean, low=mean - margin, high=mean + margin, method="normal, over runs")


def leaking_contenders(records: Sequence[RunRecord]) -> dict[str, Interval]:
    """Contenders whose models gain more than `LEAST_GAIN_NATS` from later tokens, told apart from 0, with the gain."""
    names = dict.fromkeys(record.contender for record in records)
    gains = {name: gain_from_later_tokens([one for one in records if one.contender == name]) for name in names}
    return {
        name: gain for name, gain in gains.items() if gain is not None and gain.value > LEAST_GAIN_NATS and gain.low > 0
    }
