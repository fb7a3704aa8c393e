import math

import pytest

from archbench.units import bits_per_byte, counted, human_bytes, human_count, human_seconds, kaplan_train_flops, pf_days


def test_a_petaflop_day_is_a_day_at_a_petaflop_per_second() -> None:
    assert pf_days(1e15 * 24 * 3600) == 1.0


def test_a_uniform_model_over_bytes_needs_eight_bits_per_byte() -> None:
    assert bits_per_byte(1000 * math.log(256), 1000) == pytest.approx(8.0, rel=1e-15)


def test_bits_per_byte_of_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        bits_per_byte(1.0, 0)


def test_one_thing_is_counted_in_the_singular() -> None:
    assert [counted(count, "run") for count in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]


def test_kaplan_flops_are_six_n_d() -> None:
    assert kaplan_train_flops(1_000, 20_000) == 1.2e8


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (950, "950"),
        (999.9, "1k"),
        (12_345, "12.3k"),
        (1_500_000, "1.5M"),
        (3.2e12, "3.2T"),
        (8.64e19, "86.4E"),
    ],
)
def test_counts_read_with_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert human_count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB")])
def test_sizes_read_with_binary_prefixes(count: int, text: str) -> None:
    assert human_bytes(count) == text
