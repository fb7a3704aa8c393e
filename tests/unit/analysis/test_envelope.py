import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.analysis.frontier.envelope import led_intervals, lower_envelope

ROUNDING = 1e-12  # a few interpolations of numbers near 1

coordinates = st.integers(-40, 40).map(lambda n: n / 8)
curve = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=12).map(
    lambda points: (np.array([x for x, _ in points]), np.array([y for _, y in points]))
)
curves = st.lists(curve, min_size=1, max_size=7)


def as_curve(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([x for x, _ in points], dtype=float), np.array([y for _, y in points], dtype=float)


def achieved(curve: tuple[np.ndarray, np.ndarray], at: float) -> float:
    """What the curve had achieved at a log cost, by definition: running minimum, linear between points."""
    order = np.lexsort((curve[1], curve[0]))
    x, y = curve[0][order], np.minimum.accumulate(curve[1][order])
    if at < x[0]:
        return np.inf
    last = np.append(np.diff(x) > 0, True)
    return float(np.interp(at, x[last], y[last]))


def test_two_crossing_lines_hand_over_where_they_cross() -> None:
    envelope = lower_envelope([as_curve([(0, 4), (4, 2)]), as_curve([(0, 5), (4, 1)])])
    assert envelope.start.tolist() == [0, 2, 4]
    assert envelope.owner.tolist() == [0, 1, 1]
    assert envelope.value(np.array([1.0, 2.0, 3.0, 9.0])).tolist() == [3.5, 3, 2, 1]


def test_a_curve_that_starts_below_takes_over_at_once() -> None:
    envelope = lower_envelope([as_curve([(0, 4), (4, 4)]), as_curve([(2, 1), (4, 0)])])
    assert envelope.value(np.array([1.999, 2.0])).tolist() == [4, 1]


def test_before_the_first_point_nothing_is_achieved_and_behind_the_last_it_stays() -> None:
    envelope = lower_envelope([as_curve([(1, 3), (2, 2)])])
    assert envelope.value(np.array([0.9, 50.0])).tolist() == [np.inf, 2]


def test_a_loss_that_rises_again_does_not_lift_the_envelope() -> None:
    envelope = lower_envelope([as_curve([(0, 3), (1, 2), (2, 5), (3, 1)])])
    assert envelope.value(np.array([2.0, 2.5, 3.0])).tolist() == [2, 1.5, 1]


def test_the_first_cost_at_a_loss_is_exact_on_slopes_and_at_jumps() -> None:
    envelope = lower_envelope([as_curve([(0, 4), (4, 2)]), as_curve([(3, 1), (5, 0)])])
    found = envelope.first_cost_at(np.array([4.5, 4.0, 3.0, 2.0, 1.0, 0.5, -1.0]))
    assert found.tolist() == [0, 0, 2, 3, 3, 4, np.inf]


def test_ties_go_to_the_curve_named_first_so_that_no_point_counts_twice() -> None:
    same = as_curve([(0, 3), (1, 2), (2, 1)])
    envelope = lower_envelope([same, same])
    assert set(envelope.owner.tolist()) == {0}


def test_led_intervals_end_with_the_curve_that_is_measured() -> None:
    curves = [as_curve([(0, 4), (4, 2)]), as_curve([(0, 5), (4, 1)]), as_curve([(0, 9), (9, 8)])]
    envelope = lower_envelope(curves)
    assert led_intervals(envelope, 3, np.array([4.0, 4.0, 9.0])) == [(0, 2), (2, 4), None]


def test_an_envelope_of_nothing_or_of_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        lower_envelope([as_curve([])])
    with pytest.raises(ValueError, match="finite"):
        lower_envelope([as_curve([(0, float("nan"))])])


@given(curves)
@settings(max_examples=150)
def test_the_envelope_is_the_pointwise_minimum_of_what_every_curve_achieved(
    drawn: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    envelope = lower_envelope(drawn)
    at = np.unique(np.concatenate([x for x, _ in drawn] + [np.linspace(-6, 6, 41)]))
    expected = [min(achieved(curve, float(cost)) for curve in drawn) for cost in at]
    np.testing.assert_allclose(envelope.value(at), expected, rtol=0, atol=ROUNDING)


@given(curves)
@settings(max_examples=100)
def test_the_envelope_is_never_above_any_point_and_never_rises(drawn: list[tuple[np.ndarray, np.ndarray]]) -> None:
    envelope = lower_envelope(drawn)
    for x, y in drawn:
        assert (envelope.value(x) <= y + ROUNDING).all()
    values = envelope.value(np.linspace(min(x.min() for x, _ in drawn), 6, 200))
    assert np.isfinite(values).all()
    assert (np.diff(values) <= ROUNDING).all()


@given(curves, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_order_of_points_changes_nothing(drawn: list[tuple[np.ndarray, np.ndarray]], random: object) -> None:
    shuffled = []
    for x, y in drawn:
        order = list(range(len(x)))
        random.shuffle(order)  # type: ignore[attr-defined]
        shuffled.append((x[order], y[order]))
    one, other = lower_envelope(drawn), lower_envelope(shuffled)
    assert one.start.tolist() == other.start.tolist()
    assert one.start_value.tolist() == other.start_value.tolist()
    assert one.owner.tolist() == other.owner.tolist()


@given(curves, st.floats(-5, 5))
@settings(max_examples=100)
def test_the_first_cost_at_a_loss_reaches_it_and_no_cheaper_cost_does(
    drawn: list[tuple[np.ndarray, np.ndarray]], loss: float
) -> None:
    envelope = lower_envelope(drawn)
    cost = float(envelope.first_cost_at(np.array([loss]))[0])
    if np.isinf(cost):
        assert envelope.value(np.array([100.0]))[0] > loss
        return
    assert envelope.value(np.array([cost]))[0] <= loss + 1e-9  # slopes up to 80 enlarge the rounding of the cost
    assert envelope.value(np.array([cost - 1e-6]))[0] > loss - 1e-9


def test_many_points_give_the_same_envelope_as_few_do_by_definition() -> None:
    generator = np.random.default_rng(0)
    drawn = []
    for number in range(6):
        x = np.sort(generator.uniform(number, number + 8, 60_000))
        y = np.log(2 + 3 * np.exp(-0.4 * (x - number)) - 0.12 * number) + 0.01 * generator.standard_normal(len(x))
        drawn.append((x, y))
    envelope = lower_envelope(drawn)
    at = np.concatenate([x[::97] for x, _ in drawn] + [np.linspace(0, 14, 5000)])
    expected = np.full(len(at), np.inf)
    for x, y in drawn:
        np.minimum(expected, np.interp(at, x, np.minimum.accumulate(y), left=np.inf), out=expected)
    np.testing.assert_allclose(envelope.value(at), expected, rtol=0, atol=ROUNDING)
    led = led_intervals(envelope, 6, np.array([x[-1] for x, _ in drawn]))
    assert sum(interval is not None for interval in led) >= 3
