"""What is said where the runs of contenders are the best of unequal numbers of settings."""

from dataclasses import replace

from archbench.results.choices import choice_details, unequal_choices
from archbench.results.runs import IMPORTED, RunRecord, RunState
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records


def imported(name: str, *tried: int, by: tuple[str, ...] = ("lr",)) -> list[RunRecord]:
    """A run a size; what each is the best of."""
    scan = SyntheticScan(sizes=(1, 2, 3), seeds=(1, 1, 1), points=3)
    records = synthetic_records(name, SyntheticLaw(), scan)
    return [
        replace(record, objective=IMPORTED, details=choice_details(by, number))
        for record, number in zip(records, tried, strict=True)
    ]


def test_equal_numbers_of_settings_need_no_word() -> None:
    assert unequal_choices([*imported("a", 3, 3, 3), *imported("b", 3, 3, 3)]) is None
    assert unequal_choices(imported("a", 1, 2, 3)) is None


def test_the_best_of_most_settings_stands_first_with_the_columns_that_were_swept() -> None:
    words = unequal_choices(
        [*imported("a", 1, 1, 1), *imported("b", 3, 5, 3, by=("lr", "wd")), *imported("c", 2, 2, 2)]
    )
    assert words is not None
    assert words.startswith("b is the best of 3 to 5 settings (lr, wd) a size, c of 2, a of 1: ")


def test_an_import_without_a_choice_is_the_best_of_one() -> None:
    words = unequal_choices([*imported("a", 1, 1, 1, by=()), *imported("b", 2, 2, 2)])
    assert words is not None
    assert "b is the best of 2 settings (lr) a size, a of 1" in words


def test_own_runs_and_failed_ones_are_passed_over() -> None:
    own = [replace(record, objective="next_token", details={}) for record in imported("own", 1, 1, 1)]
    failed = [replace(record, state=RunState.FAILED) for record in imported("c", 9, 9, 9)]
    assert unequal_choices([*own, *imported("b", 3, 3, 3), *failed]) is None
