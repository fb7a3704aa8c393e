"""What may be a name, and which file stands for it."""

import pytest

from archbench.errors import SpecError
from archbench.names import MAX_NAME, check_name, file_stem, free_name, problem_of


@pytest.mark.parametrize(
    "name",
    [
        "gpt2",
        "GPT-2 (ours, w/o RoPE)",
        "мамба/v2",
        "[red]x[/red] <b>",
        "模型",
        "a  b",
        "-",
        "a..b",
        "می‌خواهم",
        "x" * 128,
    ],
)
def test_what_people_call_their_models_is_a_name(name: str) -> None:
    assert problem_of(name) is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        ("x" * 5000, "has 5,000 characters, a name has at most 128"),
        ("a\x1b[2J", r"holds a control character, U\+001B"),
        ("a\nb", r"holds a control character, U\+000A"),
        ("a\x9b2J", r"holds a control character, U\+009B"),
        ("a\u202eb", r"holds an invisible character, U\+202E"),
        ("a\u200bb", r"holds an invisible character, U\+200B"),
        ("a\u2028b", r"holds a line break, U\+2028"),
        ("a\ud800", "holds half of a surrogate pair"),
        (" a", "begins or ends with a blank"),
        ("../../victim", "reads as a path"),
        ("/etc/passwd", "reads as a path"),
        ("a/./b", "reads as a path"),
        ("a/", "reads as a path"),
        (".", "reads as a path"),
    ],
)
def test_what_is_no_name_is_refused_in_one_short_line(name: str, problem: str) -> None:
    with pytest.raises(SpecError, match=f"^--name: the name .* {problem}") as refused:
        check_name(name, "--name")
    message = str(refused.value)
    assert len(message) < 250
    assert message.isprintable()


def test_plain_names_are_their_own_files_so_that_stores_and_entries_stay_valid() -> None:
    for name in ("gpt2", "gated_deltanet", "gpt-2.5+rope", "0", "x" * 64):
        assert file_stem(name) == name
    assert file_stem("reformer", "gpt2") == "reformer--gpt2"


def test_capitals_are_told_by_a_number_since_some_file_systems_do_not_tell_them() -> None:
    assert file_stem("GPT-2") == "GPT-2~7"
    assert file_stem("Gpt-2") == "Gpt-2~1"


def test_names_of_no_plain_file_are_spelt_and_hashed() -> None:
    assert file_stem("a b") == "a_b~h" + file_stem("a b")[-16:]
    assert file_stem("模型").startswith("name~h")
    assert file_stem("con") != "con"  # a device on Windows
    assert len({file_stem(name) for name in ("a b", "a/b", "a_b", "a  b", "a b.", "A b")}) == 6


def test_several_names_have_one_file_whichever_way_they_are_cut() -> None:
    pairs = [("a--b", "c"), ("a", "b--c"), ("a-", "b"), ("a", "-b"), ("a", "b", "c"), ("a--b--c",)]
    assert len({file_stem(*names) for names in pairs}) == len(pairs)
    assert len(file_stem(*("x" * MAX_NAME for _ in range(4)))) <= 140


def test_a_free_name_is_the_nearest_number() -> None:
    assert free_name("runs", set()) == "runs"
    assert free_name("runs", {"runs", "runs-2"}) == "runs-3"
    assert problem_of(free_name("x" * MAX_NAME, {"x" * MAX_NAME})) is None
