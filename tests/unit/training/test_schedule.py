import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.contracts.schedule import ScheduleSettings
from archbench.spec.identity import EvaluationSettings, TrainingSettings
from archbench.training.schedule import evaluation_share, evaluation_steps, in_warmup, learning_rate, schedule_factor


def test_warmup_is_linear_and_reaches_the_peak_at_its_last_step() -> None:
    schedule = ScheduleSettings(warmup_steps=4)
    assert [schedule_factor(schedule, step, 100) for step in (1, 2, 3, 4)] == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("fraction", [0.0, 0.1, 1.0])
def test_cosine_halves_the_way_at_half_time_and_ends_at_the_final_fraction(fraction: float) -> None:
    schedule = ScheduleSettings(warmup_steps=10, final_fraction=fraction)
    assert schedule_factor(schedule, 60, 110) == pytest.approx((1 + fraction) / 2, rel=1e-15)
    assert schedule_factor(schedule, 110, 110) == pytest.approx(fraction, abs=1e-16)
    quarter = fraction + (1 - fraction) * 0.5 * (1 + math.cos(math.pi / 4))
    assert schedule_factor(schedule, 35, 110) == pytest.approx(quarter, rel=1e-15)


def test_linear_schedule_falls_by_equal_steps() -> None:
    schedule = ScheduleSettings(kind="linear", warmup_steps=0, final_fraction=0.0)
    assert [schedule_factor(schedule, step, 4) for step in (1, 2, 3, 4)] == [0.75, 0.5, 0.25, 0.0]


def test_constant_schedule_stays_at_the_peak() -> None:
    schedule = ScheduleSettings(kind="constant", warmup_steps=2)
    assert {schedule_factor(schedule, step, 50) for step in range(2, 51)} == {1.0}


@pytest.mark.parametrize("warmup_steps", [0, 1, 16])
def test_inverse_square_root_halves_with_every_four_times_the_steps(warmup_steps: int) -> None:
    schedule = ScheduleSettings(kind="inverse_sqrt", warmup_steps=warmup_steps)
    peak = max(1, warmup_steps)
    assert [schedule_factor(schedule, peak * times, 10_000) for times in (1, 4, 16)] == [1.0, 0.5, 0.25]


def test_warmup_stable_decay_decays_over_its_share_of_the_steps_only() -> None:
    schedule = ScheduleSettings(kind="warmup_stable_decay", warmup_steps=10, final_fraction=0.1, decay_fraction=0.2)
    assert {schedule_factor(schedule, step, 100) for step in range(10, 81)} == {1.0}
    assert schedule_factor(schedule, 90, 100) == pytest.approx(0.55, rel=1e-15)
    assert schedule_factor(schedule, 100, 100) == pytest.approx(0.1, rel=1e-15)


def test_learning_rate_is_the_peak_times_the_factor() -> None:
    training = TrainingSettings(batch_tokens=8, total_steps=10, peak_learning_rate=0.02)
    assert learning_rate(training, 5) == 0.02 * schedule_factor(training.schedule, 5, 10)


schedules = st.builds(
    ScheduleSettings,
    kind=st.sampled_from(["cosine", "linear", "constant", "inverse_sqrt", "warmup_stable_decay"]),
    warmup_steps=st.integers(0, 50),
    final_fraction=st.floats(0, 1),
    decay_fraction=st.floats(0.01, 1),
)


@given(schedules, st.integers(1, 200))
def test_factor_never_leaves_0_to_1_and_never_rises_after_warmup(schedule: ScheduleSettings, total: int) -> None:
    factors = [schedule_factor(schedule, step, total) for step in range(1, total + 1)]
    # One unit in the last place: the sum of the final fraction and the rest is rounded.
    assert all(0.0 <= factor <= 1.0 + 1e-15 for factor in factors)
    after = factors[max(0, schedule.warmup_steps - 1) :]
    assert all(later <= earlier + 1e-15 for earlier, later in itertools.pairwise(after))


@given(st.integers(1, 100_000), st.integers(1, 60), st.integers(0, 2000))
def test_evaluations_begin_before_training_end_with_it_and_keep_to_their_number(
    total: int, points: int, warmup: int
) -> None:
    training = TrainingSettings(
        batch_tokens=8, total_steps=total, peak_learning_rate=1e-3, schedule=ScheduleSettings(warmup_steps=warmup)
    )
    steps = evaluation_steps(training, EvaluationSettings(points=points))
    assert steps[0] == 0
    assert steps[-1] == total
    assert list(steps) == sorted(set(steps))
    # Step 0 and the one inside warm-up come beside the points asked for.
    assert len(steps) <= points + 2


def test_evaluations_after_warmup_are_evenly_spaced_in_log_step() -> None:
    training = TrainingSettings(
        batch_tokens=8, total_steps=10_000, peak_learning_rate=1e-3, schedule=ScheduleSettings(warmup_steps=100)
    )
    steps = evaluation_steps(training, EvaluationSettings(points=12))
    assert steps[:3] == (0, 50, 100)
    ratios = [later / earlier for earlier, later in itertools.pairwise(steps[2:])]
    # Rounding to whole steps moves a step of 100 or more by half a percent.
    assert ratios == pytest.approx([100 ** (1 / 10)] * 10, rel=1e-2)


def test_step_zero_counts_as_warmup_and_the_first_step_at_the_peak_does_not() -> None:
    assert in_warmup(ScheduleSettings(warmup_steps=0), 0)
    assert not in_warmup(ScheduleSettings(warmup_steps=0), 1)
    assert [in_warmup(ScheduleSettings(warmup_steps=3), step) for step in (2, 3)] == [True, False]


def test_share_of_evaluation_counts_a_forward_pass_as_a_third_of_a_step() -> None:
    training = TrainingSettings(batch_tokens=100, total_steps=1, peak_learning_rate=1e-3)
    assert evaluation_share(training, EvaluationSettings(tokens=150, points=1)) == pytest.approx(2 * 150 / 300)
