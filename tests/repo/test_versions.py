"""Versions and the changelog: each release has its section, and a tree without tags is on the way to the next one."""

import re
import tomllib
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
HEADINGS = re.findall(r"^## (.*)$", CHANGELOG, flags=re.MULTILINE)
FALLBACK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["version"]["fallback-version"]
FIRST = Version("0.1.0")
"""Stores and entries say it; it was never published, and has no section."""


def releases() -> list[Version]:
    """Of the sections of the changelog, as they stand there."""
    return [Version(heading.partition(" ")[0]) for heading in HEADINGS[1:]]


def test_the_changelog_begins_with_what_is_not_released_and_dates_all_else() -> None:
    assert HEADINGS[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}", heading) for heading in HEADINGS[1:])
    assert releases() == sorted(set(releases()), reverse=True)


def test_every_change_stands_below_a_kind_of_change() -> None:
    for section in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (\w+)", section, flags=re.MULTILINE)
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
        assert not re.search(r"^- ", section.partition("### ")[0], flags=re.MULTILINE)


def test_a_tree_without_tags_is_on_the_way_to_the_release_after_the_last_one() -> None:
    fallback, last = Version(FALLBACK), max([FIRST, *releases()])
    assert fallback.is_devrelease
    assert fallback.dev == 0
    next_minor, next_major = Version(f"{last.major}.{last.minor + 1}.0"), Version(f"{last.major + 1}.0.0")
    assert Version(fallback.base_version) in (next_minor, next_major)
