"""Normalised learning curves: a clean ladder falls on one curve, a size whose rate is off departs from it."""

from dataclasses import replace

import numpy as np
import pytest

from archbench.analysis.frontier.collapse import FROM_SHARE, analyse_collapse
from archbench.results.controls import Collapse
from archbench.results.runs import RunRecord
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

LAWS = {
    "fixed tokens": (SyntheticLaw(E=1.0, A=14, alpha=0.35, B=120, beta=0.38), None),
    "40 tokens a parameter": (SyntheticLaw(E=1.0, A=14, alpha=0.35, B=120, beta=0.38), 40),
    "high floor": (SyntheticLaw(E=1.7, A=40, alpha=0.34, B=41, beta=0.28), None),
}


def curves(
    name: str,
    generator: np.random.Generator,
    *,
    slow: int | None = None,
    seeds: tuple[int, ...] = (3, 3, 3, 3, 3),
    noise: float = 0.003,
) -> list[RunRecord]:
    """A ladder with noise of whole runs and of evaluations; size `slow` learns as if from a fifth of its tokens."""
    law, per_param = LAWS[name]
    made = []
    for run in synthetic_records("a", law, SyntheticScan(seeds=seeds)):
        budget = float(per_param * run.non_embedding_params if per_param else run.planned_tokens)
        shift = 0.01 * generator.standard_normal()
        points = []
        for point in run.curve:
            seen = max(budget * point.tokens / run.planned_tokens, 1.0) * (0.2 if run.size_index == slow else 1.0)
            loss = law.loss(run.non_embedding_params, seen) * np.exp(shift + noise * generator.standard_normal())
            points.append(replace(point, validation_loss_nats=float(loss)))
        made.append(replace(run, curve=tuple(points)))
    return made


def collapse(records: list[RunRecord]) -> Collapse:
    (found,) = analyse_collapse(records)
    return found


@pytest.mark.parametrize("name", LAWS)
def test_a_clean_ladder_is_flagged_in_at_most_one_study_of_twenty(name: str) -> None:
    generator = np.random.default_rng(0)
    flagged = sum(bool(collapse(curves(name, generator)).flagged) for _ in range(60))
    # Binomial of 5 % in 60: seven or more have a chance of 3 %; fewer are seen, since the tolerance comes on top.
    assert flagged <= 6


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("slow", [0, 2, 4])
def test_the_size_of_too_low_a_rate_is_the_one_that_departs(name: str, slow: int) -> None:
    generator = np.random.default_rng(1)
    found = [[rung.size_index for rung in collapse(curves(name, generator, slow=slow)).flagged] for _ in range(20)]
    assert found.count([slow]) >= 17  # 96 to 100 % of studies


def test_residuals_without_noise_are_exact_where_curves_do_collapse() -> None:
    """At one number of tokens a parameter and equal exponents, loss without a floor is one curve times a constant."""
    law = SyntheticLaw(E=0.0, A=12.0, alpha=0.2, B=12.0, beta=0.2)
    made = []
    for run in synthetic_records("a", law, SyntheticScan(seeds=(1,) * 5)):
        points = [
            replace(
                point,
                validation_loss_nats=law.loss(
                    run.non_embedding_params,
                    max(20.0 * run.non_embedding_params * point.tokens / run.planned_tokens, 1e-9),
                ),
            )
            for point in run.curve
        ]
        made.append(replace(run, curve=tuple(points)))
    found = collapse(made)
    assert [rung.residual for rung in found.rungs] == pytest.approx([0.0] * 5, abs=1e-9)
    assert found.std_of_a_run is None
    assert found.tolerance == 0.02
    assert not found.flagged


def test_without_seeds_only_the_wider_tolerance_flags() -> None:
    generator = np.random.default_rng(2)
    ones = (1, 1, 1, 1, 1)
    clean = collapse(curves("40 tokens a parameter", generator, seeds=ones))
    off = collapse(curves("40 tokens a parameter", generator, slow=2, seeds=ones))
    assert clean.tolerance == off.tolerance == 0.02
    assert not clean.flagged
    assert [rung.size_index for rung in off.flagged] == [2]
    assert off.rungs[2].standard_error is None


def test_three_sizes_are_held_against_nothing_and_runs_without_curves_are_none() -> None:
    generator = np.random.default_rng(3)
    records = curves("high floor", generator)
    three = collapse([run for run in records if run.size_index < 3])
    assert three.rungs == ()
    assert "3 sizes" in three.note
    assert analyse_collapse([replace(run, curve=run.curve[-1:]) for run in records]) == ()


def test_a_run_that_is_not_evaluated_early_enough_is_left_out() -> None:
    records = curves("high floor", np.random.default_rng(4))
    late = [
        replace(run, curve=tuple(one for one in run.curve if one.tokens > FROM_SHARE * run.planned_tokens))
        if run.size_index == 1
        else run
        for run in records
    ]
    assert [rung.size_index for rung in collapse(late).rungs] == [0, 2, 3, 4]
