import pytest

from archbench.workers.watchdog import Watchdog


def silent_for(watchdog: Watchdog, seconds: float) -> bool:
    """Lets time pass a second at a time, as polls do."""
    for _ in range(int(seconds)):
        watchdog.passed(1.0)
    return watchdog.hangs


def test_run_may_be_silent_ten_times_as_long_before_its_first_report() -> None:
    watchdog = Watchdog(6.0)
    assert not silent_for(watchdog, 60)
    assert silent_for(watchdog, 1)
    assert watchdog.finding == "hung before its first step: no step for 61 s"


def test_run_that_reports_is_given_the_floor_and_starts_anew_with_each_report() -> None:
    watchdog = Watchdog(6.0)
    silent_for(watchdog, 50)
    watchdog.heard(3, pace_seconds=0.1)
    for step in range(4, 40):
        assert not silent_for(watchdog, 0.5)
        watchdog.heard(step, pace_seconds=0.1)
    assert not silent_for(watchdog, 6)
    assert silent_for(watchdog, 1)
    assert watchdog.finding == "hung after step 39: no step for 7 s"


@pytest.mark.parametrize(("pause", "pace_seconds"), [(5, 0.0), (1, 5.0)])
def test_slow_run_is_given_ten_times_its_longest_pause(pause: int, pace_seconds: float) -> None:
    watchdog = Watchdog(6.0)
    watchdog.heard(1, pace_seconds)
    silent_for(watchdog, pause)
    watchdog.heard(2, pace_seconds)
    assert not silent_for(watchdog, 50)
    assert silent_for(watchdog, 1)


def test_time_in_which_nobody_looked_does_not_count() -> None:
    watchdog = Watchdog(6.0)
    watchdog.heard(1, 0.0)
    watchdog.passed(3600.0)
    assert not watchdog.hangs


def test_run_whose_first_report_took_long_is_known_to_be_slow() -> None:
    watchdog = Watchdog(6.0)
    silent_for(watchdog, 40)
    watchdog.heard(1, pace_seconds=30.0)
    assert not silent_for(watchdog, 299)


def test_long_first_evaluation_is_no_hang_as_long_as_it_goes_on() -> None:
    watchdog = Watchdog(6.0)
    for _ in range(10):
        assert not silent_for(watchdog, 55)
        watchdog.alive()
    assert not silent_for(watchdog, 60)
    assert silent_for(watchdog, 1)


def test_announced_pause_is_given_once() -> None:
    watchdog = Watchdog(6.0)
    watchdog.heard(1, 0.0)
    watchdog.alive(100.0)
    assert not silent_for(watchdog, 100)
    assert silent_for(watchdog, 1)
    watchdog = Watchdog(6.0)
    watchdog.heard(1, 0.0)
    watchdog.alive(100.0)
    watchdog.heard(2, 0.0)
    assert silent_for(watchdog, 7)
