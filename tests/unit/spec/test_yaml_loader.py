"""YAML 1.2, with lines, and bounded."""

from pathlib import Path

import pytest

from archbench.errors import SpecError
from archbench.spec.yaml_loader import MAX_BYTES, dotted_path, load_yaml, parse_yaml


def parse(text: str) -> dict[str, object]:
    return parse_yaml(text, Path("s.yaml")).data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e18", 1e18),
        ("3e-4", 3e-4),
        ("1.5E6", 1.5e6),
        (".5", 0.5),
        ("-12", -12),
        ("0o17", 15),
        ("0x1F", 31),
        ("010", 10),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1e18x", "1e18x"),
        ("'3e-4'", "3e-4"),
        ("!!str 12", "12"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = parse(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "s.yaml:3: a: is given twice"),
        ("a:\n  b: 1\n  b: 2\n", "s.yaml:3: a.b: is given twice"),
        ("a: 1e999", "s.yaml:1: a: got 1e999, expected a finite number"),
        ("a: [1, .inf]", "s.yaml:1: a[1]: got .inf, expected a finite number"),
        ("a: !!python/object/apply:os.system [ls]", "the tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
        ("a: !!int x", "which is not what its tag says"),
        ("a: b: c", "s.yaml:1: is not YAML: mapping values are not allowed here"),
        ("a: [1\nb: 2", "is not YAML"),
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("null", "is empty"),
        ("- a\n", "s.yaml:1: the top level must be a mapping"),
        ("just text", "s.yaml:1: the top level must be a mapping"),
        ("1: a", "a key must be text, got 1; put it in quotes"),
        ("[1]: a", "a key must be text"),
        ("a: &x {b: 1}\nc: {<<: *x}", "merge keys"),
        ("a: *nowhere", "undefined alias"),
        ("a: 1\n---\nb: 2", "found another document"),
        ('a: "\\UFFFFFFFF"', "is not YAML"),
        ('a: "\\ud800"', "surrogate"),
        ("a: " + "9" * 5000, "which is not what its tag says"),
        ("a: \x00", "is not YAML"),
        ("a: &a [*a]", "nests deeper than"),
        ("a: " + "[" * 1000, "is nested deeper than"),
        ("a: " + "{b: " * 1000, "is nested deeper than"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_expand_but_not_without_bounds() -> None:
    assert parse("a: &x {b: 1}\nc: *x") == {"a": {"b": 1}, "c": {"b": 1}}
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SpecError, match="values once its aliases are expanded"):
        parse("\n".join(levels))


def test_every_value_knows_its_line() -> None:
    file = parse_yaml("a: 1\nb:\n  c:\n    - x\n    - y\n  d:\n    e\n", Path("s.yaml"))
    assert file.places[("a",)].line == 1
    assert file.places[("b", "c", 1)].line == 5
    assert file.places[("b", "d")].line == 6
    assert file.where(("b", "c", 7)) == "s.yaml:3"
    assert dotted_path(("b", "c", 1, "z")) == "b.c[1].z"


def test_files_that_are_no_specs_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x01" * 10)
    large = tmp_path / "large.yaml"
    large.write_text("a: 1\n" + "#" * MAX_BYTES)
    for path, message in (
        (tmp_path / "missing.yaml", "no such file"),
        (tmp_path, "is a folder"),
        (binary, "is not UTF-8 text"),
        (large, "is larger than"),
        (tmp_path / ("x" * 5000), "cannot be read"),
    ):
        with pytest.raises(SpecError, match=message):
            load_yaml(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert load_yaml(path).data == {"name": "x"}


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
def test_a_device_without_end_is_no_spec() -> None:
    with pytest.raises(SpecError, match="/dev/zero: is larger than"):
        load_yaml(Path("/dev/zero"))
