"""Steps between made-up contenders whose effects are known."""

from dataclasses import replace

import pytest

from archbench.results.fits import FitStatus
from archbench.results.runs import CostAxis, RunRecord, RunState
from archbench.studies.decomposition.analysis import decompose
from archbench.studies.decomposition.results import Decomposition, Figure, StepEffect
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

LAW = SyntheticLaw(noise_std=0.003)
ORDER = ("plain", "dearer", "same", "steeper")
"""The first step costs half as much again per token, the second does nothing, the third changes the exponent."""


def runs() -> list[RunRecord]:
    dearer = SyntheticScan(exact_flops_per_kaplan=3.0)
    return [
        *synthetic_records("plain", LAW, SyntheticScan(exact_flops_per_kaplan=2.0), seed=0),
        *synthetic_records("dearer", LAW, dearer, seed=1),
        *synthetic_records("same", LAW, dearer, seed=2),
        *synthetic_records("steeper", replace(LAW, alpha=0.19, A=16.0), dearer, seed=3),
        *synthetic_records("elsewhere", LAW, seed=4),
    ]


@pytest.fixture(scope="module")
def found() -> Decomposition:
    return decompose(runs(), ORDER, baseline="plain")


def effect(found: Decomposition, step: int, figure: Figure, axis: CostAxis | None = CostAxis.EXACT) -> StepEffect:
    (one,) = [e for e in found.effects if (e.step, e.figure, e.cost_axis) == (step, figure, axis)]
    return one


def test_a_step_that_costs_half_as_much_again_has_a_multiplier_of_two_thirds_and_no_exponent(
    found: Decomposition,
) -> None:
    multiplier = effect(found, 1, Figure.MULTIPLIER)
    assert (multiplier.before, multiplier.after) == ("plain", "dearer")
    assert multiplier.effect is not None
    assert multiplier.effect.covers(2 / 3)
    # Noise of 0.3 % in the loss is 3 % in the cost at an exponent of about 0.1; the envelope averages some of it.
    assert multiplier.effect.value == pytest.approx(2 / 3, rel=0.1)
    assert multiplier.told_apart
    alpha = effect(found, 1, Figure.ALPHA)
    assert alpha.effect is not None
    assert alpha.effect.covers(0.0)
    assert not alpha.told_apart


def test_on_6nd_flops_the_same_step_does_nothing(found: Decomposition) -> None:
    multiplier = effect(found, 1, Figure.MULTIPLIER, CostAxis.KAPLAN)
    assert multiplier.effect is not None
    assert multiplier.effect.covers(1.0)
    assert not multiplier.told_apart


def test_a_step_without_effect_is_not_told_apart_on_any_figure(found: Decomposition) -> None:
    for axis in {one.cost_axis for one in found.effects if one.cost_axis}:
        assert not effect(found, 2, Figure.ALPHA, axis).told_apart
        assert not effect(found, 2, Figure.MULTIPLIER, axis).told_apart


def test_a_steeper_law_shows_in_the_exponent(found: Decomposition) -> None:
    alpha = effect(found, 3, Figure.ALPHA)
    assert alpha.effect is not None
    assert alpha.told_apart
    # Every size sees the same tokens, so that B/D^b is a floor that all share, and C rises with N: a alone is left.
    assert alpha.effect.value == pytest.approx(0.19 - 0.15, abs=0.01)


def test_steps_add_up_to_the_whole_way_in_values_and_in_resamples(found: Decomposition) -> None:
    for total in found.sums:
        assert total.summed == pytest.approx(total.direct, rel=1e-9)
        assert total.gap == pytest.approx(0.0, abs=1e-9)
        assert total.num_steps == 3
    whole = effect(found, 0, Figure.MULTIPLIER)
    assert (whole.before, whole.after, whole.holm_p_value) == ("plain", "steeper", None)


def test_holms_correction_runs_over_the_steps_and_not_over_the_whole_way(found: Decomposition) -> None:
    steps = [effect(found, number, Figure.ALPHA) for number in (1, 2, 3)]
    raw = sorted(one.p_value for one in steps if one.p_value is not None)
    corrected = sorted(one.holm_p_value for one in steps if one.holm_p_value is not None)
    assert corrected[0] == pytest.approx(min(1.0, 3 * raw[0]))
    assert len(corrected) == 3


def test_the_window_lies_inside_the_losses_that_all_of_them_reach(found: Decomposition) -> None:
    ends = {name: [r.curve[-1].validation_loss_nats for r in runs() if r.contender == name] for name in ORDER}
    assert found.window_nats is not None
    high, low = found.window_nats
    assert max(min(losses) for losses in ends.values()) < low < high < min(max(losses) for losses in ends.values())


def test_time_per_token_is_that_of_models_of_one_rung(found: Decomposition) -> None:
    time = effect(found, 1, Figure.SECONDS_PER_TOKEN, None)
    assert found.clock == "device"
    assert time.effect is not None
    assert time.effect.value == pytest.approx(2 / 3)
    assert len(found.seconds) == 4 * 5
    assert found.seconds[0].seconds_per_token == pytest.approx(found.seconds[0].exact_flops_per_token / 2e10)


def with_processor_seconds(record: RunRecord, factor: float) -> RunRecord:
    last = record.curve[-1]
    assert last.device_seconds is not None
    timings = {
        "hardware": {"device": "cpu"},
        "nproc": 1,
        "processor_seconds": factor * last.device_seconds * (1.0 + 0.01 * record.seed),
    }
    return replace(record, details={"timings": timings})


def test_processor_time_is_preferred_where_every_run_has_it() -> None:
    timed = [with_processor_seconds(one, 0.25 if one.contender == "same" else 0.5) for one in runs()]
    found = decompose(timed, ORDER, baseline="plain")
    assert found.clock == "processor"
    time = effect(found, 2, Figure.SECONDS_PER_TOKEN, None)
    assert time.effect is not None
    assert time.effect.value == pytest.approx(2.0)
    assert time.effect.covers(2.0)
    assert time.effect.low > 1.9  # the seeds of a rung differ by 1 %
    assert time.told_apart
    without = [replace(one, details={}) if one.contender == "plain" else one for one in timed]
    assert decompose(without, ORDER, baseline="plain").clock == "device"


def test_times_that_drift_between_rungs_widen_the_interval() -> None:
    """The seeds of a rung agree, as they do where the machine is busy for an hour and idle for the next."""
    drift = (1.0, 1.5, 0.8, 1.2, 0.7)
    timed = [with_processor_seconds(one, drift[one.size_index] if one.contender == "same" else 1.0) for one in runs()]
    time = effect(decompose(timed, ORDER, baseline="plain"), 2, Figure.SECONDS_PER_TOKEN, None)
    assert time.effect is not None
    assert time.effect.low < 0.8
    assert time.effect.high > 1.2
    assert not time.told_apart


def test_a_step_whose_runs_have_failed_is_refused_and_leaves_no_sum() -> None:
    broken = [replace(one, state=RunState.FAILED) if one.contender == "same" else one for one in runs()]
    found = decompose(broken, ORDER, baseline="plain")
    refused = effect(found, 2, Figure.ALPHA)
    assert refused.effect is None
    assert refused.status is FitStatus.INVALID_DATA
    assert "same have no usable run" in refused.reason
    assert effect(found, 1, Figure.ALPHA).effect is not None
    assert found.window_nats is None
    assert all(total.summed is None for total in found.sums if total.figure is not Figure.SECONDS_PER_TOKEN)


def test_two_sizes_give_no_exponent_but_a_status() -> None:
    few = SyntheticScan(sizes=(10_000, 20_000), seeds=(3, 3))
    records = [*synthetic_records("plain", LAW, few), *synthetic_records("other", LAW, few, seed=1)]
    found = decompose(records, ("plain", "other"), baseline="plain")
    refused = effect(found, 1, Figure.ALPHA)
    assert refused.effect is None
    assert refused.status is FitStatus.TOO_FEW_SIZES


def test_other_contenders_change_neither_the_loss_nor_the_order(found: Decomposition) -> None:
    without = [one for one in runs() if one.contender != "elsewhere"]
    alone = decompose(without, ORDER, baseline="plain")
    assert alone.contenders == ORDER
    # Arrays of other lengths: rounding of doubles.
    assert alone.window_nats == pytest.approx(found.window_nats, rel=1e-12)
