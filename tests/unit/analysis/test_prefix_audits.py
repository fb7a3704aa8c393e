"""Contenders that gain from later tokens are told from those that do not."""

from dataclasses import replace

import pytest

from archbench.analysis.frontier.prefix_audits import gain_from_later_tokens, leaking_contenders
from archbench.results.runs import PrefixAudit, RunRecord, RunState
from archbench.testing.synthetic import SyntheticLaw, synthetic_records


def audited(contender: str, *audits: PrefixAudit | None) -> list[RunRecord]:
    records = synthetic_records(contender, SyntheticLaw())
    return [replace(record, prefix_audit=audit) for record, audit in zip(records, audits, strict=False)]


def test_gain_is_the_mean_over_runs_with_the_interval_of_a_mean() -> None:
    gain = gain_from_later_tokens(audited("x", *[PrefixAudit(m, m - 0.2, m + 0.2, 64) for m in (0.1, 0.2, 0.3, 0.4)]))
    assert gain is not None
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.25, 0.15, 0.35))


def test_only_contenders_whose_gain_is_told_apart_from_nothing_are_named() -> None:
    records = [
        *audited("honest", *[PrefixAudit(0.0, 0.0, 0.0, 64)] * 3),
        *audited("rounding", *[PrefixAudit(1e-7, 1e-8, 2e-7, 64)] * 3),
        *audited("noisy", *[PrefixAudit(0.01, -0.02, 0.04, 64)] * 3),
        *audited("leaks", *[PrefixAudit(0.5, 0.4, 0.6, 64)] * 3),
        *audited("not_audited", None, None),
    ]
    assert list(leaking_contenders(records)) == ["leaks"]
    failed = [replace(record, state=RunState.FAILED, curve=()) for record in records]
    assert leaking_contenders(failed) == {}
