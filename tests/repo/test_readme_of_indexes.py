"""Package indexes show the README, and its links lead into the repository from there."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = "https://forge.example/owner/archbench"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "linked", "alone"),
    [
        ("see [docs](docs/a.md#b), now", f"see [docs]({SOURCE}/blob/HEAD/docs/a.md#b), now", "see docs, now"),
        ("[`a[0]`](a.py)", f"[`a[0]`]({SOURCE}/blob/HEAD/a.py)", "`a[0]`"),
        ("![A figure](b.svg)", f"![A figure]({SOURCE}/raw/HEAD/b.svg)", "*A figure* (`b.svg` in the repository)"),
        ("[there](https://x.example/y)", "[there](https://x.example/y)", "[there](https://x.example/y)"),
        ("[below](#below)", "[below](#below)", "[below](#below)"),
    ],
)
def test_links_are_absolute_where_the_source_is_known_and_words_otherwise(
    hook: ModuleType, text: str, linked: str, alone: str
) -> None:
    assert hook.for_index(text, SOURCE) == linked
    assert hook.for_index(text, None) == alone


def test_every_link_of_the_readme_leads_to_a_file_that_is_there(hook: ModuleType) -> None:
    readme = hook.for_index((ROOT / "README.md").read_text(), SOURCE)
    links = re.findall(r"\]\(([^()\s]+)\)", readme)
    own = [link.removeprefix(SOURCE).split("#")[0] for link in links if link.startswith(SOURCE)]
    assert len(own) > 10
    assert all((ROOT / re.sub(r"^/(blob|raw)/HEAD/", "", path)).exists() for path in own)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
