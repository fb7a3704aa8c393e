"""Standard errors from the choice of documents against closed forms, and the order of contenders on each text."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from archbench.analysis.evaluation_texts import (
    MACRO_AVERAGE,
    MIN_GROUPS,
    order_changes,
    standings_by_text,
    text_errors,
)
from archbench.analysis.frontier.curves import mean_curves
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.analysis.frontier.scan_laws import joint_law
from archbench.results.fits import FitStatus
from archbench.results.runs import CostAxis, FinalEvaluation, RunRecord
from archbench.studies.points import result_point
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

LAW = SyntheticLaw(noise_std=0.002)
GROUPS = 200


def evaluated(records: Sequence[RunRecord], hardness: np.ndarray, scale: float = 1.0) -> list[RunRecord]:
    """Runs with a final evaluation whose groups of 100 tokens are harder or easier by `hardness`, in nats per token."""
    found = []
    for run in records:
        nats = 100.0 * (scale * run.curve[-1].validation_loss_nats + hardness)
        groups = len(hardness)
        final = FinalEvaluation(tuple(nats.tolist()), (100,) * groups, (1,) * groups, (400,) * groups)
        found.append(replace(run, final=final))
    return found


def test_the_error_is_the_spread_of_documents_over_the_root_of_their_number() -> None:
    hardness = np.random.default_rng(0).normal(0.0, 0.5, GROUPS)
    (one,) = text_errors(evaluated(synthetic_records("gpt2", LAW), hardness), None)
    # With equal tokens the ratio is a mean: the bootstrap's error is the population spread over sqrt(G), known to
    # 1/sqrt(2·1000) from a thousand resamples; five times that is allowed.
    assert one.error_nats == pytest.approx(hardness.std() / np.sqrt(GROUPS), rel=5 / np.sqrt(2000))
    assert (one.num_documents, one.num_groups) == (GROUPS, GROUPS)
    assert one.difference_nats is None


def test_a_difference_on_the_same_documents_has_none_of_what_makes_them_hard() -> None:
    generator = np.random.default_rng(1)
    hardness, own = generator.normal(0.0, 0.5, GROUPS), generator.normal(0.0, 0.02, GROUPS)
    records = [
        *evaluated(synthetic_records("gpt2", LAW), hardness),
        *evaluated(synthetic_records("other", LAW, seed=1), hardness + own),
    ]
    base, other = text_errors(records, "gpt2")
    assert base.difference_nats is None
    assert other.difference_nats == pytest.approx(other.loss_nats - base.loss_nats)
    assert other.difference_error_nats == pytest.approx(own.std() / np.sqrt(GROUPS), rel=0.12)
    assert other.error_nats is not None
    assert other.difference_error_nats < 0.1 * other.error_nats


def test_other_documents_are_not_paired_and_few_groups_tell_no_error() -> None:
    few = np.zeros(MIN_GROUPS - 1)
    records = [
        *evaluated(synthetic_records("gpt2", LAW), np.zeros(GROUPS)),
        *evaluated(synthetic_records("other", LAW, seed=1), few),
    ]
    other = text_errors(records, "gpt2")[1]
    assert other.error_nats is None
    assert other.difference_nats is None
    assert text_errors(synthetic_records("gpt2", LAW), "gpt2") == ()


def test_finished_losses_are_the_final_ones_everywhere_and_curves_end_there() -> None:
    """A whole text that is 3 % harder than the curve's own part of it, for everybody alike."""
    plain = synthetic_records("gpt2", SyntheticLaw())
    harder = evaluated(plain, np.zeros(4), scale=1.03)
    old, new = (mean_curves("gpt2", records, CostAxis.EXACT).curves for records in (plain, harder))
    for before, after in zip(old, new, strict=True):
        assert after.final_losses_nats == pytest.approx(1.03 * before.final_losses_nats)
        assert after.loss_nats == pytest.approx(1.03 * before.loss_nats)
    assert result_point(harder[0]).loss_nats == pytest.approx(1.03 * result_point(plain[0]).loss_nats)
    # Mid-schedule and finished points are one text's: the exponent does not feel the offset between texts.
    results = [
        analyse_scan(records, baseline=None, options=StudyOptions(num_resamples=50))[0] for records in (plain, harder)
    ]
    for before, after in zip(*results, strict=True):
        assert after.law.params["alpha_C"] == pytest.approx(before.law.params["alpha_C"], rel=1e-6)
        assert [one.size_index for one in after.points] == [one.size_index for one in before.points]
        assert [one.loss_nats for one in after.points] == pytest.approx([1.03 * one.loss_nats for one in before.points])


def test_a_joint_law_is_of_final_losses_or_of_curves_and_never_of_both() -> None:
    """A final text that is harder by a nat would bend a law that mixed it with points of the curves."""
    plain = synthetic_records("gpt2", SyntheticLaw(E=1.0))
    shifted = evaluated(plain, np.ones(4))
    before, after = joint_law(plain, "gpt2"), joint_law(shifted, "gpt2")
    assert before.points == after.points
    assert "learning curves" in after.points
    assert after.fit.result.params == pytest.approx(before.fit.result.params)


def texts_of(records: Sequence[RunRecord], factors: dict[str, float]) -> list[RunRecord]:
    found = []
    for run in records:
        own = run.curve[-1].validation_loss_nats
        found.append(replace(run, other_losses_nats={name: factor * own for name, factor in factors.items()}))
    return found


def test_ranks_that_turn_with_the_text_are_shown() -> None:
    better = SyntheticLaw(A=11.5, noise_std=0.002)
    records = [
        *texts_of(synthetic_records("gpt2", LAW), {"c" * 64: 0.8}),
        *texts_of(synthetic_records("other", better, seed=1), {"c" * 64: 1.2}),
    ]
    found = standings_by_text(records, {"c" * 64: "code"}, "prose", CostAxis.EXACT, "gpt2")
    assert order_changes(found, "causal") == {"prose": ("other", "gpt2"), "code": ("gpt2", "other")}
    at = {(one.text, one.contender): one for one in found}
    assert {text for text, _ in at} == {"prose", "code", MACRO_AVERAGE}
    for name in ("gpt2", "other"):
        mean = np.mean([at["prose", name].loss_nats, at["code", name].loss_nats])
        assert at[MACRO_AVERAGE, name].loss_nats == pytest.approx(mean)
    _, comparisons = analyse_scan(records, baseline="gpt2", options=StudyOptions(floor="none"))
    own = next(pair for pair in comparisons if pair.cost_axis is CostAxis.EXACT)
    assert at["prose", "other"].multiplier == own.headline, "one table, one answer"
    assert at["prose", "gpt2"].multiplier is None


def test_lines_of_the_own_text_refuse_nothing_on_other_texts() -> None:
    """Every loss lies above the line of pairs of the text trained on; on others no line is known."""
    lines = {"unigram": 9.0, "bigram": 2.0, "trigram": 1.0}
    records = [
        replace(run, reference_lines=lines)
        for run in [
            *texts_of(synthetic_records("gpt2", LAW), {"c" * 64: 1.1}),
            *texts_of(synthetic_records("other", replace(LAW, A=11.0), seed=1), {"c" * 64: 1.1}),
        ]
    ]
    found = standings_by_text(records, {"c" * 64: "code"}, "prose", CostAxis.EXACT, "gpt2")
    status = {one.text: one.multiplier.status for one in found if one.multiplier is not None}
    assert status == {"prose": FitStatus.ON_PLATEAU, "code": FitStatus.OK, MACRO_AVERAGE: FitStatus.OK}


def test_an_order_that_is_the_same_on_every_text_is_no_change() -> None:
    better = SyntheticLaw(A=11.0, noise_std=0.002)
    records = [
        *texts_of(synthetic_records("gpt2", LAW), {"c" * 64: 1.1}),
        *texts_of(synthetic_records("other", better, seed=1), {"c" * 64: 1.1}),
    ]
    found = standings_by_text(records, {"c" * 64: "code"}, "prose", CostAxis.EXACT, "gpt2")
    assert order_changes(found, "causal") == {}
    multiplier = next(one.multiplier for one in found if (one.text, one.contender) == ("code", "other"))
    assert multiplier is not None
    assert multiplier.multiplier is not None
    assert multiplier.multiplier.value > 1.0
    plain = synthetic_records("gpt2", LAW)
    assert standings_by_text(plain, {"c" * 64: "code"}, "prose", CostAxis.EXACT, None) == ()
